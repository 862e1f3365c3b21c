from bridge.chat import ImagePart, JsonFormat, Message, TextPart, Tool, ToolCall
from bridge.tokens import MESSAGE_ALLOWANCE_BYTES, SCHEMA_PROMPT_BYTES, TokenEstimator, prompt_bytes, text_bytes
from tests.support.wire import asking


def test_text_is_counted_in_utf8_bytes() -> None:
    assert text_bytes("abc") == 3
    assert text_bytes("äö") == 4
    assert text_bytes("\ud800") == 1


def test_a_prompt_counts_messages_tools_and_schema_with_their_allowances() -> None:
    plain = prompt_bytes(asking("12345"))
    tool = Tool("add", "adds", {"type": "object"})

    assert plain == 5 + MESSAGE_ALLOWANCE_BYTES
    assert prompt_bytes(asking("12345", tools=(tool,))) == plain + 16 + 3 + 4 + len('{"type":"object"}')
    assert prompt_bytes(asking("12345", response_format=JsonFormat({}))) == plain + SCHEMA_PROMPT_BYTES + 2


def test_tool_calls_in_the_history_count() -> None:
    call = Message("assistant", tool_calls=(ToolCall("id", "add", "{}"),))

    assert prompt_bytes(asking("")) < prompt_bytes(type(asking(""))(model="m", messages=(Message.of("user", ""), call)))


def test_an_unknown_model_has_four_bytes_a_token() -> None:
    estimator = TokenEstimator()

    assert estimator.tokens("m", 0) == 0
    assert estimator.tokens("m", 1) == 1
    assert estimator.tokens("m", 400) == 100


def test_the_ratio_follows_what_the_provider_counts() -> None:
    estimator = TokenEstimator()
    request = asking("x" * 984)
    for _ in range(50):
        estimator.learn("m", request, input_tokens=500)

    assert estimator.tokens("m", 1_000) == 500
    assert estimator.tokens("other", 1_000) == 250


def test_short_prompts_and_nonsense_teach_nothing() -> None:
    estimator = TokenEstimator()
    estimator.learn("m", asking("hi"), input_tokens=400)
    estimator.learn("m", asking("x" * 1_000), input_tokens=0)

    assert estimator.tokens("m", 400) == 100


def test_images_add_an_expected_size_and_teach_nothing() -> None:
    estimator = TokenEstimator()
    picture = Message("user", (TextPart("x" * 1_000), ImagePart("https://example.com/a.png")))
    request = type(asking())(model="m", messages=(picture,))
    estimator.learn("m", request, input_tokens=9_000)

    assert estimator.input_tokens("m", request) == 254 + 1_000
