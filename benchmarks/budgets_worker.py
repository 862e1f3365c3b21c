"""One process that spends a budget: the real bridge over mocks with prices, the SQL ledger, a journal on disk.

Run by `benchmarks.budgets`; reads its orders as JSON from the first argument, prints what happened as JSON.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec
from sqlalchemy import Connection, Engine, event

from bridge.budgets import Grant, LeaseRequest, Refusal
from bridge.call_record import CallContext
from bridge.chat import ChatRequest, Message
from bridge.clock import SystemClock
from bridge.config import BridgeConfig
from bridge.errors import BridgeError, BudgetExceededError, ProviderError
from bridge.gateway import Bridge
from bridge.identifiers import new_id
from platform_api.budgets.ledger import SqlBudgetLedger
from platform_api.database.session import Database
from platform_api.usage.drain import UsageDrain
from platform_api.usage.journal import Journal

MAX_TOKENS = 64


class Orders(msgspec.Struct, frozen=True):
    """What a worker is to do."""

    address: str
    journal: str
    org_id: str
    at_once: int
    calls_each: int
    latency_ms: tuple[float, float]


class Report(msgspec.Struct):
    """What it did."""

    answered: int = 0
    refused: int = 0
    upstream: int = 0
    """Failed where they were sent: near the limit no second model can be afforded."""
    failed: int = 0
    leases_asked: int = 0
    transactions: int = 0
    cpu_s: float = 0.0
    errors: list[str] = []


def bridge_config(latency_ms: tuple[float, float]) -> BridgeConfig:
    """Two priced mocks; the first fails at some turns, unbilled at one and maybe billed at another."""
    latency = {"min_ms": latency_ms[0], "max_ms": latency_ms[1]}
    faults = [
        {"kind": "status", "match": {"model": "shaky", "pattern": r"\.2:"}, "times": None},
        {"kind": "malformed", "match": {"model": "shaky", "pattern": r"\.4:"}, "times": None},
    ]
    return BridgeConfig.parse(
        {
            "providers": {"mock": {"options": {"latency": latency, "faults": faults}}},
            "models": {
                "mock/shaky": {"input_usd_per_mtok": 1, "output_usd_per_mtok": 2},
                "mock/steady": {"input_usd_per_mtok": 3, "output_usd_per_mtok": 5},
            },
            "aliases": {"pair": {"candidates": ["mock/shaky", "mock/steady"]}},
            "retry": {"base_s": 0.01},
        }
    )


class CountingLedger(SqlBudgetLedger):
    """Counts how often calls ask for a lease."""

    asked = 0

    async def lease(self, org_id: str, requests: Sequence[LeaseRequest]) -> tuple[Grant, ...] | Refusal:
        self.asked += 1
        return await super().lease(org_id, requests)


def count_transactions(engine: Engine) -> Counter[str]:
    """Counts what the engine begins from now on."""
    counted: Counter[str] = Counter()

    def count(connection: Connection) -> None:
        del connection
        counted["begun"] += 1

    event.listen(engine, "begin", count)
    return counted


async def spend(orders: Orders) -> Report:
    """Make the calls, as many at once as ordered, and settle them."""
    clock, report = SystemClock(), Report()
    database = Database(orders.address)
    root = Path(orders.journal)
    journal = Journal(root, new_id())
    drain = UsageDrain(database, journal, root, clock)
    ledger = CountingLedger(database, clock, journal.writer_id)
    bridge = Bridge(bridge_config(orders.latency_ms), sinks=[drain], ledger=ledger, clock=clock, journal=journal)
    await drain.start()
    counted = count_transactions(database.engine.sync_engine)
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)  # all begin together

    async def caller(number: int) -> None:
        for turn in range(orders.calls_each):
            message = Message.of("user", f"call {number}.{turn}: tell me something short")
            request = ChatRequest("pair", (message,), max_output_tokens=MAX_TOKENS)
            try:
                await bridge.chat(request, CallContext(org_id=orders.org_id))
                report.answered += 1
            except BudgetExceededError:
                report.refused += 1
            except ProviderError:
                report.upstream += 1
            except BridgeError as error:
                report.failed += 1
                report.errors.append(f"{type(error).__name__}: {error}")

    cpu_s = time.process_time()
    async with asyncio.TaskGroup() as group:
        for number in range(orders.at_once):
            group.create_task(caller(number))
    report.cpu_s = time.process_time() - cpu_s
    report.leases_asked, report.transactions = ledger.asked, counted["begun"]
    await bridge.aclose()
    await drain.aclose()
    await database.aclose()
    return report


def follow_orders() -> None:
    """Follow the orders of the first argument."""
    orders = msgspec.json.decode(sys.argv[1], type=Orders)
    print(json.dumps(msgspec.to_builtins(asyncio.run(spend(orders)))), flush=True)


if __name__ == "__main__":
    follow_orders()
