import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.chat import ChatResponse, StreamChunk, ToolCall, ToolCallDelta, Usage
from bridge.streaming import ChunkFold, EventDecoder, EventTooLargeError, ServerSentEvent, chunks_of, fold


def decoded(*pieces: bytes) -> list[ServerSentEvent]:
    decoder = EventDecoder()
    return [event for piece in pieces for event in decoder.feed(piece)] + decoder.finish()


def texts(*pieces: bytes) -> list[str]:
    return [event.data for event in decoded(*pieces)]


def test_events_end_with_a_blank_line_whatever_the_line_ends() -> None:
    for end in (b"\n", b"\r\n", b"\r"):
        body = b"data: one" + end + end + b"data: two" + end + end

        assert texts(body) == ["one", "two"], end


def test_data_over_several_lines_is_joined() -> None:
    assert texts(b"data: a\ndata: b\n\n") == ["a\nb"]


def test_comments_ids_and_retry_fields_are_no_events() -> None:
    assert texts(b": PROCESSING\n\n: ping\nid: 7\nretry: 10\n\ndata: x\n\n") == ["x"]


def test_an_event_keeps_its_name_and_the_next_one_does_not_inherit_it() -> None:
    events = decoded(b"event: error\ndata: a\n\ndata: b\n\n")

    assert [(event.name, event.data) for event in events] == [("error", "a"), ("", "b")]


def test_a_byte_order_mark_is_skipped_even_when_split() -> None:
    assert texts(b"\xef", b"\xbb", b"\xbfdata: x\n\n") == ["x"]


def test_a_carriage_return_at_the_end_of_a_piece_does_not_end_the_line_twice() -> None:
    assert texts(b"data: a\r", b"\ndata: b\r\n", b"\r\n") == ["a\nb"]


def test_newline_delimited_json_is_one_event_a_line() -> None:
    assert texts(b'{"a": 1}\n{"b":', b" 2}\n") == ['{"a": 1}', '{"b": 2}']


def test_an_event_that_the_stream_cuts_off_is_marked() -> None:
    (event,) = decoded(b'data: {"half": ')

    assert event == ServerSentEvent('{"half": ', is_complete=False)


def test_an_event_without_end_is_refused_before_it_fills_the_memory() -> None:
    decoder = EventDecoder(max_event_bytes=100)
    decoder.feed(b"data: " + b"x" * 94)

    with pytest.raises(EventTooLargeError):
        decoder.feed(b"x")


def test_many_data_lines_of_one_event_count_together() -> None:
    decoder = EventDecoder(max_event_bytes=100)
    decoder.feed(b"data: 0123456789\n" * 10)

    with pytest.raises(EventTooLargeError):
        decoder.feed(b"data: 0")


@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), min_size=1), max_size=5),
    st.data(),
)
def test_cutting_the_bytes_anywhere_changes_nothing(words: list[str], data: st.DataObject) -> None:
    body = b"".join(b"data: " + json.dumps(word, ensure_ascii=False).encode() + b"\r\n\r\n" for word in words)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=8)))
    pieces = [body[start:end] for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True)]

    assert [json.loads(text) for text in texts(*pieces)] == words


def test_pieces_of_tool_calls_are_put_together_by_index() -> None:
    answer = fold(
        [
            StreamChunk(tool_calls=(ToolCallDelta(0, "a", "add", '{"x"'), ToolCallDelta(1, "b", "sub", ""))),
            StreamChunk(tool_calls=(ToolCallDelta(1, arguments="{}"), ToolCallDelta(0, arguments=": 1}"))),
            StreamChunk(finish_reason="tool_calls"),
        ]
    )

    assert answer.tool_calls == (ToolCall("a", "add", '{"x": 1}'), ToolCall("b", "sub", "{}"))
    assert answer.finish_reason == "tool_calls"


def test_choices_are_kept_apart() -> None:
    answer = fold([StreamChunk(text="A"), StreamChunk(text="B", choice=1), StreamChunk(text="a")])

    assert answer.text == "Aa"
    assert [other.text for other in answer.other_choices] == ["B"]


def test_of_repeated_usage_the_last_one_counts() -> None:
    total = ChunkFold()
    total.add(StreamChunk(text="x", usage=Usage(1, 1)))
    total.add(StreamChunk(usage=Usage(1, 9)))

    assert total.usage == Usage(1, 9)


def test_content_bytes_count_text_reasoning_and_tool_calls() -> None:
    total = ChunkFold()
    total.add(StreamChunk(text="é", reasoning="ab", tool_calls=(ToolCallDelta(0, "id", "f", "{}"),)))

    assert total.content_bytes == 2 + 2 + 3


words = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)


@given(words, words, st.lists(st.tuples(words, words, words), max_size=3))
def test_folding_the_chunks_of_an_answer_gives_the_answer(
    text: str, thought: str, calls: list[tuple[str, str, str]]
) -> None:
    answer = ChatResponse(
        text=text,
        reasoning=thought,
        tool_calls=tuple(ToolCall(*call) for call in calls),
        finish_reason="stop",
        usage=Usage(3, 4),
        model="m",
        provider_cost_usd=0.5,
    )

    assert fold(chunks_of(answer)) == answer
