"""Limits of keys and organisations: on the wire of every dialect, and in the API that sets them."""

from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import httpx
import pytest
import pytest_asyncio
from openai import AsyncOpenAI
from openai import BadRequestError as OpenAIBadRequestError
from openai import RateLimitError as OpenAIRateLimitError
from sqlalchemy.ext.asyncio import AsyncSession

from bridge.identifiers import new_id
from platform_api.api_keys.schemas import NewKey
from platform_api.api_keys.service import create_key
from platform_api.auth.permissions import MEMBER, role_permissions
from platform_api.auth.principals import Caller
from platform_api.errors import ForbiddenError
from platform_api.migrations.runner import upgrade
from platform_api.rates import Rates
from tests.support.api import bearer
from tests.support.limits import Process, api_process
from tests.support.platform import new_owner
from tests.support.served import served

LIMITS = {"key": {"requests_per_minute": 3, "tokens_per_minute": 10_000}}


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a migrated database."""
    made = tmp_path_factory.mktemp("limits")
    upgrade(url_in(made))
    return made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def process(place: Path) -> AsyncGenerator[Process]:
    """Keys may ask 3 times a minute and use 10,000 tokens. Every test has an organisation of its own."""
    async with api_process(url_in(place), place / "home", LIMITS) as made:
        yield made


def url_in(place: Path) -> str:
    return f"sqlite+aiosqlite:///{place / 'modelbridge.db'}"


async def owner(process: Process) -> tuple[dict[str, Any], str]:
    """A new organisation: its owner's tokens and a key."""
    name = new_id()
    return await new_owner(process.client, f"{name}@example.com", f"Acme {name}")


async def make_key(process: Process, tokens: dict[str, Any], **wanted: Any) -> dict[str, Any]:
    answer = await process.client.post("/api/auth/api-keys", json={"name": "k", **wanted}, headers=bearer(tokens))
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def left(answer: httpx.Response, unit: str) -> int:
    return int(answer.headers[f"x-ratelimit-remaining-{unit}"])


async def test_the_limit_is_kept_and_told_in_the_words_of_openai(process: Process) -> None:
    _, key = await owner(process)
    answers = [await process.chat(key, max_tokens=100) for _ in range(4)]

    assert [one.status_code for one in answers] == [200, 200, 200, 429]
    assert [left(one, "requests") for one in answers] == [2, 1, 0, 0]
    assert answers[0].headers["x-ratelimit-limit-requests"] == "3"
    assert answers[0].headers["x-ratelimit-limit-tokens"] == "10000"
    assert answers[0].headers["x-ratelimit-reset-requests"] in ("1m0s", "1m1s")
    refused = answers[3]
    assert refused.json()["error"]["type"] == "rate_limit_error"
    assert refused.json()["error"]["code"] == "rate_limit_exceeded"
    assert "3 requests a minute of this key" in refused.json()["error"]["message"]
    assert 0 < int(refused.headers["retry-after"]) <= 61


async def test_the_sdk_raises_its_rate_limit_error_and_never_tries_what_cannot_pass(process: Process) -> None:
    _, key = await owner(process)
    async with served(process.app) as address, AsyncOpenAI(api_key=key, base_url=f"{address}/v1") as sdk:

        async def ask(max_tokens: int) -> None:
            said: Any = [{"role": "user", "content": "hi"}]
            await sdk.with_options(max_retries=0).chat.completions.create(
                model="mock/echo", messages=said, max_tokens=max_tokens
            )

        with pytest.raises(OpenAIBadRequestError, match="can never pass") as never:
            await ask(20_000)
        for _ in range(3):
            await ask(20)
        with pytest.raises(OpenAIRateLimitError):
            await ask(20)

    assert never.value.code == "exceeds_token_limit"
    assert "retry-after" not in never.value.response.headers


async def test_the_limit_is_told_in_the_words_of_anthropic(process: Process) -> None:
    _, key = await owner(process)
    body = {"model": "mock/echo", "max_tokens": 50, "messages": [{"role": "user", "content": "hi"}]}
    headers = {"x-api-key": key, "anthropic-version": "2023-06-01"}
    answers = [await process.client.post("/v1/messages", json=body, headers=headers) for _ in range(4)]

    assert [one.status_code for one in answers] == [200, 200, 200, 429]
    assert [one.headers["anthropic-ratelimit-requests-remaining"] for one in answers] == ["2", "1", "0", "0"]
    assert answers[0].headers["anthropic-ratelimit-tokens-limit"] == "10000"
    assert answers[0].headers["anthropic-ratelimit-requests-reset"].endswith("Z")
    assert answers[3].json()["error"]["type"] == "rate_limit_error"
    assert answers[3].headers["retry-after"]


async def test_our_own_api_answers_429_as_a_problem_with_the_violated_policies(process: Process) -> None:
    _, key = await owner(process)
    body = {"model": "mock/echo", "prompt": "hi", "max_tokens": 10}
    answers = [await process.client.post("/api/v1/generate", json=body, headers=bearer(key)) for _ in range(4)]

    assert [one.status_code for one in answers] == [200, 200, 200, 429]
    policy = '"key-requests-minute";q=3;w=60, "key-tokens-minute";q=10000;w=60;qu="tokens"'
    assert answers[0].headers["ratelimit-policy"] == policy
    assert answers[0].headers["ratelimit"].startswith('"key-requests-minute";r=2;t=')
    problem = answers[3].json()
    assert answers[3].headers["content-type"] == "application/problem+json"
    assert problem["type"] == "https://iana.org/assignments/http-problem-types#quota-exceeded"
    assert problem["violated-policies"] == ["key-requests-minute"]
    assert int(answers[3].headers["ratelimit"].rpartition("t=")[2]) <= int(answers[3].headers["retry-after"])


async def test_tokens_are_reserved_settled_to_what_was_used_and_released_on_errors(process: Process) -> None:
    tokens, _ = await owner(process)
    key = (await make_key(process, tokens, limits={"requests_per_minute": 1000}))["key"]
    reserved = await process.chat(key, max_tokens=4000)
    used = reserved.json()["usage"]["total_tokens"]
    settled = await process.chat(key, max_tokens=4000)
    failed = await process.chat(key, model="mock/broken", max_tokens=9000)
    after = await process.chat(key, max_tokens=1)

    assert left(reserved, "tokens") == pytest.approx(6000, abs=20)
    assert left(settled, "tokens") == left(reserved, "tokens") - used
    assert (failed.status_code, left(failed, "tokens")) == (502, left(settled, "tokens") + 4000 - used - 9000)
    assert left(after, "tokens") == left(failed, "tokens") + 9000 - 1


async def test_a_stream_settles_too(process: Process) -> None:
    _, key = await owner(process)
    streamed = await process.chat(key, max_tokens=4000, stream=True, stream_options={"include_usage": True})
    after = await process.chat(key, max_tokens=4000)

    assert streamed.text.rstrip().endswith("[DONE]")
    assert 0 < left(streamed, "tokens") - left(after, "tokens") < 100


async def test_what_is_refused_takes_nothing_from_any_window(process: Process) -> None:
    """The organisation's day is not eaten by requests that the key's minute refuses."""
    tokens, key = await owner(process)
    body = {"requests_per_day": 10}
    await process.client.put("/api/limits/organization", json=body, headers=bearer(tokens))
    for _ in range(9):
        await process.chat(key, max_tokens=1)
    other = (await make_key(process, tokens))["key"]
    answers = [await process.client.get("/api/v1/health", headers=bearer(other)) for _ in range(3)]

    assert [one.status_code for one in answers] == [200, 200, 200]
    assert "w=86400" in answers[0].headers["ratelimit-policy"]


async def test_all_keys_of_an_organisation_share_its_limit(process: Process) -> None:
    tokens, key = await owner(process)
    other = (await make_key(process, tokens))["key"]
    await process.client.put("/api/limits/organization", json={"requests_per_minute": 4}, headers=bearer(tokens))
    answers = [await process.chat(one, max_tokens=1) for one in (key, other) * 3]

    assert [one.status_code for one in answers] == [200, 200, 200, 200, 429, 429]
    assert "4 requests a minute of the organisation" in answers[5].text


async def test_rotating_a_key_renews_no_limit(process: Process) -> None:
    tokens, _ = await owner(process)
    made = await make_key(process, tokens, limits={"requests_per_minute": 2})
    first = await process.chat(made["key"], max_tokens=1)
    rotated = await process.client.post(f"/api/auth/api-keys/{made['id']}/rotate", headers=bearer(tokens))
    again = await process.client.post(f"/api/auth/api-keys/{rotated.json()['id']}/rotate", headers=bearer(tokens))
    keys = [rotated.json()["key"], again.json()["key"], made["key"]]
    answers = [await process.chat(key, max_tokens=1) for key in keys]

    assert [one.status_code for one in (first, *answers)] == [200, 200, 429, 429]
    assert again.json()["limits"]["requests_per_minute"] == 2


async def test_a_changed_limit_holds_from_the_next_request_on(process: Process) -> None:
    tokens, _ = await owner(process)
    made = await make_key(process, tokens)
    await process.chat(made["key"], max_tokens=1)
    body = {"limits": {"requests_per_minute": 50}}
    changed = await process.client.patch(f"/api/auth/api-keys/{made['id']}", json=body, headers=bearer(tokens))
    raised = await process.chat(made["key"], max_tokens=1)
    await process.client.patch(f"/api/auth/api-keys/{made['id']}", json={"limits": None}, headers=bearer(tokens))
    back = await process.chat(made["key"], max_tokens=1)

    assert changed.json()["limits"]["requests_per_minute"] == 50
    assert (left(raised, "requests"), left(back, "requests")) == (48, 0)


async def test_the_operators_limit_is_the_ceiling_of_an_organisations_own(place: Path, tmp_path: Path) -> None:
    limits = {"organization": {"requests_per_minute": 5}, "plans": {"free": {"requests_per_minute": 9}}}
    async with api_process(url_in(place), tmp_path / "home", limits) as process:
        tokens, key = await owner(process)
        before = (await process.client.get("/api/limits", headers=bearer(key))).json()
        most = before["organization"]["requests_per_minute"]
        body = {"requests_per_minute": 100, "tokens_per_day": 7}
        after = (await process.client.put("/api/limits/organization", json=body, headers=bearer(tokens))).json()

    assert most in (5, 9)
    assert after["organization"] == {**dict.fromkeys(before["own"]), "requests_per_minute": most, "tokens_per_day": 7}
    assert after["own"]["requests_per_minute"] == 100


@pytest.mark.parametrize("body", [{"requests_per_minute": 0}, {"tokens_per_day": -1}, {"requests": 1}])
async def test_a_limit_is_at_least_one_and_of_a_known_kind(process: Process, body: dict[str, int]) -> None:
    tokens, _ = await owner(process)
    organization = await process.client.put("/api/limits/organization", json=body, headers=bearer(tokens))
    key = await process.client.post("/api/auth/api-keys", json={"name": "k", "limits": body}, headers=bearer(tokens))

    assert (organization.status_code, key.status_code) == (422, 422)


async def test_a_key_cannot_set_limits_and_neither_can_a_member(process: Process) -> None:
    _, key = await owner(process)
    by_key = await process.client.put("/api/limits/organization", json={}, headers=bearer(key))
    member = Caller(UUID(int=1), "acme", UUID(int=2), None, MEMBER, role_permissions(MEMBER), "token")
    wanted = NewKey(name="k", limits=Rates(requests_per_minute=1))

    assert by_key.status_code == 403
    with pytest.raises(ForbiddenError, match="budget:write"):
        await create_key(cast("AsyncSession", None), member, wanted, now=datetime.now(UTC))


async def test_a_run_that_is_triggered_counts_as_a_request(process: Process) -> None:
    _, key = await owner(process)
    answers = [await process.client.post("/api/flows/none/runs", json={}, headers=bearer(key)) for _ in range(4)]

    assert [one.status_code for one in answers] == [404, 404, 404, 429]
    assert answers[3].json()["violated-policies"] == ["key-requests-minute"]


async def test_people_who_are_signed_in_have_the_limits_of_their_organisation(place: Path, tmp_path: Path) -> None:
    limits = {"key": {"requests_per_minute": 1}, "organization": {"requests_per_minute": 2}}
    async with api_process(url_in(place), tmp_path / "home", limits) as process:
        tokens, _ = await owner(process)
        answers = [await process.client.get("/api/v1/health", headers=bearer(tokens)) for _ in range(3)]

    assert [one.status_code for one in answers] == [200, 200, 429]


async def test_without_limits_nothing_is_told(place: Path, tmp_path: Path) -> None:
    async with api_process(url_in(place), tmp_path / "home") as process:
        _, key = await owner(process)
        answer = await process.chat(key)

    assert answer.status_code == 200
    assert not [name for name in answer.headers if "ratelimit" in name]
