"""The tests that a flow brings along: what they may say, and how they come out."""

from collections.abc import Mapping

import pytest

from flows.expressions import CelExpressions
from flows.flow_test_run import TestOutcome, run_test
from flows.plan import Plan
from flows.validate import Checked, check
from nodes.errors import InvalidInputError
from tests.support.conformance import EveryModel

FLOW = """
flow: ticket
spec: 1
inputs:
  ticket: {type: string, minLength: 1}
  many: {type: array, items: {type: string}, default: []}
nodes:
  intent:
    type: classify
    with: {model: m, text: "${{ inputs.ticket }}", classes: {outage: down, other: else}}
  similar:
    type: http
    with: {method: GET, url: "https://kb.example/search", query: {q: "${{ inputs.ticket }}"}}
    on_error: {default: {status: 0}}
  draft:
    type: llm
    when: ${{ nodes.intent.output.label != "other" }}
    with:
      model: m
      prompt: "{{ t }} {{ n }}"
      vars: {t: "${{ inputs.ticket }}", n: "${{ nodes.similar.output.status }}"}
      schema: {type: object, required: [reply, risk], properties: {reply: {type: string}, risk: {type: number}}}
  review:
    type: approve
    when: ${{ nodes.draft.output.json.risk > 0.5 }}
    with: {form: {reply: {type: string, default: "${{ nodes.draft.output.json.reply }}"}}}
  each:
    type: llm
    foreach: {items: "${{ inputs.many }}"}
    with: {model: m, prompt: "{{ i }}", vars: {i: "${{ item }}"}}
outputs:
  label: ${{ nodes.intent.output.label }}
  reply: ${{ coalesce(nodes.review.output.values.reply, nodes.draft.output.json.reply, "none") }}
  all: ${{ nodes.each.output }}
finally:
  - {id: done, type: noop, with: {message: "${{ run.status }}"}}
tests:
"""
GOOD = """
  - name: an outage is drafted
    inputs: {ticket: site is down, many: [a, b]}
    mock:
      intent: {label: outage}
      similar: {status: 200, json: []}
      draft: {json: {reply: ok, risk: 0.1}}
      each: [{text: one}, {text: two}]
    expect:
      outputs.reply: ok
      outputs.all[1].text: two
      nodes.review.status: skipped
      nodes.review.reason: when
      nodes.draft.output.json.risk: 0.1
      nodes.each[0].output.text: one
      nodes.review.output: null
      run.status: succeeded
"""


def checked(tests: str, *, flow: str = FLOW, files: Mapping[str, str] | None = None) -> Checked:
    def read(reference: str) -> str:
        return (files or {})[reference]

    return check(f"{flow}{tests}", file="t.yaml", catalog=EveryModel(), read_ref=read)


async def outcomes(tests: str, **more: object) -> list[TestOutcome]:
    found = checked(tests, **more)  # pyright: ignore[reportArgumentType]  # the options of `checked`
    assert found.plan is not None, [problem.to_text() for problem in found.diagnostics]
    return [await run_test(found.plan, test, CelExpressions(), load_nothing) for test in found.tests]


async def load_nothing(org_id: str, reference: str) -> Plan:
    raise InvalidInputError(reference)


async def problems(test: str) -> list[str]:
    [outcome] = await outcomes(test)
    return list(outcome.problems)


async def test_mocks_stand_for_what_would_cost_and_what_they_leave_out_is_faked() -> None:
    [outcome] = await outcomes(GOOD)

    assert outcome.problems == ()
    draft = outcome.steps["draft"].output
    assert isinstance(draft, Mapping)
    assert draft["text"] == "text"
    assert outcome.steps["review"].status == "skipped"
    assert outcome.steps["done"].status == "succeeded"


async def test_what_is_not_as_expected_is_told_with_what_it_is() -> None:
    found = await problems(
        GOOD.replace("outputs.reply: ok", "outputs.reply: fine").replace("all[1].text: two", "all[7].text: two")
    )

    assert found == ['outputs.reply is "ok", expected "fine"', 'outputs.all[7].text is absent, expected "two"']


async def test_a_model_or_http_step_without_a_mock_fails_the_test_even_where_its_error_is_handled() -> None:
    mocked = "{draft: {json: {reply: ok, risk: 0.1}}, similar: {status: 200}}"
    found = await problems(f"\n  - {{name: x, inputs: {{ticket: t}}, mock: {mocked}}}\n")
    assert found[0] == "step `intent` (classify) has no mock, and a test is offline: add it under `mock`"

    found = await problems("\n  - {name: x, inputs: {ticket: t}, mock: {intent: {label: other}}}\n")
    assert found == ["step `similar` (http) has no mock, and a test is offline: add it under `mock`"]


async def test_approvals_and_other_acts_take_their_fakes() -> None:
    mocked = "{intent: {label: outage}, similar: {status: 1}, draft: {json: {reply: r, risk: 0.9}}}"
    [outcome] = await outcomes(
        f"\n  - {{name: x, inputs: {{ticket: t}}, mock: {mocked}, expect: {{nodes.review.status: succeeded}}}}\n"
    )

    assert outcome.problems == ()


async def test_too_few_outputs_for_the_items_are_told() -> None:
    found = await problems(GOOD.replace("[{text: one}, {text: two}]", "[{text: one}]"))

    assert found[0] == "step `each[1]`: the mock lists 1 outputs, and number 2 is needed"


async def test_a_failed_run_fails_the_test_unless_it_is_expected() -> None:
    flow = "flow: f\nspec: 1\nnodes:\n  stop: {type: fail, with: {message: enough}}\ntests:\n"
    test = "  - {name: a}\n  - {name: b, expect: {run.status: failed, 'run.errors[0].message': enough}}\n"

    first, second = await outcomes(test, flow=flow)

    assert first.problems == ("the run is failed: stop: enough; expect `run.status: failed` if that is right",)
    assert second.has_passed


async def test_steps_of_a_child_flow_are_mocked_by_their_path() -> None:
    child = "flow: c\nspec: 1\nnodes:\n  ask: {type: llm, with: {model: m, prompt: hi}}\n"
    child += "outputs: {t: '${{ nodes.ask.output.text }}'}\n"
    flow = "flow: p\nspec: 1\nnodes:\n  sub: {type: flow, with: {ref: ./c.yaml}}\n  ask: {type: noop, with: {}}\n"
    flow += "outputs: {t: '${{ nodes.sub.output.outputs.t }}'}\ntests:\n"
    test = "  - {name: a, mock: {sub.ask: {text: yo}}, expect: {outputs.t: yo, nodes.sub.ask.status: succeeded}}\n"

    [outcome] = await outcomes(test, flow=flow, files={"./c.yaml": child})

    assert outcome.problems == ()


@pytest.mark.parametrize(
    ("test", "said"),
    [
        (
            "{name: x, inputs: {ticket: t}, mock: {intnt: {}}}",
            "38:43 there is no step `intnt` to mock; did you mean `intent`?",
        ),
        ("{name: x, inputs: {ticket: t}, mock: {intent: {lable: a}}}", "lable"),
        ("{name: x, inputs: {ticket: t}, mock: {draft: {json: {reply: 1}}}}", "risk"),
        ("{name: x, inputs: {}}", "ticket"),
        ("{name: x, inputs: {ticket: t, more: 1}}", "more"),
        (
            "{name: x, inputs: {ticket: t}, expect: {outputs.rply: 1}}",
            "there is no output `rply`; did you mean `reply`?",
        ),
        ("{name: x, inputs: {ticket: t}, expect: {nodes.draf.status: 1}}", "there is no step `draf`"),
        ("{name: x, inputs: {ticket: t}, expect: {nodes.draft.colour: 1}}", "nothing that a step has"),
        ("{name: x, inputs: {ticket: t}, expect: {reply: 1}}", "nothing that a test can expect"),
    ],
)
def test_mistakes_in_tests_are_found_when_the_flow_is_validated(test: str, said: str) -> None:
    found = checked(f"  - {test}\n")

    assert found.plan is None
    told = [f"{one.line}:{one.column} {one.message}; {one.suggestion}" for one in found.diagnostics]
    assert any(said in one for one in told), told
