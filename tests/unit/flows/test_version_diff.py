from flows.plan import Plan
from flows.validate import check
from flows.version_diff import FieldChange, diff_versions
from nodes.node import ModelUse
from tests.support.conformance import EveryModel

BEFORE = """
flow: f
inputs:
  ticket: {type: string, maxLength: 100}
  old: {type: string, default: x}
budget: {usd: 0.5}
nodes:
  draft: {type: llm, with: {model: cheapest, prompt: "{{ t }}", vars: {t: "${{ inputs.ticket }}"}, max_tokens: 10}}
  gone: {type: template, with: {template: "{{ o }}", vars: {o: "${{ inputs.old }}"}}}
  each: {type: foreach, with: {items: [1, 2], do: {say: {type: template, with: {template: a}}}}}
outputs: {text: "${{ nodes.draft.output.text }}"}
"""
AFTER = """
# Rewritten, in another order, with quotes.
flow: f
budget: {usd: 0.75}
inputs:
  ticket: {maxLength: 200, type: "string"}
  lang: {type: string}
nodes:
  each:
    type: foreach
    with:
      items: [1, 2]
      do: {say: {type: template, with: {template: b}}}
  draft:
    type: llm
    retry: {attempts: 3}
    with: {model: best, prompt: "{{ t }}", vars: {t: "${{ inputs.ticket }}"}, max_tokens: 10}
  fresh: {type: template, needs: [draft], with: {template: "{{ l }}", vars: {l: "${{ inputs.lang }}"}}}
outputs: {text: "${{ nodes.draft.output.text }}"}
"""


class Priced(EveryModel):
    """`best` costs ten times as much."""

    def worst_case_nano_usd(self, use: ModelUse) -> int | None:
        return use.calls * (10_000_000 if use.model == "best" else 1_000_000)

    def expected_nano_usd(self, use: ModelUse) -> int | None:
        return self.worst_case_nano_usd(use)


def plan_of(text: str) -> Plan:
    checked = check(text, file="f", catalog=Priced())
    assert checked.plan is not None, [one.to_text() for one in checked.diagnostics]
    return checked.plan


def test_steps_are_added_removed_and_changed_field_by_field() -> None:
    found = diff_versions(plan_of(BEFORE), plan_of(AFTER), Priced())

    steps = {step.path: step for step in found.steps}
    assert {path: step.change for path, step in steps.items()} == {
        "each.say": "changed",
        "draft": "changed",
        "fresh": "added",
        "gone": "removed",
    }
    assert steps["each.say"].fields == (FieldChange("with.template", "a", "b"),)
    assert steps["draft"].fields == (
        FieldChange("retry.attempts", 1, 3),
        FieldChange("with.model", "cheapest", "best"),
    )


def test_the_difference_of_cost_is_told_for_steps_and_runs() -> None:
    found = diff_versions(plan_of(BEFORE), plan_of(AFTER), Priced())

    (draft,) = [step for step in found.steps if step.path == "draft"]
    assert (draft.worst_usd_before, draft.worst_usd_after) == (0.001, 0.03)
    assert (found.expected_usd_before, found.expected_usd_after) == (0.001, 0.01)
    assert (found.worst_usd_before, found.worst_usd_after) == (0.001, 0.03)


def test_inputs_and_limits_are_compared_one_by_one() -> None:
    found = diff_versions(plan_of(BEFORE), plan_of(AFTER), Priced())

    assert {(one.path, str(one.before), str(one.after)) for one in found.flow} == {
        ("budget.usd", "0.5", "0.75"),
        ("inputs.ticket.maxLength", "100", "200"),
        ("inputs.old", "{'type': 'string', 'default': 'x'}", "None"),
        ("inputs.lang", "None", "{'type': 'string'}"),
        ("required.lang", "None", "True"),
    }


def test_comments_order_and_quotes_are_no_difference() -> None:
    again = BEFORE.replace("flow: f", "# note\nflow: 'f'").replace("{usd: 0.5}", "\n  usd: 0.5")

    assert diff_versions(plan_of(BEFORE), plan_of(again), Priced()).is_empty
