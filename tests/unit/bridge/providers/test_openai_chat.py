from bridge.providers.openai_chat import OpenAiChat
from tests.support.wire import asking, deployment


def test_a_request_carries_path_body_and_credential() -> None:
    wire = OpenAiChat().build(asking("hi"), deployment(), stream=True)

    assert wire.path == "/chat/completions"
    assert wire.body["model"] == "m"
    assert wire.body["stream"] is True
    assert wire.headers["authorization"] == "Bearer secret-key-1234"


def test_the_credential_never_shows_in_repr() -> None:
    target = deployment(headers={"x-account": "secret-account"})
    shown = repr(OpenAiChat().build(asking(), target, stream=False)) + repr(target)

    assert "secret" not in shown
