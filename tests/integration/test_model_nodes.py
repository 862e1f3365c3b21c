"""The model-calling nodes on the real bridge: the model in the box, and the scripted provider."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio

from bridge.config import BridgeConfig
from bridge.gateway import Bridge
from bridge.json_types import JsonObject
from evaluators.schema_check import schema_problems
from nodes.classify import ClassifyNode
from nodes.context import NodeContext
from nodes.evaluate import EvaluateNode
from nodes.extract import ExtractNode
from nodes.llm import LlmNode
from tests.support.fakes import node_context

pytestmark = pytest.mark.peer

LOCAL: JsonObject = {"providers": {"local": {"options": {"threads": 1, "slots": 1}}}}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bridge() -> AsyncIterator[Bridge]:
    made = Bridge(BridgeConfig.parse(LOCAL))
    yield made
    await made.aclose()


@pytest.fixture
def context(bridge: Bridge) -> NodeContext:
    return replace(node_context(), models=bridge)


@pytest.mark.asyncio(loop_scope="module")
class TestTheModelInTheBox:
    async def test_classify_answers_with_classes_and_not_always_the_same(self, context: NodeContext) -> None:
        classes = {
            "billing": "invoices, payments and refunds",
            "outage": "service is down or broken",
            "other": "anything else",
        }
        labels: set[str] = set()
        for text in ("My invoice is wrong", "The site is down", "How do I export data?"):
            output = await ClassifyNode.model_validate({"text": text, "classes": classes, "model": "cheapest"}).run(
                context
            )
            labels.add(output.label)
            assert 0 < output.confidence <= 1
            assert sum(output.scores.values()) == pytest.approx(1)

        assert labels <= set(classes)
        assert len(labels) > 1
        assert len(context.facts.calls) == 3
        assert {call.cost_nano_usd for call in context.facts.calls} == {0}

    async def test_llm_fills_a_schema_and_says_who_answered(self, context: NodeContext) -> None:
        schema: JsonObject = {
            "type": "object",
            "required": ["reply", "risk"],
            "properties": {"reply": {"type": "string", "maxLength": 80}, "risk": {"enum": ["low", "high"]}},
            "additionalProperties": False,
        }
        block = {
            "prompt": "Answer: {{ t }}",
            "vars": {"t": "My invoice is wrong"},
            "schema": schema,
            "max_tokens": 120,
            "temperature": 0.0,
        }

        output = await LlmNode.model_validate(block).run(context)

        assert schema_problems(schema, output.json_value) == ()
        assert (output.model, output.provider, output.cost_usd) == ("local/smollm2", "local", 0.0)
        assert output.usage.input_tokens > 5
        assert output.decision_id
        assert schema_problems(LlmNode.output_schema(block), output.model_dump(mode="json")) == ()

    async def test_llm_streams_what_it_says(self, context: NodeContext) -> None:
        told: list[str] = []
        block = {"prompt": "Say hello.", "max_tokens": 12}

        output = await LlmNode.model_validate(block).run(replace(context, on_token=told.append))

        assert len(told) > 1
        assert "".join(told) == output.text

    async def test_extract_fits_the_schema(self, context: NodeContext) -> None:
        schema: JsonObject = {
            "type": "object",
            "required": ["amount"],
            "properties": {"amount": {"type": "integer"}, "due": {"type": "string", "maxLength": 20}},
        }
        block = {"text": "Please pay 120 EUR.", "schema": schema, "model": "cheapest", "max_tokens": 80}

        output = await ExtractNode.model_validate(block).run(context)

        assert schema_problems(schema, output.json_value) == ()
        assert set(output.missing) <= {"due"}

    async def test_a_judge_gives_a_grade_on_the_scale(self, context: NodeContext) -> None:
        judge = {"name": "judge", "rubric": "The reply is polite.", "model": "cheapest"}

        output = await EvaluateNode.model_validate({"value": "Dear customer, we are sorry.", "scorers": [judge]}).run(
            context
        )

        assert output.missing == []
        assert output.scores["judge"] in {0.0, 0.25, 0.5, 0.75, 1.0}
        assert " of 1-5: " in output.reasons["judge"]
