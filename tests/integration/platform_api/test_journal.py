"""The journal on a real disk, and across a killed process."""

import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

from bridge.call_record import BudgetScope, CallHold, CallRecord, Lease
from platform_api.usage.journal import (
    Journal,
    StoredCall,
    StoredHold,
    dead_writers,
    decode_frame,
    encode_frame,
    read_frames,
    segments,
)
from tests.support.money import made_call

ROOT = Path(__file__).parents[3]

WRITER = """
import sys
from pathlib import Path
from tests.integration.platform_api.test_journal import call
from platform_api.usage.journal import Journal

journal = Journal(Path(sys.argv[1]), "doomed")
for number in range(10_000_000):
    journal.record(call(f"call-{number}"))
    print(number, flush=True)
"""


def call(call_id: str) -> CallRecord:
    made = made_call("o", cost_nano_usd=1234, leases=[Lease("l", "b", BudgetScope("org", "o"), 5000)])
    attempt = replace(made.attempts[0], attempt_id=f"{call_id}-a")
    return replace(made, call_id=call_id, attempts=(attempt,))


def test_what_was_recorded_is_read_back_whole(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "w")
    journal.record(call("1"))
    journal.record(call("2"))
    frames = read_frames(segments(journal.folder)[0])

    assert [decode_frame(payload).call_id for payload in frames.payloads] == ["1", "2"]
    stored = decode_frame(frames.payloads[0])
    assert isinstance(stored, StoredCall)
    assert stored.attempts == call("1").attempts
    assert stored.leases == call("1").leases
    assert not frames.is_torn
    journal.close()


def test_what_a_call_holds_is_read_back_in_its_place(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "w")
    lease = Lease("l", "b", BudgetScope("org", "o"), 5000)
    journal.hold(CallHold("1", "o", (lease.scope,), (lease,), call("1").started_at))
    journal.record(call("1"))
    held, recorded = [decode_frame(payload) for payload in read_frames(segments(journal.folder)[0]).payloads]

    assert isinstance(held, StoredHold)
    assert (held.call_id, held.scopes, held.leases) == ("1", (lease.scope,), (lease,))
    assert isinstance(recorded, StoredCall)
    journal.close()


def test_segments_rotate_by_size_and_reading_resumes_at_an_offset(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "w", rotate_bytes=600)
    for number in range(5):
        journal.record(call(str(number)))
    files = segments(journal.folder)
    first = read_frames(files[0], max_frames=1)
    rest = read_frames(files[0], first.next_offset)

    assert len(files) > 1
    assert decode_frame(first.payloads[0]).call_id == "0"
    assert first.payloads + rest.payloads == read_frames(files[0]).payloads
    journal.close()


def test_a_torn_tail_is_left_and_a_damaged_frame_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "00000001.log"
    good, bad = encode_frame(b"good"), bytearray(encode_frame(b"bad!"))
    bad[-1] ^= 0xFF
    path.write_bytes(good + bytes(bad) + good + good[:7])
    frames = read_frames(path)

    assert frames.payloads == (b"good", b"good")
    assert frames.is_torn
    assert frames.next_offset == len(good) * 3


def test_a_living_writer_is_not_taken_for_dead(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "alive")
    journal.record(call("1"))
    assert list(dead_writers(tmp_path)) == []

    journal.close()
    found = list(dead_writers(tmp_path))
    assert [writer for writer, _ in found] == ["alive"]
    found[0][1].release()


def test_every_record_acknowledged_before_kill_9_is_there_afterwards(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert child.stdout is not None
    while int(child.stdout.readline()) < 200:
        time.sleep(0)
    child.send_signal(signal.SIGKILL)
    acknowledged = [int(line) for line in child.stdout.read().splitlines() if line.strip()]
    child.stdout.close()
    child.wait()
    ((writer, lock),) = dead_writers(tmp_path)
    stored = {
        decode_frame(payload).call_id
        for path in segments(tmp_path / writer)
        for payload in read_frames(path, max_frames=1_000_000).payloads
    }
    lock.release()

    assert len(stored) >= max(acknowledged, default=200)
    assert {f"call-{number}" for number in range(201)} <= stored
