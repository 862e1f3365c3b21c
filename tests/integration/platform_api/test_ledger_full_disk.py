"""A disk without space: every dialect refuses before anything is spent, and goes on when there is room again."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from platform_api.usage.drain import UsageDrain
from platform_api.usage.journal import Journal
from tests.support.full_disk import full_disk
from tests.support.platform import Platform, running_platform
from tests.support.upstream import CALL_NANO_USD, Upstream, running_upstream

ASKED = [{"role": "user", "content": "hi"}]
OPENAI = ("error", "code")
SURFACES: dict[str, tuple[dict[str, Any], int, tuple[str, ...], str]] = {
    "/v1/chat/completions": ({"messages": ASKED}, 503, OPENAI, "journal_unavailable"),
    "/v1/responses": ({"input": "hi"}, 503, OPENAI, "journal_unavailable"),
    "/v1/embeddings": ({"model": "local/wordllama", "input": "hi"}, 503, OPENAI, "journal_unavailable"),
    "/v1/messages": ({"messages": ASKED, "max_tokens": 10}, 529, ("error", "type"), "overloaded_error"),
    "/api/v1/generate": ({"prompt": "hi"}, 503, ("code",), "journal_unavailable"),
}
"""Path: body, status, where the answer says why, and what it says there. Anthropic's dialect has no codes."""


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with running_upstream() as running:
        yield running


@pytest.fixture
async def platform(sqlite_url: str, tmp_path: Path, upstream: Upstream) -> AsyncIterator[Platform]:
    async with running_platform(sqlite_url, tmp_path / "home", upstream=upstream.url) as running:
        yield running


def journal_of(platform: Platform) -> Journal:
    """The journal of the running platform."""
    drain: UsageDrain = platform.app.state.drain
    return drain.journal


async def chat(platform: Platform, **more: Any) -> Any:
    body = {"model": "acme/paid", "messages": ASKED, **more}
    return await platform.client.post("/v1/chat/completions", json=body)


async def test_every_dialect_says_that_usage_cannot_be_recorded_and_nothing_is_sent(
    platform: Platform, upstream: Upstream
) -> None:
    assert (await chat(platform)).status_code == 200
    answers: dict[str, tuple[int, str, str]] = {}
    with full_disk(journal_of(platform)):
        for path, (body, _, place, _) in SURFACES.items():
            answer = await platform.client.post(path, json={"model": "acme/paid", **body})
            said: Any = answer.json()
            for name in place:
                said = said[name]
            answers[path] = (answer.status_code, said, answer.text)
        streamed = await chat(platform, stream=True)

    assert {path: answer[:2] for path, answer in answers.items()} == {
        path: (status, said) for path, (_, status, _, said) in SURFACES.items()
    }
    assert all("nothing was sent" in text for _, _, text in answers.values())
    assert (streamed.status_code, streamed.json()["error"]["code"]) == (503, "journal_unavailable")
    assert len(upstream.bodies) == 1


async def test_calls_go_on_when_there_is_room_and_all_of_them_are_on_record_once(
    platform: Platform, upstream: Upstream
) -> None:
    await platform.client.post("/api/budgets", json={"scope": "organization", "limit_usd": 1, "period": "month"})
    assert (await chat(platform, max_tokens=100)).status_code == 200
    with full_disk(journal_of(platform)):
        refused = [(await chat(platform, max_tokens=100)).status_code for _ in range(3)]
    again = await chat(platform, max_tokens=100)
    usage = (await platform.client.get("/api/billing/usage")).json()
    (budget,) = (await platform.client.get("/api/budgets")).json()["items"]

    assert (refused, again.status_code) == ([503] * 3, 200)
    assert (usage["requests"], len(upstream.bodies)) == (5, 2)
    assert usage["cost_usd"] == pytest.approx(2 * CALL_NANO_USD / 1e9, abs=1e-12)
    assert (budget["spent_usd"], budget["held_usd"]) == (usage["cost_usd"], 0)
