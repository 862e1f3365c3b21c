"""The official SDKs for JavaScript against the running gateway."""

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.support.gateway import running_gateway
from tests.support.npm_package import unpacked

OPENAI = "openai@7.57.0"
OPENAI_SHA256 = "2e39589ca8d5a71aff84b921da8b7712d4ec7f0b1917b41fb0b7e69c34c609ce"
ANTHROPIC = "@anthropic-ai/sdk@0.78.0"
"""Later ones need packages beside them."""
ANTHROPIC_SHA256 = "1de486a36fdbde0d6e544a4351a284dd83142b74b9a5e0be5499cd19991e158f"
SMOKES = Path(__file__).parent / "javascript"


async def seen_by(smoke: str, sdk: Path, base_url: str, key: str) -> dict[str, Any]:
    """What the program saw."""
    node = shutil.which("node")
    assert node is not None, "node is not on PATH: install Node.js 20 or newer"
    process = await asyncio.create_subprocess_exec(
        node,
        str(SMOKES / smoke),
        str(sdk),
        base_url,
        key,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    shown, told = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, told.decode()
    return dict(json.loads(shown))


@pytest.mark.peer
async def test_openais_javascript_sdk_just_works(sqlite_url: str, tmp_path: Path) -> None:
    sdk = await asyncio.to_thread(unpacked, OPENAI, OPENAI_SHA256, tmp_path)
    async with running_gateway(sqlite_url, tmp_path / "home") as gateway:
        seen = await seen_by("openai_smoke.mjs", sdk, f"{gateway.address}/v1", gateway.key)

    assert seen["chat"] == ["mock answer to: hi", "p_gemini/echo"]
    assert seen["streamed"] == "mock answer to: hi"
    assert seen["tokens"] > 0
    assert seen["tool"] == ["tool_calls", "weather"]
    assert seen["toolStreamed"] == "weather"
    assert seen["answered"] == "stop"
    assert seen["shaped"] == seen["formatted"] == "string"
    assert seen["response"] == seen["responseStreamed"] == "mock answer to: hi"
    assert seen["responseTool"] == ["weather"]
    assert seen["vectors"] == [256, 256]
    assert "balanced" in seen["models"]
    assert seen["errors"] == [
        ["NotFoundError", 404, "model_not_found", "model"],
        ["BadRequestError", 400, "invalid_request", "temperature"],
        ["BadRequestError", 400, "invalid_request", "messages"],
        ["BadRequestError", 400, "invalid_request", "wibble"],
        ["InternalServerError", 502, "provider_unavailable", None],
        ["BadRequestError", 400, "context_length_exceeded", None],
        ["AuthenticationError", 401, "invalid_api_key", None],
    ]
    assert seen["cut"] == ["APIError", "stream_interrupted"]


@pytest.mark.peer
async def test_anthropics_javascript_sdk_just_works(sqlite_url: str, tmp_path: Path) -> None:
    sdk = await asyncio.to_thread(unpacked, ANTHROPIC, ANTHROPIC_SHA256, tmp_path)
    async with running_gateway(sqlite_url, tmp_path / "home", has_local_model=False) as gateway:
        seen = await seen_by("anthropic_smoke.mjs", sdk, gateway.address, gateway.key)

    assert seen["message"] == ["mock answer to: hi", "p_gemini/echo"]
    assert seen["streamed"] == "mock answer to: hi"
    assert seen["ended"] == ["end_turn", True]
    assert seen["tool"] == ["tool_use", "weather"]
    assert seen["answered"] == "end_turn"
    assert seen["shaped"] == "string"
    assert 0 < seen["counted"] < 20
    assert "balanced" in seen["models"]
    assert seen["errors"] == [
        ["NotFoundError", 404, "not_found_error"],
        ["BadRequestError", 400, "invalid_request_error"],
        ["InternalServerError", 502, "api_error"],
        ["BadRequestError", 400, "invalid_request_error"],
        ["BadRequestError", 400, "invalid_request_error"],
        ["AuthenticationError", 401, "authentication_error"],
    ]
    assert seen["cut"] == "APIError"
