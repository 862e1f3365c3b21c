import pytest
from pydantic import ValidationError

from bridge.errors import UnavailableError
from bridge.json_types import JsonObject
from evaluators.schema_check import schema_problems
from nodes.embed import MAX_TEXTS, EmbedNode
from nodes.node import ModelUse
from tests.support.fakes import FakeModels, node_context, word_vector

BLOCK: JsonObject = {"texts": ["red apple", "blue car"]}


async def test_there_is_one_vector_a_text_in_the_order_of_the_texts() -> None:
    models = FakeModels()
    context = node_context(models)

    output = await EmbedNode.model_validate({**BLOCK, "model": "mock/embed", "input_type": "query"}).run(context)

    assert [tuple(vector) for vector in output.vectors] == [word_vector("red apple"), word_vector("blue car")]
    assert (output.dimensions, output.model, output.cost_usd) == (32, "mock/embed", 0.0015)
    assert (models.embedded[0].input_type, models.embedded[0].dimensions) == ("query", None)
    assert len(context.facts.calls) == 1
    assert schema_problems(EmbedNode.output_schema(BLOCK), output.model_dump(mode="json")) == ()


async def test_a_refused_call_fails_the_step_with_its_class() -> None:
    models = FakeModels(UnavailableError("down", deployment="mock/embed"))

    with pytest.raises(UnavailableError):
        await EmbedNode.model_validate(BLOCK).run(node_context(models))


@pytest.mark.parametrize(
    "block", [{"texts": []}, {"texts": ["a"], "dimensions": 0}, {"texts": ["a"] * (MAX_TEXTS + 1)}]
)
def test_a_block_that_cannot_be_embedded_is_refused(block: JsonObject) -> None:
    with pytest.raises(ValidationError):
        EmbedNode.model_validate(block)


def test_the_bound_is_every_byte_once_and_no_answer() -> None:
    assert EmbedNode.model_uses({"texts": ["äb", "c"], "model": "m"}) == (ModelUse("m", 3 + 1 + 2 * 2, 0),)
    assert EmbedNode.model_uses({"texts": ["a"]})[0].model == "local/wordllama"
    assert EmbedNode.model_uses({"texts": ["a"], "model": "${{ inputs.m }}"}) == ()


def test_the_fake_fits_the_schema() -> None:
    assert schema_problems(EmbedNode.output_schema(BLOCK), EmbedNode.fake(BLOCK)) == ()
