"""Exact cost: every ledger row recomputes, and totals are those of genai-prices.

    python -m benchmarks.cost

Calls over all priced models of ten vendors, with random usages (cached, cache-written, reasoning, long-context), go
through the real bridge, the journal and its drain into SQLite. Then each ledger row is recomputed from what it stores,
and totals are compared with genai-prices' own `calc_price`. Costs that providers stated themselves in recorded traffic
are shown beside ours. Exits 1 on a difference.
"""

import asyncio
import random
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import genai_prices
import msgspec
from genai_prices.types import Usage as PricedTokens
from sqlalchemy import select

from benchmarks.cost_vendors import DIALECTS, PRICES_OF, ReportingTransport
from bridge.call_record import CallContext, PriceRef
from bridge.catalog.entries import ModelEntry
from bridge.catalog.models import ModelCatalog
from bridge.catalog.prices import Prices
from bridge.chat import ChatRequest, Message, Usage
from bridge.clock import SystemClock
from bridge.config import BridgeConfig
from bridge.gateway import Bridge
from bridge.identifiers import new_id
from bridge.money import from_nano_usd, to_nano_usd
from platform_api.database.addresses import sqlite_url
from platform_api.database.session import Database
from platform_api.database.tables.identity import OrganizationRow
from platform_api.database.tables.usage import LedgerRow
from platform_api.migrations.runner import upgrade_database
from platform_api.usage.drain import UsageDrain
from platform_api.usage.journal import Journal
from tests.support.recorded_traffic import ChatRecording, Recording

CALLS_A_MODEL = 6
SEED = 7
MICRO_USD = Decimal("0.000001")
UNPRICED = "acme/unpriced"
STATING = ("openrouter", "xai", "perplexity")


def bridge_config() -> BridgeConfig:
    """Ten vendors, and one whose prices nobody knows."""
    providers: dict[str, dict[str, object]] = {name: {"api_key": "none"} for name in DIALECTS}
    for name, prices_of in PRICES_OF.items():
        providers[name] = {"dialect": DIALECTS[name], "base_url": "http://127.0.0.1:1/v1", "prices_of": prices_of}
    providers["acme"] = {"dialect": "openai", "base_url": "http://127.0.0.1:1/v1"}
    return BridgeConfig.parse({"providers": providers, "models": {UNPRICED: {}}})


def random_usage(entry: ModelEntry, rng: random.Random) -> Usage:
    """Any usage the model's window allows; every third one is long."""
    window = entry.context_window or 128_000
    size = rng.randrange(window // 2, window) if rng.random() < 1 / 3 else rng.randrange(1, min(window, 50_000))
    output = rng.randrange(1, min(window, 8000))
    cached = rng.randrange(size) if rng.random() < 0.5 else 0
    is_written = entry.provider == "anthropic" and rng.random() < 0.5
    written = rng.randrange(size - cached) if is_written and size - cached > 1 else 0
    thought = rng.randrange(output) if entry.provider != "anthropic" and rng.random() < 0.5 else 0
    return Usage(size, output, cached_tokens=cached, cache_write_tokens=written, reasoning_tokens=thought)


async def fill(database: Database, folder: Path) -> tuple[str, dict[str, ModelEntry]]:
    """Make the calls and drain them; the organisation, and the models by name."""
    clock, rng, org_id = SystemClock(), random.Random(SEED), new_id()
    async with database.system()() as db:
        db.add(OrganizationRow(id=UUID(org_id), slug="o", name="O", plan="self-hosted", created_at=clock.now()))
    vendors = {name: ReportingTransport(dialect) for name, dialect in {**DIALECTS, "acme": "openai"}.items()}
    drain = UsageDrain(database, Journal(folder, new_id()), folder, clock)
    await drain.start()
    bridge = Bridge(bridge_config(), transports=vendors, sinks=[drain], clock=clock, rng=rng)
    models = {entry.name: entry for entry in bridge.models() if "chat" in entry.capabilities}
    for entry in models.values():
        for _ in range(CALLS_A_MODEL):
            vendors[entry.provider].usage = random_usage(entry, rng)
            request = ChatRequest(entry.name, (Message.of("user", "yes?"),))
            await bridge.chat(request, CallContext(org_id=org_id))
    await drain.aclose()
    await bridge.aclose()
    return org_id, models


@dataclass(slots=True)
class Sums:
    """What the ledger and genai-prices say of one vendor."""

    models: set[str] = field(default_factory=set[str])
    rows: int = 0
    unknown: int = 0
    ours: Decimal = Decimal(0)
    theirs: Decimal = Decimal(0)
    problems: list[str] = field(default_factory=list[str])
    kinds: Counter[str] = field(default_factory=Counter[str])


def their_price(row: LedgerRow, usage: Usage, entry: ModelEntry) -> Decimal | None:
    """What genai-prices itself computes; None: it has no price for the model."""
    tokens = PricedTokens(
        input_tokens=usage.input_tokens,
        cache_read_tokens=usage.cached_tokens or None,
        cache_write_tokens=usage.cache_write_tokens or None,
        output_tokens=usage.output_tokens,
        output_reasoning_tokens=usage.reasoning_tokens or None,
    )
    try:
        found = genai_prices.calc_price(
            tokens, entry.model_id, provider_id=entry.prices_of, genai_request_timestamp=row.at
        )
    except LookupError:
        return None
    prices = found.model_price
    is_known = (prices.input_mtok is not None and prices.output_mtok is not None) or entry.model_id.endswith(":free")
    return found.total_price if is_known else None


def check(row: LedgerRow, entry: ModelEntry, prices: Prices, sums: Sums) -> None:
    """Hold one row against what it stores, and against genai-prices."""
    usage = msgspec.convert(row.usage, Usage)
    sums.rows += 1
    sums.models.add(row.model)
    for name in ("cached_tokens", "cache_write_tokens", "reasoning_tokens"):
        sums.kinds[name] += getattr(usage, name) > 0
    sums.kinds["over 200,000"] += usage.input_tokens > 200_000
    theirs = None if entry.price_override is not None else their_price(row, usage, entry)
    if row.cost_nano_usd is None:
        sums.unknown += 1
        if theirs is not None or row.price_row is not None:
            sums.problems.append(f"{row.model}: unknown to us, {theirs} to genai-prices")
        return
    if row.price_row is None or row.price_data_version is None:
        sums.problems.append(f"{row.model}: a cost without a price row")
        return
    again = prices.recompute(PriceRef(row.price_row, row.price_data_version), usage)
    if again != row.cost_nano_usd:
        sums.problems.append(f"{row.model}: {row.cost_nano_usd} recomputes to {again}")
    sums.ours += from_nano_usd(row.cost_nano_usd)
    if entry.price_override is not None:
        sums.theirs += from_nano_usd(row.cost_nano_usd)
        sums.kinds["own prices"] += 1
    elif theirs is None:
        sums.problems.append(f"{row.model}: {row.cost_nano_usd} to us, unknown to genai-prices")
    else:
        sums.theirs += theirs
        if to_nano_usd(theirs) != row.cost_nano_usd:
            sums.problems.append(f"{row.model}: {row.cost_nano_usd} to us, {theirs} to genai-prices")


async def ledger_sums(folder: Path) -> dict[str, Sums]:
    """By vendor."""
    database = Database(sqlite_url(folder / "cost.db"))
    await upgrade_database(database)
    _, models = await fill(database, folder / "journal")
    prices, by_vendor = Prices(), defaultdict[str, Sums](Sums)
    async with database.system().read() as db:
        for row in await db.scalars(select(LedgerRow)):
            check(row, models[row.model], prices, by_vendor[row.provider])
    await database.aclose()
    return by_vendor


@dataclass(slots=True)
class Stated:
    """Costs that one provider stated, beside ours."""

    records: int = 0
    unknown: int = 0
    theirs: Decimal = Decimal(0)
    ours: Decimal = Decimal(0)
    same: int = 0


def stated_costs() -> dict[str, Stated]:
    """Of recorded traffic, by provider. What the recorded model costs here is priced at today's rows."""
    recording = ChatRecording("openai", Recording("openai_chat"))
    clock, prices = SystemClock(), Prices()
    catalog = ModelCatalog(bridge_config(), today=clock.now().date())
    found = {name: Stated() for name in STATING}
    for record_id, record in recording.recording.records.items():
        stated = found.get(record["provider"])
        if stated is None or record["response"]["status"] >= 400:
            continue
        answer = recording.outcome_of(record_id).answer
        if answer.provider_cost_usd is None or answer.usage is None:
            continue
        stated.records += 1
        entry = catalog.find(f"{record['provider']}/{answer.model}")
        ours = None if entry is None else prices.cost(entry, answer.usage, clock.now()).nano_usd
        if ours is None:
            stated.unknown += 1
            continue
        theirs = Decimal(str(answer.provider_cost_usd))
        stated.theirs += theirs
        stated.ours += from_nano_usd(ours)
        stated.same += abs(theirs - from_nano_usd(ours)) < MICRO_USD
    return found


def show(by_vendor: dict[str, Sums], stated: dict[str, Stated]) -> None:
    """Both tables."""
    print(
        f"{'vendor':11} {'models':>6} {'rows':>5} {'cached':>6} {'written':>7} {'thought':>7} {'> 200 k':>7}"
        f" {'unknown':>7} {'ledger USD':>16} {'genai-prices USD':>18} {'difference':>12}"
    )
    for vendor, sums in sorted(by_vendor.items()):
        kinds = sums.kinds
        print(
            f"{vendor:11} {len(sums.models):6} {sums.rows:5} {kinds['cached_tokens']:6}"
            f" {kinds['cache_write_tokens']:7} {kinds['reasoning_tokens']:7} {kinds['over 200,000']:7}"
            f" {sums.unknown:7} {sums.ours:16.9f} {sums.theirs:18.9f} {sums.ours - sums.theirs:12.9f}"
        )
        for problem in sums.problems[:5]:
            print(f"  missed: {problem}")
    print("\ncosts that providers stated in recorded traffic, beside ours")
    print(f"{'provider':11} {'records':>7} {'unknown':>7} {'same':>5} {'stated USD':>12} {'ours USD':>12} {'more':>10}")
    for provider, one in stated.items():
        print(
            f"{provider:11} {one.records:7} {one.unknown:7} {one.same:5} {one.theirs:12.6f} {one.ours:12.6f}"
            f" {one.ours - one.theirs:10.6f}"
        )


def missed(by_vendor: dict[str, Sums]) -> Iterable[str]:
    """What is not as it has to be."""
    for vendor, sums in by_vendor.items():
        yield from sums.problems
        if abs(sums.ours - sums.theirs) >= MICRO_USD:
            yield f"{vendor}: totals differ by {sums.ours - sums.theirs}"
    if by_vendor["acme"].unknown != CALLS_A_MODEL:
        yield "a model without a price must have an unknown cost"
    kinds: Counter[str] = sum((sums.kinds for sums in by_vendor.values()), Counter[str]())
    for name in ("cached_tokens", "cache_write_tokens", "reasoning_tokens", "over 200,000"):
        if not kinds[name]:
            yield f"no usage had {name}"


def main() -> None:
    """Print the tables; exit 1 on a difference."""
    with tempfile.TemporaryDirectory(prefix="mb-cost-") as place:
        by_vendor = asyncio.run(ledger_sums(Path(place)))
    show(by_vendor, stated_costs())
    problems = list(missed(by_vendor))
    rows = sum(sums.rows for sums in by_vendor.values())
    print(f"{rows} rows, {len(problems)} problems")
    for problem in problems[:10]:
        print(f"missed: {problem}")
    if problems:
        sys.exit(1)


if __name__ == "__main__":
    main()
