"""Recorded traffic of Google's generateContent, of the Gemini API and of Vertex AI."""

import json

import pytest

from bridge.providers.google_gemini import GoogleGemini
from bridge.streaming import ServerSentEvent, fold
from tests.support.recorded_traffic import ChatRecording, Recording, recorded_deployment

RECORDING = Recording("gemini_generate")
IN_PIECES = "the expectation lists the pieces of streamed arguments as calls of their own; here they are put together"
EXCEPTIONS: dict[str, str] = {
    "gemini.generate_content.0be7be76b4": IN_PIECES,
    "gemini.generate_content.6d57df1e7e": IN_PIECES,
}


def in_our_terms(record_id: str) -> dict[str, int]:
    """The vendor counts thoughts beside the output and what tools added beside the input; we count them in."""
    usage: dict[str, int] = RECORDING.expectations[record_id].get("usage", {})
    restated: dict[str, int] = {}
    if "output_tokens" in usage:
        restated["output_tokens"] = usage["output_tokens"] + usage.get("reasoning_tokens", 0)
    added = tool_prompt_tokens(RECORDING.records[record_id]["response"]["body"])
    if added:
        restated["input_tokens"] = usage["input_tokens"] + added
    return restated


def tool_prompt_tokens(body: str) -> int:
    """The last `toolUsePromptTokenCount` of a reply or stream."""
    _, found, rest = body.rpartition('"toolUsePromptTokenCount":')
    return int(rest.split(",")[0].split("}")[0]) if found else 0


TRAFFIC = ChatRecording(
    "gemini",
    RECORDING,
    exceptions=EXCEPTIONS,
    restated={record_id: in_our_terms(record_id) for record_id in RECORDING.records},
)


@pytest.mark.parametrize("record_id", sorted(RECORDING.records))
def test_a_recorded_reply_is_read_as_expected(record_id: str, split_seed: int) -> None:
    for seed in (None, split_seed):
        found = TRAFFIC.differences(record_id, seed=seed)

        assert bool(found) == (record_id in EXCEPTIONS), found


@pytest.mark.parametrize(
    ("record_id", "calls"),
    [
        (
            "gemini.generate_content.0be7be76b4",
            [("read_theme", "{}"), *(("read_screen", f'{{"id":"{screen}"}}') for screen in "ABC")],
        ),
        (
            "gemini.generate_content.6d57df1e7e",
            [("getWeather", '{"location":"Boston"}'), ("getWeather", '{"location":"San Francisco"}')],
        ),
    ],
)
def test_streamed_arguments_are_put_together(record_id: str, calls: list[tuple[str, str]]) -> None:
    answer = TRAFFIC.outcome_of(record_id).answer

    assert [(call.name, call.arguments) for call in answer.tool_calls] == calls
    assert answer.finish_reason == "tool_calls"


WHOLE = sorted(
    record_id
    for record_id, record in RECORDING.records.items()
    if record["response"]["status"] == 200 and not record["stream"]
)


@pytest.mark.parametrize("record_id", WHOLE)
def test_a_whole_reply_read_as_an_event_of_a_stream_is_the_same_answer(record_id: str) -> None:
    body = RECORDING.records[record_id]["response"]["body"]
    target = recorded_deployment("gemini", "gemini")

    assert fold(GoogleGemini().reader(target).read(ServerSentEvent(body))) == GoogleGemini().parse(
        json.loads(body), target
    )


def test_all_of_the_recorded_traffic_is_there() -> None:
    assert (len(RECORDING.records), len(WHOLE)) == (70, 46)
