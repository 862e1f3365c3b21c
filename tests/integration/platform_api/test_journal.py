"""The journal on a real disk, and across a killed process."""

import json
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from bridge.call_record import BudgetScope, CallRecord, Dispatch, Lease
from bridge.errors import JournalUnavailableError
from bridge.lease_pool import Claim
from platform_api.usage.journal import Fsync, Journal, dead_writers, segments
from platform_api.usage.journal_frames import (
    Frame,
    StoredCall,
    StoredSettlement,
    decode_frame,
    encode_frame,
    next_whole_frame,
    read_frames,
)
from tests.support.full_disk import full_disk
from tests.support.money import NOW, made_call, made_dispatch

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

CROWDED = """
import json, resource, sys
from pathlib import Path
from bridge.errors import JournalUnavailableError
from tests.integration.platform_api.test_journal import call, dispatch, frames_of
from platform_api.usage.journal import Journal

def limit(n_bytes):
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, resource.RLIM_INFINITY))

said = []
journal = Journal(Path(sys.argv[1]), "crowded")
journal.dispatched(dispatch("1"))
limit(200)  # of every file: less than one frame
for number in "23":
    try:
        journal.dispatched(dispatch(number))
    except JournalUnavailableError:
        said.append(f"refused {number}")
journal.record(call("1"))
said.append(f"{len(journal.unwritten)} unwritten")
limit(resource.RLIM_INFINITY)
journal.dispatched(dispatch("4"))
said.append(f"{len(journal.unwritten)} unwritten")
journal.close()
print(json.dumps(said))
"""


def call(call_id: str) -> CallRecord:
    made = made_call("o", cost_nano_usd=1234, leases=[Lease("l", "b", BudgetScope("org", "o"), 5000)])
    attempt = replace(made.attempts[0], attempt_id=f"{call_id}-a")
    return replace(made, call_id=call_id, attempts=(attempt,))


def dispatch(call_id: str) -> Dispatch:
    return made_dispatch(Claim(call_id, "o", (BudgetScope("org", "o"),), NOW), attempt_id=f"{call_id}-a")


def frames_of(folder: Path) -> list[Frame]:
    """Everything in a journal."""
    return [decode_frame(payload) for path in segments(folder) for payload in read_frames(path).payloads]


def told(folder: Path) -> list[tuple[str, str]]:
    """Kind and call of every frame."""
    kinds = {StoredCall: "ended", StoredSettlement: "settled", Dispatch: "dispatched"}
    return [(kinds[type(frame)], frame.call_id) for frame in frames_of(folder)]


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


def test_an_attempt_is_read_back_as_dispatched_settled_and_part_of_its_call(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "w")
    sent = dispatch("1")
    journal.dispatched(sent)
    journal.settled("1", call("1").attempts[0])
    journal.record(call("1"))
    dispatched, settled, ended = frames_of(journal.folder)

    assert dispatched == sent
    assert isinstance(settled, StoredSettlement)
    assert isinstance(ended, StoredCall)
    assert ended.attempts == (settled.attempt,) == call("1").attempts
    journal.close()


def test_behind_a_hole_of_zeros_the_next_whole_frame_is_found_and_behind_a_cut_frame_none(tmp_path: Path) -> None:
    path = tmp_path / "00000001.log"
    frame = encode_frame(b'{"call_id":"1"}')
    path.write_bytes(frame + bytes(4096) + b'{"' + frame + frame[:-1])
    first = read_frames(path)
    found = next_whole_frame(path, first.next_offset) or 0

    assert (first.payloads, first.is_torn) == ((b'{"call_id":"1"}',), True)
    assert found == len(frame) + 4096 + 2
    assert read_frames(path, found).next_offset == found + len(frame)
    assert next_whole_frame(path, found + len(frame)) is None


def test_a_disk_that_takes_no_more_refuses_attempts_keeps_ends_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CROWDED, str(tmp_path)], capture_output=True, text=True, check=True, cwd=ROOT
    )

    assert json.loads(done.stdout) == ["refused 2", "refused 3", "1 unwritten", "0 unwritten"]
    assert told(tmp_path / "crowded") == [("dispatched", "1"), ("ended", "1"), ("dispatched", "4")]


def test_a_device_without_space_leaves_nothing_half_written(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "w")
    journal.dispatched(dispatch("1"))
    with full_disk(journal):
        with pytest.raises(JournalUnavailableError):
            journal.dispatched(dispatch("2"))
        journal.settled("1", call("1").attempts[0])
        assert len(journal.unwritten) == 1
    journal.retry()

    assert told(journal.folder) == [("dispatched", "1"), ("settled", "1")]
    assert journal.unwritten == ()
    journal.close()


@pytest.mark.parametrize("fsync", ["always", "interval", "never"])
def test_every_fsync_mode_writes_the_same_and_a_sync_leaves_nothing_behind(tmp_path: Path, fsync: Fsync) -> None:
    journal = Journal(tmp_path, "w", fsync=fsync, rotate_bytes=1500)
    for number in range(6):
        journal.dispatched(dispatch(str(number)))
    journal.sync()

    assert journal.is_synced
    assert len(segments(journal.folder)) > 1
    assert len(frames_of(journal.folder)) == 6
    journal.close()


def test_what_is_written_is_synced_a_moment_later_without_being_asked(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "w", fsync="interval")
    journal.record(call("1"))
    give_up_s = time.monotonic() + 20
    while not journal.is_synced and time.monotonic() < give_up_s:
        time.sleep(0.01)

    assert journal.is_synced
    journal.close()


def test_a_journal_that_is_synced_to_its_end_closes_at_once(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "w", fsync="interval")
    journal.record(call("1"))
    journal.rotate()
    journal.sync()
    closing = threading.Thread(target=journal.close, daemon=True)
    closing.start()
    closing.join(timeout=20)

    assert not closing.is_alive()


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
