"""Recorded traffic of Anthropic's Messages API."""

import pytest

from tests.support.recorded_traffic import ChatRecording, Recording

RECORDING = Recording("anthropic_messages")


def with_cached_input(record_id: str) -> dict[str, int]:
    """The vendor counts cached and cache-written tokens beside the input; we count them in it."""
    usage: dict[str, int] = RECORDING.expectations[record_id].get("usage", {})
    beside = usage.get("cached_tokens", 0) + usage.get("cache_write_tokens", 0)
    return {"input_tokens": usage["input_tokens"] + beside} if beside else {}


EXCEPTIONS: dict[str, str] = {}
TRAFFIC = ChatRecording(
    "anthropic",
    RECORDING,
    exceptions=EXCEPTIONS,
    restated={record_id: with_cached_input(record_id) for record_id in RECORDING.records},
)


@pytest.mark.parametrize("record_id", sorted(RECORDING.records))
def test_a_recorded_reply_is_read_as_expected(record_id: str, split_seed: int) -> None:
    for seed in (None, split_seed):
        found = TRAFFIC.differences(record_id, seed=seed)

        assert bool(found) == (record_id in EXCEPTIONS), found


def test_all_of_the_recorded_traffic_is_there() -> None:
    assert len(RECORDING.records) == 62
