"""What a call through the bridge itself costs: CPU over a mock that answers at once, beside its goals.

    python -m benchmarks.bridge_call

The mock's own work (reading the request, writing the reply) is part of it. 40,000 simulated calls in 20 s leave 500 us
each; a call may take 400 of them, and a stream 60 more for each of its eleven chunks. Exits 1 when a goal is missed.
"""

import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from bridge.call_record import CallContext
from bridge.chat import ChatRequest, Message
from bridge.config import BridgeConfig
from bridge.gateway import Bridge

ROUNDS = 9
CALLS = 300
CALL_GOAL_US = 400.0
STREAM_GOAL_US = CALL_GOAL_US + 11 * 60.0
MODELS = {
    f"mock/{name}": {"input_usd_per_mtok": price, "output_usd_per_mtok": 2, "quality": 0.8}
    for name, price in (("a", 1), ("b", 2), ("c", 3))
}
CONFIG = BridgeConfig.parse(
    {
        "providers": {"mock": {"options": {"default_text": "The answer is a sentence of ten words or so."}}},
        "models": MODELS,
        "aliases": {
            "priority": {"candidates": list(MODELS)},
            "balanced": {"policy": "balanced", "candidates": list(MODELS)},
            "hedged": {"candidates": list(MODELS), "hedge": {}},
            "retrying": {"candidates": list(MODELS), "cache": "exact"},
        },
    }
)
CONTEXT = CallContext(org_id="bench")
PROMPT = "Summarise what happened today in one sentence. " * 10


@dataclass(frozen=True)
class Figure:
    """One way of calling."""

    name: str
    cpu_us: float
    """Median over rounds, of one call."""
    goal_us: float


def asking(model: str, number: int = 0) -> ChatRequest:
    return ChatRequest(model=model, messages=(Message.of("user", f"{number}: {PROMPT}"),))


async def measure(name: str, goal_us: float, call: Callable[[int], Awaitable[None]]) -> Figure:
    """CPU of one call; the first round warms up."""
    rounds: list[float] = []
    for number in range(ROUNDS + 1):
        began = time.process_time()
        for position in range(CALLS):
            await call(number * CALLS + position)
        rounds.append((time.process_time() - began) / CALLS * 1e6)
    return Figure(name, statistics.median(rounds[1:]), goal_us)


async def figures() -> list[Figure]:
    """Every way of calling, each with a bridge of its own."""
    found: list[Figure] = []
    for alias in ("priority", "balanced", "hedged"):
        bridge = Bridge(CONFIG)
        found.append(await measure(f"chat, {alias}", CALL_GOAL_US, _chatting(bridge, alias)))
        await bridge.aclose()
    bridge = Bridge(CONFIG)
    found.append(await measure("chat, exact cache, hit", CALL_GOAL_US, _chatting(bridge, "retrying", is_same=True)))
    found.append(await measure("stream of 11 chunks", STREAM_GOAL_US, _streaming(bridge, "priority")))
    await bridge.aclose()
    return found


def _chatting(bridge: Bridge, alias: str, *, is_same: bool = False) -> Callable[[int], Awaitable[None]]:
    async def call(number: int) -> None:
        await bridge.chat(asking(alias, 0 if is_same else number), CONTEXT)

    return call


def _streaming(bridge: Bridge, alias: str) -> Callable[[int], Awaitable[None]]:
    async def call(number: int) -> None:
        async for _ in bridge.stream(asking(alias, number), CONTEXT):
            pass

    return call


def main() -> None:
    """Print goal and figure."""
    print(f"{'call':28} {'CPU':>9} {'goal':>9}")
    found = asyncio.run(figures())
    for figure in found:
        mark = "" if figure.cpu_us <= figure.goal_us else "  MISSED"
        print(f"{figure.name:28} {figure.cpu_us:6.0f} us {figure.goal_us:6.0f} us{mark}")
    if any(figure.cpu_us > figure.goal_us for figure in found):
        sys.exit(1)


if __name__ == "__main__":
    main()
