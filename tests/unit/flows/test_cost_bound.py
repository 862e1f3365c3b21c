from flows.cost_bound import StepCost, cost_bound
from flows.validate import check
from nodes.node import ModelUse


class Priced:
    def knows(self, name: str) -> bool:
        return name in {"cheap", "unpriced"}

    def suggest(self, name: str) -> str | None:
        return None

    def worst_case_nano_usd(self, use: ModelUse) -> int | None:
        return None if use.model == "unpriced" else 100 * use.calls

    def expected_nano_usd(self, use: ModelUse) -> int | None:
        return None if use.model == "unpriced" else 10 * use.calls


def bound_of(nodes: str) -> tuple[tuple[StepCost, ...], int | None, int | None]:
    head = "flow: f\ninputs: {rows: {type: array, maxItems: 7, default: []}}\nnodes:\n"
    checked = check(head + nodes, file="f.yaml", catalog=Priced())
    assert checked.plan is not None, [d.to_text() for d in checked.diagnostics]
    bound = cost_bound(checked.plan, Priced())
    return bound.steps, bound.expected_nano_usd, bound.worst_nano_usd


CALL = "type: llm, with: {model: cheap, prompt: hi}"


def test_the_worst_case_is_attempts_times_items_of_every_step() -> None:
    steps, expected, worst = bound_of(
        f"  one: {{{CALL}, retry: {{attempts: 3}}}}\n"
        f"  four: {{{CALL}, foreach: {{items: [1, 2, 3, 4]}}}}\n"
        f"  six: {{{CALL}, matrix: {{a: [1, 2], b: [1, 2, 3]}}}}\n"
        f"  seven: {{{CALL}, foreach: {{items: '${{{{ inputs.rows }}}}'}}}}\n"
        f"  loop_it: {{type: foreach, with: {{items: [1, 2], do: {{inner: {{{CALL}, retry: {{attempts: 2}}}}}}}}}}\n"
        "  free: {type: noop}\n"
    )

    assert [(step.path, step.max_runs, step.worst_nano_usd) for step in steps] == [
        ("one", 3, 300),
        ("four", 4, 400),
        ("six", 6, 600),
        ("seven", 7, 700),
        ("loop_it.inner", 4, 400),
    ]
    assert (expected, worst) == (10 * (1 + 4 + 6 + 7 + 2), 2400)


def test_an_unknown_price_makes_the_total_unknown() -> None:
    _, expected, worst = bound_of(f"  a: {{{CALL}}}\n  b: {{type: llm, with: {{model: unpriced, prompt: hi}}}}\n")

    assert (expected, worst) == (None, None)
