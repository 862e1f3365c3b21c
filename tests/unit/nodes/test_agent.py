"""The agent's loop: what it asks, tells, refuses and counts, with scripted models."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest
from pydantic import ValidationError

from bridge.chat import ChatResponse, ToolCall, Usage
from bridge.errors import NoRouteError
from bridge.json_types import JsonObject, JsonValue
from nodes.agent import AgentNode, AgentOutput
from nodes.agent_loop import MAX_CALLS_A_STEP
from nodes.agent_tools import MAX_RESULT_CHARS
from nodes.context import FlowEnd, FlowFacts, NodeContext
from nodes.errors import NodeError
from tests.support.fakes import FakeModels, node_context, said

NUMBER: JsonObject = {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}


def calls(*named: tuple[str, str]) -> ChatResponse:
    """An answer that calls tools, with arguments as the model writes them."""
    made = tuple(ToolCall(id=f"c{place}", name=name, arguments=text) for place, (name, text) in enumerate(named))
    return ChatResponse(text="", finish_reason="tool_calls", usage=Usage(10, 5), tool_calls=made)


@dataclass
class Flows:
    """Flows that double `n`, fail, or cost."""

    ran: list[JsonObject] = field(default_factory=list[JsonObject])
    answer: JsonValue = None
    error: NodeError | None = None
    cost_nano_usd: int | None = 7

    async def known(self, ref: str) -> FlowFacts:
        if ref != "double@1":
            raise NodeError(f"no flow {ref}", error_class="invalid_request")
        return FlowFacts("Doubles a number.", NUMBER)

    async def run(self, ref: str, inputs: JsonObject, *, name: str) -> FlowEnd:
        self.ran.append({"ref": ref, "name": name, **inputs})
        answer = self.answer if self.answer is not None else cast("int", inputs["n"]) * 2
        return FlowEnd({"out": answer}, self.cost_nano_usd, self.error)


def context(models: FakeModels, flows: Flows | None = None) -> NodeContext:
    return replace(node_context(models), flows=flows or Flows())


async def worked(models: FakeModels, flows: Flows | None = None, **block: Any) -> AgentOutput:
    given: JsonObject = {"goal": "Double 4.", "model": "m", "tools": [{"flow": "double@1"}], **block}
    return await AgentNode.model_validate(given).run(context(models, flows))


def step_facts(output: AgentOutput) -> list[tuple[str, str, bool]]:
    return [(step.kind, step.name, step.is_error) for step in output.steps]


async def test_it_calls_a_tool_tells_the_model_and_takes_its_answer() -> None:
    models, flows = FakeModels(calls(("double", '{"n": 4}')), said("It is 8.")), Flows()

    output = await worked(models, flows)

    assert (output.text, output.ended_by, output.json_value) == ("It is 8.", "answer", None)
    assert flows.ran == [{"ref": "double@1", "name": "double", "n": 4}]
    assert step_facts(output) == [
        ("model", "mock/echo", False),
        ("tool", "double", False),
        ("model", "mock/echo", False),
    ]
    assert output.cost_usd == 0.003
    told = models.requests[1].messages
    assert [message.role for message in told] == ["system", "user", "assistant", "tool"]
    assert (told[3].text, told[3].tool_call_id) == ('{"out": 8}', "c0")
    offered = models.requests[0].tools[0]
    assert (offered.name, offered.description, offered.parameters) == ("double", "Doubles a number.", NUMBER)


@pytest.mark.parametrize(
    ("name", "arguments", "told"),
    [
        ("nonesuch", "{}", "there is no tool 'nonesuch'; there are: double"),
        ("double", "{n: 4", "the arguments are no JSON"),
        ("double", "[4]", "must be a JSON object"),
        ("double", '{"n": "four"}', "'four' is not of type 'integer'"),
    ],
)
async def test_a_call_that_cannot_be_made_is_told_to_the_model(name: str, arguments: str, told: str) -> None:
    models, flows = FakeModels(calls((name, arguments)), said("Sorry.")), Flows()

    output = await worked(models, flows)

    assert models.requests[1].messages[-1].text.startswith("Error: ")
    assert told in models.requests[1].messages[-1].text
    assert flows.ran == []
    assert output.steps[1].is_error


async def test_a_tool_that_fails_is_told_with_its_class_but_a_spent_budget_ends_the_step() -> None:
    busy = Flows(error=NodeError("try later", error_class="unavailable"))
    models = FakeModels(calls(("double", '{"n": 1}')), said("Cannot."))
    await worked(models, busy)
    assert models.requests[1].messages[-1].text == "Error: unavailable: try later"

    spent = Flows(error=NodeError("used up", error_class="budget"))
    with pytest.raises(NodeError, match="used up"):
        await worked(FakeModels(calls(("double", '{"n": 1}'))), spent)


async def test_the_last_step_must_answer_and_calls_no_tool() -> None:
    models, flows = FakeModels(calls(("double", '{"n": 1}')), said("That is all.")), Flows()

    output = await worked(models, flows, max_steps=2)

    assert output.ended_by == "max_steps"
    assert [request.tool_choice for request in models.requests] == ["auto", "none"]
    assert models.requests[1].messages[-1].text.startswith("Answer now")
    with pytest.raises(NodeError, match="gave no answer"):
        await worked(FakeModels(calls(("double", '{"n": 1}'))), flows, max_steps=1)


async def test_tools_under_approve_are_not_called_but_reported() -> None:
    models, flows = FakeModels(calls(("double", '{"n": 4}')), said("A person must decide.")), Flows()

    output = await worked(models, flows, approve=["double"])

    assert flows.ran == []
    assert [one.model_dump() for one in output.pending] == [{"tool": "double", "arguments": {"n": 4}}]
    assert "a person must approve" in models.requests[1].messages[-1].text


async def test_what_is_left_of_the_budget_bounds_every_call_and_ends_the_work() -> None:
    models = FakeModels(calls(("double", '{"n": 1}')), said("Enough."))

    output = await worked(models, budget=0.004)

    left = [request.routing.max_cost_usd for request in models.requests if request.routing is not None]
    assert left == [0.004, 0.0025]
    assert output.ended_by == "budget"
    assert models.requests[1].tool_choice == "none"
    dear = FakeModels(calls(("double", '{"n": 1}')), NoRouteError("too dear"))
    with pytest.raises(NodeError, match="its budget") as caught:
        await worked(dear, budget=1.0)
    assert caught.value.error_class == "budget"


async def test_an_answer_is_made_to_fit_its_schema() -> None:
    fits = FakeModels(said('Here: {"n": 8}'))
    asked_again = FakeModels(said("eight"), said('{"n": 8}', {"n": 8}))

    assert (await worked(fits, schema=NUMBER)).json_value == {"n": 8}
    assert (await worked(asked_again, schema=NUMBER)).json_value == {"n": 8}
    wanted = asked_again.requests[1].response_format
    assert wanted is not None
    assert wanted.schema == NUMBER


async def test_long_answers_of_tools_are_clipped_and_too_many_calls_at_once_refused() -> None:
    models = FakeModels(calls(*[("double", '{"n": 1}')] * (MAX_CALLS_A_STEP + 2)), said("Done."))
    flows = Flows(answer="x" * 50_000)

    await worked(models, flows)

    told = [message.text for message in models.requests[1].messages if message.role == "tool"]
    assert len(flows.ran) == MAX_CALLS_A_STEP
    assert "more characters are left out" in told[0]
    assert len(told[0]) < MAX_RESULT_CHARS + 100
    assert "left out: too much was read" in told[MAX_CALLS_A_STEP - 1]
    assert "this one was not made" in told[-1]
    assert sum(map(len, told)) < 202_000


async def test_what_flows_inside_cost_is_the_steps_cost_too() -> None:
    at = context(FakeModels(calls(("double", '{"n": 1}'), ("double", '{"n": 2}')), said("Done.")))
    await AgentNode.model_validate({"goal": "g", "tools": [{"flow": "double@1"}]}).run(at)

    assert at.facts.inner_cost_nano_usd == 14
    assert len(at.facts.calls) == 2


async def test_an_agent_without_tools_is_asked_once() -> None:
    models = FakeModels(said("Hello."))

    output = await worked(models, tools=[])

    assert (output.text, output.ended_by) == ("Hello.", "answer")
    assert (models.requests[0].tools, models.requests[0].tool_choice) == ((), None)


@pytest.mark.parametrize(
    "block",
    cast(
        "list[dict[str, Any]]",
        [
            {"tools": [{"flow": "a", "mcp": "b"}]},
            {"tools": [{}]},
            {"tools": [{"http": {"url": "https://x.example/"}}]},
            {"tools": [{"name": "a", "http": {"url": "https://x/"}}, {"name": "a", "http": {"url": "https://y/"}}]},
            {"tools": [{"flow": "./a.yaml"}]},
            {"max_steps": 0},
            {"timeout": "2h"},
            {"budget": 0.0},
        ],
    ),
)
def test_a_block_that_makes_no_sense_is_refused(block: Mapping[str, Any]) -> None:
    with pytest.raises(ValidationError):
        AgentNode.model_validate({"goal": "g", **block})


async def test_tools_that_cannot_be_had_fail_the_step_before_any_call() -> None:
    models = FakeModels()

    with pytest.raises(NodeError, match="no flow other@2"):
        await worked(models, tools=[{"flow": "other@2"}])
    with pytest.raises(NodeError, match="two tools are named 'double'"):
        await worked(models, tools=[{"flow": "double@1"}, {"flow": "double@1"}])
    assert models.requests == []


def test_the_bound_of_its_cost_is_every_call_with_all_that_may_be_said() -> None:
    (use,) = AgentNode.model_uses({"goal": "g", "model": "m", "max_steps": 3, "max_tokens": 100})
    (with_schema,) = AgentNode.model_uses({"goal": "g", "model": "m", "max_steps": 3, "schema": NUMBER})

    assert (use.model, use.calls, use.max_output_tokens) == ("m", 3, 100)
    assert use.max_input_bytes > 200_000
    assert with_schema.calls == 4
