"""The official SDKs' main examples, in every client dialect, answered by what real providers of every dialect said.

Each cell of the matrix asks for one feature, whole or streamed; `pytest -s` prints it.
"""

import json
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import anthropic
import openai
import pytest
import pytest_asyncio

from platform_api.errors import to_problem
from platform_api.llm import anthropic_errors, openai_errors
from platform_api.migrations.runner import upgrade
from tests.support import replayed_provider as replay
from tests.support import sdk_clients
from tests.support.gateway import running_gateway
from tests.support.sdk_clients import ChatClient, MessagesClient, ResponsesClient, SdkClient

pytestmark = [pytest.mark.peer, pytest.mark.asyncio(loop_scope="module")]

CLIENTS = ("openai chat", "openai responses", "anthropic messages")
DIALECTS = tuple(replay.TRAFFIC)
UNSUPPORTED = {("cohere", "document"), ("ollama", "document")}
"""What a provider's dialect has no words for: refused by name."""


@dataclass(frozen=True, slots=True)
class World:
    """One gateway for all tests here."""

    clients: dict[str, SdkClient]
    provider: replay.ReplayedProvider
    cells: Counter[tuple[str, str, str, bool]] = field(default_factory=Counter[tuple[str, str, str, bool]])
    """Answers seen as they should be: client, dialect, feature, streamed."""


@pytest.fixture(scope="module")
def database_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    url = f"sqlite+aiosqlite:///{tmp_path_factory.mktemp('sdk') / 'modelbridge.db'}"
    upgrade(url)
    return url


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    home = tmp_path_factory.mktemp("home")
    async with (
        replay.replayed_provider() as provider,
        running_gateway(database_url, home, has_local_model=False, more=provider.config()) as gateway,
        openai.AsyncOpenAI(base_url=f"{gateway.address}/v1", api_key=gateway.key, max_retries=0) as of_openai,
        anthropic.AsyncAnthropic(base_url=gateway.address, api_key=gateway.key, max_retries=0) as of_anthropic,
    ):
        made = (ChatClient(of_openai), ResponsesClient(of_openai), MessagesClient(of_anthropic))
        world = World(dict(zip(CLIENTS, made, strict=True)), provider)
        yield world
        sys.stdout.write("\n" + "\n".join(table(world)) + "\n")


def table(world: World) -> Iterator[str]:
    """The matrix in figures: answers whole + streamed."""
    yield "answers whole+streamed".ljust(36) + "".join(feature.rjust(15) for feature in replay.FEATURES)
    for client in CLIENTS:
        for dialect in DIALECTS:
            counts = [[world.cells[client, dialect, each, way] for way in (False, True)] for each in replay.FEATURES]
            yield f"{client} x {dialect}".ljust(36) + "".join(f"{a}+{b}".rjust(15) for a, b in counts)


def sent_of(feature: str, tools: list[str]) -> list[str]:
    """What the provider must have been told."""
    told = [sdk_clients.QUESTION, sdk_clients.SYSTEM, *tools]
    return told + {
        "vision": [sdk_clients.PIXEL],
        "document": [sdk_clients.PDF],
        "tool_result": [sdk_clients.RESULT, "Oslo"],
        "json_schema": ["whatever fits"],
    }.get(feature, [])


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("client", CLIENTS)
async def test_every_feature_arrives_as_the_provider_gave_it(
    world: World, client: str, dialect: str, stream: bool
) -> None:
    sdk = world.clients[client]
    for feature in replay.FEATURES:
        if (dialect, feature) in UNSUPPORTED:
            continue
        for record_id in replay.examples(dialect, feature, stream=stream):
            answer = replay.outcome_of(dialect, record_id).answer
            tools = sorted({call.name for call in answer.tool_calls})
            seen = await sdk.ask(f"r_{dialect}/{record_id}", feature, tools, stream=stream)
            sent = json.dumps(world.provider.bodies[record_id], ensure_ascii=False)

            assert seen == sdk.expected(answer), f"{record_id} for {feature}"
            assert [one for one in sent_of(feature, tools) if one not in sent] == [], f"{record_id} for {feature}"
            world.cells[client, dialect, feature, stream] += 1

    assert world.cells[client, dialect, "text", stream]


@pytest.mark.parametrize(("dialect", "feature"), sorted(UNSUPPORTED))
@pytest.mark.parametrize("client", CLIENTS)
async def test_what_a_provider_has_no_words_for_is_refused_by_name(
    world: World, client: str, dialect: str, feature: str
) -> None:
    record_id = replay.examples(dialect, "text", stream=False)[0]
    with pytest.raises((openai.BadRequestError, anthropic.BadRequestError), match=feature):
        await world.clients[client].ask(f"r_{dialect}/{record_id}", feature, [], stream=False)


@pytest.mark.parametrize("dialect", [one for one in DIALECTS if replay.refusals(one)])
@pytest.mark.parametrize("client", CLIENTS)
async def test_a_providers_refusal_is_the_sdks_own_error(world: World, client: str, dialect: str) -> None:
    for record_id in replay.refusals(dialect):
        provider = replay.refusing(record_id, CLIENTS.index(client))
        problem = to_problem(replay.error_of(dialect, record_id))
        is_openai = client.startswith("openai")
        status = openai_errors.status_of(problem) if is_openai else anthropic_errors.status_of(problem)
        with pytest.raises((openai.APIStatusError, anthropic.APIStatusError)) as caught:
            await world.clients[client].ask(f"{provider}/{record_id}", "text", [], stream=False)
        error: Any = caught.value

        assert error.status_code == status, f"{record_id}: {error}"
        assert "recorded-key-1" not in str(error)
