"""Which runs count together."""

import pytest

from flows.concurrency import Group, group_of
from flows.expressions import CelExpressions
from flows.plan import ConcurrencyRule
from flows.validate import check
from tests.support.conformance import EveryModel
from tests.support.engine import a_plan

FLOW = """\
flow: demo
spec: 1
inputs: {who: {type: string}}
concurrency: {key: "${{ KEY }}", limit: 2}
nodes: {a: {type: noop, with: {message: "${{ inputs.who }}"}}}
"""


def group(key: object, *, org: str = "acme", flow: str = "demo", who: str = "ann") -> str:
    rule = ConcurrencyRule(2, key=key, on_full="reject")  # pyright: ignore[reportArgumentType]  # any JSON
    found = group_of(a_plan(flow=flow, concurrency=rule), org, f"{org}-slug", {"who": who}, CelExpressions())
    assert found is not None
    assert found == Group(found.key, 2, "reject")
    return found.key


def test_runs_of_one_flow_and_key_value_count_together() -> None:
    by_who = "${{ inputs.who }}"

    assert group(by_who) == group(by_who)
    assert len({group(by_who), group(by_who, who="bob"), group(by_who, org="other"), group(by_who, flow="b")}) == 4
    assert group(None) == group(None, who="bob")
    assert group("${{ tenant.slug }}") == group("acme-slug")


def test_a_flow_without_a_limit_has_no_groups() -> None:
    assert group_of(a_plan(), "acme", "acme", {}, CelExpressions()) is None


@pytest.mark.parametrize(("key", "code"), [("nodes.a.output", "not_allowed_here"), ("inputs.wo", "unknown_field")])
def test_a_key_reads_what_is_known_before_the_run(key: str, code: str) -> None:
    found = check(FLOW.replace("KEY", key), file="f", catalog=EveryModel()).diagnostics

    assert [(d.code, d.line) for d in found] == [(code, 4)]


def test_a_limit_is_part_of_the_plan() -> None:
    plan = check(FLOW.replace("KEY", "inputs.who"), file="f", catalog=EveryModel()).plan

    assert plan is not None
    assert plan.concurrency == ConcurrencyRule(2, key="${{ inputs.who }}", on_full="queue")
