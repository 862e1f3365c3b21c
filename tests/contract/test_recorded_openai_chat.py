"""Recorded traffic of 13 vendors in the OpenAI chat dialect."""

import pytest

from tests.support.recorded_traffic import ChatRecording, Recording

EXCEPTIONS: dict[str, str] = {
    "openrouter.chat.6316b73607": "an error event ends the stream: the usage in the same event is not read",
}

RESTATED: dict[str, dict[str, int]] = {
    # total_tokens = input + output + 28 (62) of reasoning, which is billed as output
    "gemini.chat_compat.41ff2fb074": {"output_tokens": 34},
    "gemini.chat_compat.92dd26aa88": {"output_tokens": 74},
    # total_tokens = input + 375 audio tokens + output
    "mistral.chat.137339cbdc": {"input_tokens": 384},
    # reasoning is counted beside the output
    "xai.chat.aa31731272": {"output_tokens": 342},
    "xai.chat.bdcc696f8e": {"output_tokens": 322},
    "xai.chat.c30468efa0": {"output_tokens": 281},
    # more cached tokens than input: they are counted beside it
    "azure.chat.13d87ee4c1": {"input_tokens": 377 + 515},
    "azure.chat.407919fda4": {"input_tokens": 325 + 492},
    "azure.chat.6f19abbb0f": {"input_tokens": 293 + 387},
    "azure.chat.6fdece91b7": {"input_tokens": 29 + 157},
    "azure.chat.a941c36221": {"input_tokens": 78 + 158},
    "azure.chat.bfb12ae33d": {"input_tokens": 347 + 403},
}

TRAFFIC = ChatRecording("openai", Recording("openai_chat"), exceptions=EXCEPTIONS, restated=RESTATED)
LEAST_SHARE = 0.99


@pytest.mark.parametrize("record_id", sorted(TRAFFIC.recording.records))
def test_a_recorded_reply_is_read_as_expected(record_id: str, split_seed: int) -> None:
    for seed in (None, split_seed):
        found = TRAFFIC.differences(record_id, seed=seed)

        assert bool(found) == (record_id in EXCEPTIONS), found


def test_nearly_all_of_the_recorded_traffic_is_read_as_expected() -> None:
    ids = TRAFFIC.recording.records

    assert len(ids) == 294
    assert sum(not TRAFFIC.differences(one) for one in ids) / len(ids) >= LEAST_SHARE
