"""The three books side by side: the ledger, what clients saw, what the upstream counted. They must agree."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import asyncpg

from benchmarks.ledger_client import Seen
from benchmarks.ledger_upstream import INPUT_NANO_USD, OUTPUT_NANO_USD, bill_nano_usd
from bridge.call_record import PriceRef
from bridge.catalog.prices import Prices
from bridge.chat import Usage
from platform_api.usage.open_calls import CUT_OFF

Row = Mapping[str, Any]
"""Of a query."""
CALLS = "select id::text, request_id, error_message from calls"
ATTEMPTS = """
select l.attempt_id::text, l.call_id::text, c.request_id, l.input_tokens, l.output_tokens, l.cost_nano_usd,
       l.is_estimated, l.usage is null as is_bare, l.outcome, l.price_row, l.price_data_version, l.corrects::text
from ledger l left join calls c on c.id = l.call_id
"""
BUDGET = "select coalesce(sum(held_nano_usd), 0) held, coalesce(sum(settled_nano_usd), 0) settled from budget_windows"


@dataclass(slots=True)
class Verdict:
    """What was compared, as lines, and what did not agree."""

    lines: list[str] = field(default_factory=list[str])
    problems: list[str] = field(default_factory=list[str])

    def check(self, said: str, *, holds: bool) -> None:
        """One comparison."""
        self.lines.append(f"{'agrees' if holds else 'DIFFERS':8} {said}")
        if not holds:
            self.problems.append(said)


async def compare(socket_folder: str, seen: Seen, asked: Mapping[str, int]) -> Verdict:
    """Read the database at `socket_folder` and hold it against the other two."""
    connection: Any = await cast("Any", asyncpg).connect(host=socket_folder, user="postgres", database="postgres")
    try:
        calls = [dict(row) for row in await connection.fetch(CALLS)]
        attempts = [dict(row) for row in await connection.fetch(ATTEMPTS)]
        budget = dict(await connection.fetchrow(BUDGET))
    finally:
        await connection.close()
    verdict = Verdict()
    compare_calls(verdict, calls, seen)
    compare_attempts(verdict, attempts, asked)
    compare_costs(verdict, attempts, seen)
    total = sum(one["cost_nano_usd"] or 0 for one in attempts)
    said = f"budget: settled {budget['settled']} = ledger {total} nano-USD, held {budget['held']}"
    verdict.check(said, holds=int(budget["settled"]) == total and int(budget["held"]) == 0)
    return verdict


def compare_calls(verdict: Verdict, calls: Sequence[Row], seen: Seen) -> None:
    """Every answered call is there once under its id; every other one broke off, or was refused, for its client."""
    by_mark = Counter(call["request_id"] for call in calls)
    ids = {call["request_id"]: call["id"] for call in calls}
    answered = {mark: ids.get(mark) for mark in seen.answered}
    distinct = set(answered.values()) - {None}
    verdict.check(
        f"calls answered {len(seen.answered)} = their distinct ids in the ledger {len(distinct)}",
        holds=answered == seen.answered and len(set(seen.answered.values())) == len(seen.answered),
    )
    others = set(ids) - set(seen.answered)
    lost = {call["request_id"] for call in calls if call["error_message"] == CUT_OFF}
    broken, refused = others & set(seen.broken), others & set(seen.refused)
    verdict.check(
        f"other calls {len(others)} = broken off before the client's eyes {len(broken)} + refused {len(refused)}"
        f" ({len(seen.broken)} broke off; {len(lost)} are estimated, none of them answered)",
        holds=others == broken | refused and lost <= broken,
    )
    twice = [mark for mark, times in by_mark.items() if times > 1]
    verdict.check(f"no request has two calls ({len(twice)} have)", holds=not twice)


def compare_attempts(verdict: Verdict, attempts: Sequence[Row], asked: Mapping[str, int]) -> None:
    """As many as the upstream counted, request by request; a kill may keep one from leaving after it was journalled."""
    made = [one for one in attempts if one["corrects"] is None]
    ledger = Counter(one["request_id"] for one in made)
    unsent = {
        mark
        for mark in {one["request_id"] for one in made if one["is_estimated"] and one["is_bare"]}
        if ledger[mark] == asked.get(mark, 0) + 1
    }
    counted = sum(asked.values())
    verdict.check(
        f"attempts in the ledger {len(made)} = the upstream's own count {counted}"
        f" + {len(unsent)} killed between journal and socket, at their worst case",
        holds=all(ledger[mark] == asked.get(mark, 0) + (mark in unsent) for mark in {*ledger, *asked}),
    )
    ids = Counter(one["attempt_id"] for one in attempts)
    verdict.check(f"no attempt twice ({len(attempts)} rows, {len(ids)} ids)", holds=len(ids) == len(attempts))


def compare_costs(verdict: Verdict, attempts: Sequence[Row], seen: Seen) -> None:
    """Every cost is usage times price, and answered calls cost what the upstream billed for them."""
    prices, wrong, n_priced = Prices(), 0, 0
    for one in attempts:
        if one["is_bare"] or one["price_row"] is None:
            continue
        n_priced += 1
        usage = Usage(one["input_tokens"], one["output_tokens"])
        ref = PriceRef(one["price_row"], one["price_data_version"])
        by_hand = one["input_tokens"] * INPUT_NANO_USD + one["output_tokens"] * OUTPUT_NANO_USD
        wrong += not one["cost_nano_usd"] == by_hand == prices.recompute(ref, usage)
    verdict.check(f"cost recomputes from usage and price in {n_priced} rows ({wrong} do not)", holds=not wrong)
    paid = sum(
        one["cost_nano_usd"] for one in attempts if one["outcome"] == "succeeded" and one["request_id"] in seen.answered
    )
    billed = sum(bill_nano_usd(mark) for mark in seen.answered)
    verdict.check(f"cost of answered calls {paid} = the upstream's bill {billed} nano-USD", holds=paid == billed)
