from datetime import UTC, datetime

import pytest

from bridge.catalog.genai_data import chat_model_ids, find_model, find_row, is_chat, row_at

NOW = datetime(2026, 11, 24, tzinfo=UTC)


def test_every_row_is_found_again_by_its_id() -> None:
    found = find_model("openai", "gpt-5.6-sol")
    assert found is not None

    for day in (datetime(2020, 1, 1, tzinfo=UTC), NOW):
        row = row_at(*found, day)
        assert find_row(row.id) == row


def test_the_row_is_the_one_genai_prices_would_apply() -> None:
    found = find_model("deepseek", "deepseek-chat")
    assert found is not None

    for hour in range(24):
        at = datetime(2025, 6, 1, hour, 30, tzinfo=UTC)
        assert row_at(*found, at).prices is found[1].get_prices(at)


def test_a_model_nobody_lists_is_not_found() -> None:
    assert find_model("openai", "nonsense") is None
    assert find_model("nowhere", "gpt-4o-mini") is None
    assert find_row("nonsense") is None


@pytest.mark.parametrize("name", ["text-embedding-3-small", "whisper-1", "gpt-image-1", "tts-1", "gpt-4o-transcribe"])
def test_models_for_other_things_are_not_chat_models(name: str) -> None:
    assert not is_chat(name)
    assert name not in chat_model_ids("openai")


def test_chat_models_are_listed() -> None:
    assert "gpt-4o-mini" in chat_model_ids("openai")
