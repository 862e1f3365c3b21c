from collections.abc import Callable
from typing import get_args

import pytest

from bridge.config import Dialect
from bridge.errors import ConfigurationError
from bridge.providers.adapter import CHAT_ADAPTERS, chat_adapter, embedding_adapter, rerank_adapter


def test_every_dialect_of_the_configuration_has_an_adapter() -> None:
    assert set(CHAT_ADAPTERS) == set(get_args(Dialect))
    assert all(chat_adapter(dialect) is adapter for dialect, adapter in CHAT_ADAPTERS.items())


@pytest.mark.parametrize("find", [chat_adapter, embedding_adapter, rerank_adapter])
def test_an_unknown_dialect_is_refused_with_a_way_out(find: Callable[[str], object]) -> None:
    with pytest.raises(ConfigurationError, match=r"'klingon'.*dialect: openai"):
        find("klingon")


def test_anthropic_has_no_embeddings_and_says_so() -> None:
    with pytest.raises(ConfigurationError, match="embeddings dialect 'anthropic'"):
        embedding_adapter("anthropic")
