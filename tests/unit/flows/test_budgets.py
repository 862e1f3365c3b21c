"""A run's ceiling: what stops at it, and what goes on with a cheaper model."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from bridge.call_record import BudgetScope
from bridge.chat import RoutingOverrides
from bridge.errors import BudgetExceededError
from flows.budgets import cheaper
from flows.plan import BudgetRule, ErrorRule
from flows.runs import Run
from nodes.node import node_types
from tests.support.bridge_calls import Bench, asking, bench
from tests.support.engine import Engine, a_plan, a_step

PRICED = {
    "models": {
        "mock/cheap": {"input_usd_per_mtok": 1, "output_usd_per_mtok": 2, "alias_default": True},
        "mock/dear": {"input_usd_per_mtok": 10, "output_usd_per_mtok": 20},
    },
}
DEAR_ONCE_USD = 0.03
"""The worst case of one dear answer of 1,000 tokens is a little over 0.02 USD, of a cheap one 0.002."""


async def run_on(
    budget: BudgetRule,
    *steps: str,
    limit_usd: float | None = None,
    sections: Mapping[str, object] = PRICED,
    **options: Any,
) -> tuple[Run, Engine, Bench]:
    """A chain of llm steps on the dear model, under a ceiling in the ledger of a real bridge."""
    one = bench(sections=sections, replies=[{"text": "word " * 900}])
    limit = round((limit_usd if limit_usd is not None else budget.usd) * 1e9)
    one.ledger.set_budget("acme", BudgetScope("run", "r1"), limit)
    mine = Engine()
    mine.services = replace(mine.services, models=one.bridge, node_types=node_types())
    mine.lane = type(mine.lane)(mine.services)
    chain = [
        a_step(
            name,
            "llm",
            *steps[max(0, place - 1) : place],
            with_={"model": "mock/dear", "prompt": "hello", "max_tokens": 1000},
            is_replayable=False,
            **options,
        )
        for place, name in enumerate(steps)
    ]
    return await mine.start(a_plan(*chain, budget=budget)), mine, one


async def test_with_degrade_a_call_that_does_not_fit_goes_to_the_cheapest_model() -> None:
    run, mine, one = await run_on(BudgetRule(DEAR_ONCE_USD, "degrade"), "a", "b", "c")

    models = [(await mine.steps())[name].model for name in "abc"]
    assert (run.status, models) == ("succeeded", ["mock/dear", "mock/cheap", "mock/cheap"])
    assert run.cost_nano_usd is not None
    assert run.cost_nano_usd <= DEAR_ONCE_USD * 1e9
    assert len(one.mock.calls) == 3


async def test_with_stop_the_same_run_ends_at_its_ceiling() -> None:
    run, mine, one = await run_on(BudgetRule(DEAR_ONCE_USD, "stop"), "a", "b", "c")

    assert run.status == "failed"
    assert await mine.statuses() == {"a": "succeeded", "b": "failed", "c": "skipped:upstream_failed"}
    assert [error.error_class for error in run.errors] == ["budget"]
    assert len(one.mock.calls) == 1


async def test_when_not_even_the_cheapest_fits_a_degrading_run_stops_too() -> None:
    rules = (ErrorRule("continue"),)
    run, mine, one = await run_on(BudgetRule(1.0, "degrade"), "a", "b", limit_usd=0.0001, on_error=rules)

    assert (run.status, [error.error_class for error in run.errors], one.mock.calls) == ("failed", ["budget"], [])
    assert (await mine.steps())["a"].status == "failed"


async def test_where_there_is_no_cheaper_model_the_refusal_stands() -> None:
    dear = {"models": {"mock/dear": {"input_usd_per_mtok": 10, "output_usd_per_mtok": 20}}}
    run, _, _ = await run_on(BudgetRule(0.001, "degrade"), "a", sections=dear)

    assert [error.error_class for error in run.errors] == ["budget"]


def refused(scope: str) -> BudgetExceededError:
    return BudgetExceededError("too dear", scope=scope, limit_nano_usd=1, left_nano_usd=0)


def test_what_a_step_demands_of_a_model_still_holds_its_choice_of_models_does_not() -> None:
    request = asking("best", routing=RoutingOverrides(candidates=("mock/dear",), regions=("eu",), quality_floor=0.8))

    instead = cheaper(request, refused("run"))

    assert instead is not None
    assert instead.model == "cheapest"
    assert instead.routing == RoutingOverrides(regions=("eu",), quality_floor=0.8)


@pytest.mark.parametrize(("model", "scope"), [("cheapest", "run"), ("best", "org"), ("best", "key")])
def test_the_cheapest_is_asked_once_and_for_the_runs_own_budget_only(model: str, scope: str) -> None:
    assert cheaper(asking(model), refused(scope)) is None
