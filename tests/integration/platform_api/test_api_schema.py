"""The API does what /openapi.json says, whatever it is sent: no server error, no status that is not declared."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute, iter_route_contexts

from platform_api.llm.data_plane import ENDPOINTS, MODELS
from tests.support.api import Api
from tests.support.gateway import running_gateway

SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
LIMIT_S = 150.0
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,"
    "response_headers_conformance,ignored_auth,unsupported_method,allow_header_conformance"
)
OF_MODELS = "^/(v1|api/v1)/"
CONFIG = """
[checks.not_a_server_error]
expected-statuses = ["2xx", "3xx", "4xx", "502", "504"]  # 502: no model's answer fits; 504: the caller's own deadline
"""


QUICK = pytest.param("fuzzing", 1, id="quick")
THOROUGH = pytest.param("coverage,fuzzing,stateful", 5, id="thorough", marks=pytest.mark.fuzz)


@pytest.mark.peer
@pytest.mark.timeout(200)
@pytest.mark.parametrize(("phases", "n_examples"), [QUICK, THOROUGH])
async def test_the_api_keeps_to_its_schema_whatever_it_is_sent(
    phases: str, n_examples: int, postgres_url: str, tmp_path: Path
) -> None:
    """On the database that takes less for granted. Models have their own test. A stream of a run has no end."""
    asked = ["--phases", phases, "--checks", CHECKS, "--max-examples", str(n_examples)]
    asked += ["--exclude-path-regex", f"/events$|{OF_MODELS}"]

    await fuzz(postgres_url, tmp_path, asked)


@pytest.mark.peer
@pytest.mark.timeout(200)
@pytest.mark.parametrize(("phases", "n_examples"), [QUICK, THOROUGH])
async def test_what_asks_models_also_refuses_all_that_its_schema_forbids(
    phases: str, n_examples: int, sqlite_url: str, tmp_path: Path
) -> None:
    """Not the other way round: some fields need each other, which the schemas of the dialects do not say."""
    asked = ["--phases", phases, "--checks", f"{CHECKS},negative_data_rejection", "--max-examples", str(n_examples)]
    asked += ["--include-path-regex", OF_MODELS]

    await fuzz(sqlite_url, tmp_path, asked)


async def fuzz(database_url: str, folder: Path, asked: list[str]) -> None:
    """Without the local model: an answer of it takes longer than the client waits."""
    config = folder / "schemathesis.toml"
    config.write_text(CONFIG, encoding="utf-8")
    async with running_gateway(database_url, folder / "home", has_local_model=False) as gateway:
        command = [str(SCHEMATHESIS), "--config-file", str(config), "run", f"{gateway.address}/openapi.json"]
        command += ["--header", f"Authorization: Bearer {gateway.key}", *asked, "--seed", "7"]
        command += ["--continue-on-failure", "--request-timeout", "10", "--no-color"]
        process = await asyncio.create_subprocess_exec(
            *command, cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        shown, _ = await asyncio.wait_for(process.communicate(), LIMIT_S)

    assert process.returncode == 0, shown.decode()


@pytest.mark.peer
async def test_every_route_is_described(database_url: str, tmp_path: Path) -> None:
    async with running_gateway(database_url, tmp_path / "home", has_local_model=False) as gateway:
        described = await _described(gateway.address)
        routed = {
            (method.lower(), str(route.path))
            for route in iter_route_contexts(gateway.app.routes)
            if isinstance(route.original_route, APIRoute)
            for method in route.methods or ()
        }

    answered = {(endpoint.method.lower(), path) for path, endpoint in ENDPOINTS.items()}
    expected = routed | answered | {("get", f"{MODELS}/{{model}}")}
    assert {(method, path) for path, operations in described.items() for method in operations} == expected
    assert len(answered) >= 6
    for path, operations in described.items():
        for method, operation in operations.items():
            assert operation.get("operationId"), f"{method} {path}"
            assert {"400", "401", "500"} <= set(operation["responses"]), f"{method} {path}"
            assert "default" not in operation["responses"], f"{method} {path}"


async def test_the_address_says_every_method_it_has(api: Api) -> None:
    refused = await api.client.put("/api/auth/api-keys")

    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, POST")


async def _described(address: str) -> dict[str, Any]:
    async with httpx.AsyncClient(base_url=address) as client:
        answer = await client.get("/openapi.json")
    return dict(answer.json()["paths"])
