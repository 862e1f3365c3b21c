import pytest

from bridge.errors import ConfigurationError
from bridge.providers.adapter import chat_adapter, embedding_adapter
from bridge.providers.openai_chat import OpenAiChat


def test_openai_and_ollama_share_the_chat_dialect() -> None:
    assert isinstance(chat_adapter("openai"), OpenAiChat)
    assert isinstance(chat_adapter("ollama"), OpenAiChat)


@pytest.mark.parametrize("find", [chat_adapter, embedding_adapter])
def test_a_dialect_of_a_later_release_is_refused_with_a_way_out(find: type) -> None:
    with pytest.raises(ConfigurationError, match=r"'anthropic'.*dialect: openai"):
        find("anthropic")
