"""The agent in a run: a real bridge, a scripted provider of the OpenAI dialect, tools by HTTP, MCP and as flows."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from bridge.config import BridgeConfig
from bridge.gateway import Bridge
from bridge.json_types import JsonObject
from flows.plan import Plan
from flows.runs import Run, StepRun
from flows.validate import check
from nodes.context import HttpRules
from nodes.mcp_servers import McpServer
from nodes.node import node_types
from nodes.outside import Outside
from tests.support.conformance import EveryModel
from tests.support.engine import Engine
from tests.support.http_server import Asked, Head, HttpServer, http_server
from tests.support.platform import PRICED

pytestmark = pytest.mark.peer

JSON = {"content-type": "application/json"}
CALL_NANO_USD = 200_000
AGENT = """
flow: helper
spec: 1
inputs: {url: {type: string}}
nodes:
  work:
    type: agent
    with:
      model: acme/paid
      goal: Find out.
      max_steps: 4
      tools:
        - {name: stock, http: {url: "${{ inputs.url }}"}, parameters: {type: object, properties: {sku: {type: string}}}}
        - {mcp: tools, only: [add]}
        - {flow: greet@1, name: greet}
outputs: {text: "${{ nodes.work.output.text }}", steps: "${{ nodes.work.output.steps.map(s, s.name) }}"}
"""
MCP = "        - {mcp: tools, only: [add]}\n"
GREET = """
flow: greet
spec: 1
description: Greets somebody.
inputs: {name: {type: string}}
nodes:
  say:
    type: llm
    with: {model: acme/paid, prompt: "Greet {{ name }}", vars: {name: "${{ inputs.name }}"}, max_tokens: 9}
outputs: {text: "${{ nodes.say.output.text }}"}
"""
WAITS = """
flow: greet
spec: 1
nodes:
  ask: {type: approve, with: {}}
outputs: {d: "${{ nodes.ask.output.decision }}"}
"""


def says(text: str) -> JsonObject:
    return {"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}


def wants(tool: str, **arguments: Any) -> JsonObject:
    call: JsonObject = {
        "id": f"call_{tool}", "type": "function", "function": {"name": tool, "arguments": json.dumps(arguments)},
    }  # fmt: skip
    message: JsonObject = {"role": "assistant", "content": None, "tool_calls": [call]}
    return {"message": message, "finish_reason": "tool_calls"}


@dataclass
class Provider:
    """Gives its answers in order, and is a shop with a stock as well."""

    answers: list[JsonObject] = field(default_factory=list[JsonObject])
    asked: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    def __call__(self, asked: Asked) -> Head:
        if asked.target.startswith("/stock"):
            return 200, JSON, json.dumps({"left": 3, "asked": asked.target}).encode()
        self.asked.append(json.loads(asked.body))
        usage = {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150}
        choice = {"index": 0, **self.answers.pop(0)}
        return 200, JSON, json.dumps({"id": "1", "model": "paid", "choices": [choice], "usage": usage}).encode()


@dataclass
class Lab:
    """A bridge with that provider, and an engine."""

    provider: Provider
    server: HttpServer
    bridge: Bridge
    mcp_url: str

    async def run(
        self, *answers: JsonObject, child: str = GREET, has_mcp: bool = True
    ) -> tuple[Run, dict[str, StepRun]]:
        self.provider.answers = list(answers)
        engine = Engine(plans={"greet@1": plan_of(child)})
        engine.services = replace(
            engine.services,
            models=self.bridge,
            node_types=node_types(),
            http=HttpRules(allow_hosts=frozenset({"127.0.0.1"})),
            outside=Outside(mcp_servers={"tools": McpServer(url=self.mcp_url)}),
        )
        engine.lane = type(engine.lane)(engine.services)
        text = AGENT if has_mcp else AGENT.replace(MCP, "")
        run = await engine.start(plan_of(text), {"url": self.server.url("/stock")})
        return run, await engine.steps()


def plan_of(text: str) -> Plan:
    checked = check(text, file="f.yaml", catalog=EveryModel())
    assert checked.plan is not None, list(checked.diagnostics)
    return checked.plan


@pytest.fixture
async def lab(mcp_url: str) -> AsyncIterator[Lab]:
    provider = Provider()
    async with http_server(provider) as server:
        acme = {"dialect": "openai", "base_url": server.url("/v1"), "api_key": "k"}
        config = BridgeConfig.parse({"providers": {"acme": acme}, "models": {"acme/paid": PRICED}})
        bridge = Bridge(config)
        yield Lab(provider, server, bridge, mcp_url)
        await bridge.aclose()


async def test_it_works_with_tools_of_every_kind_and_counts_what_flows_inside_cost(lab: Lab) -> None:
    run, steps = await lab.run(
        wants("stock", sku="a b"),
        wants("add", a=2, b=3),
        wants("greet", name="Ada"),
        says("Hello Ada!"),
        says("All done."),
    )

    assert run.status == "succeeded", run.errors
    assert run.outputs == {
        "text": "All done.",
        "steps": ["acme/paid", "stock", "acme/paid", "add", "acme/paid", "greet", "acme/paid"],
    }
    last = [message["content"] for message in lab.provider.asked[-1]["messages"] if message["role"] == "tool"]
    assert [json.loads(text) for text in last] == [
        {"left": 3, "asked": "/stock?sku=a+b"}, {"result": 5}, {"text": "Hello Ada!"},
    ]  # fmt: skip
    assert steps["work.greet_1.say"].status == "succeeded"
    assert steps["work"].cost_nano_usd == 5 * CALL_NANO_USD
    assert run.cost_nano_usd == 5 * CALL_NANO_USD
    offered = {tool["function"]["name"]: tool["function"] for tool in lab.provider.asked[0]["tools"]}
    assert set(offered) == {"stock", "add", "greet"}
    assert offered["greet"]["description"] == "Greets somebody."


async def test_unknown_tools_and_wrong_arguments_are_answered_and_the_last_step_must_answer(lab: Lab) -> None:
    run, steps = await lab.run(
        wants("rm", path="/"), wants("add", a="x"), wants("greet", nmae="Ada"), says("I gave up.")
    )

    assert run.status == "succeeded"
    output: Any = steps["work"].output
    assert output["ended_by"] == "max_steps"
    assert [step["is_error"] for step in output["steps"] if step["kind"] == "tool"] == [True] * 3
    assert lab.provider.asked[-1]["tool_choice"] == "none"


async def test_a_flow_that_may_wait_is_no_tool_and_nothing_is_spent(lab: Lab) -> None:
    run, steps = await lab.run(child=WAITS, has_mcp=False)

    assert run.status == "failed"
    assert "may wait" in run.errors[0].message
    assert steps["work"].cost_nano_usd == 0
    assert lab.provider.asked == []


async def test_a_failure_of_the_model_inside_a_session_keeps_its_own_class(lab: Lab) -> None:
    run, _ = await lab.run({"message": {"role": "assistant", "content": ""}, "finish_reason": "content_filter"})

    assert run.status == "failed"
    assert "mcp" not in run.errors[0].message
