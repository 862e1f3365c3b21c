"""The official OpenAI SDK for JavaScript against the running gateway."""

import asyncio
import json
import shutil
from pathlib import Path

import pytest

from tests.support.gateway import running_gateway
from tests.support.npm_package import unpacked

PACKAGE = "openai@7.57.0"
SHA256 = "2e39589ca8d5a71aff84b921da8b7712d4ec7f0b1917b41fb0b7e69c34c609ce"
SMOKE = Path(__file__).parent / "javascript" / "openai_smoke.mjs"


@pytest.mark.peer
async def test_the_javascript_sdk_just_works(sqlite_url: str, tmp_path: Path) -> None:
    node = shutil.which("node")
    assert node is not None, "node is not on PATH: install Node.js 20 or newer"
    sdk = await asyncio.to_thread(unpacked, PACKAGE, SHA256, tmp_path)
    async with running_gateway(sqlite_url, tmp_path / "home") as gateway:
        arguments = (str(SMOKE), str(sdk), f"{gateway.address}/v1", gateway.key)
        process = await asyncio.create_subprocess_exec(
            node, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        shown, told = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, told.decode()
    seen = json.loads(shown)

    assert seen["chat"] == ["mock answer to: hi", "p_gemini/echo"]
    assert seen["streamed"] == "mock answer to: hi"
    assert seen["tokens"] > 0
    assert seen["tool"] == ["tool_calls", "weather"]
    assert seen["shaped"] == "string"
    assert seen["response"] == seen["responseStreamed"] == "mock answer to: hi"
    assert seen["vectors"] == [256, 256]
    assert "balanced" in seen["models"]
    assert seen["error"] == ["NotFoundError", 404, "model_not_found", "model"]
