"""Recorded traffic of Cohere's v2 chat."""

import pytest

from tests.support.recorded_traffic import ChatRecording, Recording

EXCEPTIONS: dict[str, str] = {}
TRAFFIC = ChatRecording("cohere", Recording("cohere_v2_chat"), exceptions=EXCEPTIONS)


@pytest.mark.parametrize("record_id", sorted(TRAFFIC.recording.records))
def test_a_recorded_reply_is_read_as_expected(record_id: str, split_seed: int) -> None:
    for seed in (None, split_seed):
        found = TRAFFIC.differences(record_id, seed=seed)

        assert bool(found) == (record_id in EXCEPTIONS), found


def test_all_of_the_recorded_traffic_is_there() -> None:
    assert len(TRAFFIC.recording.records) == 34
