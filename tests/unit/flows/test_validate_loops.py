"""What is said of a loop before it runs."""

import pytest

from flows.cost_bound import cost_bound
from flows.validate import check
from tests.support.conformance import EveryModel

LOOP = """\
flow: demo
spec: 1
inputs: {rounds: {type: integer, maximum: 4, default: 2}, free: {type: integer, default: 2}}
nodes:
  again:
    type: loop
    with:
      state: {n: 0, share: 0.5, text: ""}
      until: UNTIL
      max: MAX
      do:
        ask: {type: llm, with: {model: m, prompt: "x", max_tokens: 5}}
        last: {type: transform, with: {map: LAST}}
outputs: {n: "${{ nodes.again.output.state.n + inputs.free + inputs.rounds }}"}
"""


def text(
    *, until: str = "state.n > 1", most: str = "3", last: str = "{n: state.n + 1, text: nodes.ask.output.text}"
) -> str:
    return LOOP.replace("UNTIL", until).replace("MAX", most).replace("LAST", last)


def found(document: str) -> list[tuple[str, str, int]]:
    return [(d.severity, d.code, d.line) for d in check(document, file="f", catalog=EveryModel()).diagnostics]


@pytest.mark.parametrize("most", ["3", "1000", "${{ inputs.rounds }}"])
def test_a_bounded_loop_is_fine(most: str) -> None:
    assert found(text(most=most)) == []


@pytest.mark.parametrize("most", ["0", "1001", "${{ inputs.free }}", "${{ inputs.rounds + 1 }}"])
def test_an_unbounded_loop_is_an_error(most: str) -> None:
    assert ("error", "unbounded_loop", 10) in found(text(most=most))


def test_a_loop_without_max_is_an_error() -> None:
    assert found(text().replace("      max: 3\n", "")) == [("error", "missing_key", 7)]


@pytest.mark.parametrize("until", ["false", "inputs.free > 3"])
def test_an_until_that_no_pass_can_change_is_warned_of(until: str) -> None:
    assert found(text(until=until)) == [("warning", "endless_loop", 9)]


@pytest.mark.parametrize(
    ("last", "code"),
    [
        ("{m: nodes.ask.output.text}", "bad_body"),
        ("{n: state.m, text: nodes.ask.output.text}", "unknown_field"),
    ],
)
def test_the_body_must_fit_the_state(last: str, code: str) -> None:
    assert [found_code for _, found_code, _ in found(text(last=last))] == [code]


def test_the_type_that_a_body_gives_must_be_that_of_the_state() -> None:
    last = "        last: {type: transform, with: {map: {n: state.n + 1, text: nodes.ask.output.text}}}"
    document = text().replace(last, '        last: {type: template, needs: [ask], with: {template: "y"}}')

    assert found(document) == []
    assert found(document.replace('text: ""}', "text: 0}")) == [("error", "bad_body", 13)]


def test_a_whole_number_may_stand_for_a_decimal_state_value() -> None:
    assert found(text(last="{n: state.n + 1, share: 1, text: nodes.ask.output.text}")) == []


def test_state_exists_in_loops_only() -> None:
    assert ("error", "unknown_name", 14) in found(text().replace("nodes.again.output.state.n", "state.n"))


def test_a_loop_is_priced_by_its_passes() -> None:
    plan = check(text(most="${{ inputs.rounds }}"), file="f", catalog=EveryModel()).plan
    assert plan is not None

    bound = cost_bound(plan, EveryModel())

    assert [(cost.path, cost.max_runs) for cost in bound.steps] == [("again.ask", 4)]
    assert (bound.expected_nano_usd, bound.worst_nano_usd) == (1, 4)


@pytest.mark.parametrize("key", ["retry: {attempts: 2}", "cache: {ttl: 1h}"])
def test_a_step_that_walks_others_is_neither_tried_again_nor_cached(key: str) -> None:
    assert ("error", "not_allowed_here", 7) in found(text().replace("type: loop\n", f"type: loop\n    {key}\n"))
