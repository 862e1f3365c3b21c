"""Documents in, chunks out: what is embedded, kept, found and refused."""

from dataclasses import replace

import pytest
from pydantic import ValidationError

from bridge.json_types import JsonObject, JsonValue
from evaluators.schema_check import schema_problems
from nodes.context import NodeContext
from nodes.errors import InvalidInputError, NodeError
from nodes.ingest import IngestNode, IngestOutput
from nodes.node import ModelUse
from nodes.outside import Outside
from nodes.retrieve import RetrieveNode, RetrieveOutput, fused
from nodes.vector_index import Hit, IndexMismatchError, NoVectorIndex
from tests.support.fakes import FakeModels, node_context
from tests.support.memory_index import MemoryVectorIndex

CATS: JsonObject = {"id": "cats", "text": "cats sleep all day", "metadata": {"lang": "en"}}
CARS: JsonObject = {"id": "cars", "text": "cars need fuel", "metadata": {"lang": "de"}}


class World:
    """An index and models that outlive one step."""

    def __init__(self) -> None:
        self.models = FakeModels()
        self.index = MemoryVectorIndex()

    def context(self, org_id: str = "org") -> NodeContext:
        made = node_context(self.models, outside=Outside(vectors=self.index))
        return replace(made, call=replace(made.call, org_id=org_id))

    async def ingest(self, *documents: JsonObject, org_id: str = "org", **block: JsonValue) -> IngestOutput:
        given: JsonObject = {"index": "kb", "model": "mock/embed", "documents": list(documents), **block}
        return await IngestNode.model_validate(given).run(self.context(org_id))

    async def retrieve(self, query: str, *, org_id: str = "org", **block: JsonValue) -> RetrieveOutput:
        given: JsonObject = {"index": "kb", "model": "mock/embed", "query": query, **block}
        return await RetrieveNode.model_validate(given).run(self.context(org_id))

    @property
    def embedded(self) -> list[tuple[str, ...]]:
        return [request.texts for request in self.models.embedded]


@pytest.fixture
def world() -> World:
    return World()


async def test_documents_are_found_by_their_meaning(world: World) -> None:
    made = await world.ingest(CATS, CARS)
    found = await world.retrieve("where do cats sleep", top_k=1)

    assert (made.count, made.unchanged, made.chunks, made.embedded, made.cost_usd) == (2, 0, 2, 2, 0.0015)
    [document] = found.documents
    assert (document.id, document.chunk, document.text, document.metadata) == ("cats", 0, CATS["text"], {"lang": "en"})
    assert (document.found_by, found.count) == ("meaning", 1)
    assert 0.3 < document.score < 1
    assert [request.input_type for request in world.models.embedded] == ["document", "query"]


async def test_ingesting_again_embeds_and_stores_nothing(world: World) -> None:
    await world.ingest(CATS, CARS)
    again = await world.ingest(CATS, CARS)

    assert (again.count, again.unchanged, again.embedded, again.cost_usd) == (0, 2, 0, 0.0)
    assert len(world.embedded) == 1


async def test_of_a_changed_document_only_new_chunks_are_embedded(world: World) -> None:
    first = "The first paragraph stays as it is, for ever and ever."
    await world.ingest(
        {"id": "a", "text": f"{first}\n\nThe second one is old and will change soon."}, size=60, overlap=0
    )

    changed = await world.ingest({"id": "a", "text": f"{first}\n\nThe second one is new now."}, size=60, overlap=0)

    assert (changed.count, changed.chunks, changed.embedded) == (1, 2, 1)
    assert world.embedded[1] == ("The second one is new now.",)
    assert {d.text for d in (await world.retrieve("the second one is old")).documents} == {
        first,
        "The second one is new now.",
    }


async def test_changed_metadata_is_stored_without_embedding(world: World) -> None:
    await world.ingest(CATS)
    again = await world.ingest({**CATS, "metadata": {"lang": "fr"}})

    assert (again.count, again.embedded) == (1, 0)
    assert [d.metadata for d in (await world.retrieve("cats")).documents] == [{"lang": "fr"}]


async def test_a_document_without_id_is_known_by_its_text(world: World) -> None:
    assert (await world.ingest({"text": "hello"})).count == 1
    assert (await world.ingest({"text": "hello"})).unchanged == 1


async def test_the_same_text_is_embedded_once(world: World) -> None:
    made = await world.ingest({"id": "a", "text": "same"}, {"id": "b", "text": "same"})

    assert (made.chunks, made.embedded) == (2, 1)


async def test_documents_are_removed_by_their_id(world: World) -> None:
    await world.ingest(CATS, CARS)
    gone = await world.ingest(remove=["cats", "never"])

    assert (gone.removed, gone.count, gone.cost_usd) == (1, 0, 0.0)
    assert [d.id for d in (await world.retrieve("cats")).documents] == ["cars"]


async def test_a_filter_and_min_score_narrow_what_is_found(world: World) -> None:
    await world.ingest(CATS, CARS)

    assert [d.id for d in (await world.retrieve("cats", filter={"lang": ["de", "fr"]})).documents] == ["cars"]
    assert [d.id for d in (await world.retrieve("cats", min_score=0.2)).documents] == ["cats"]
    assert (await world.retrieve("zebra", min_score=0.99)).documents == []


async def test_hybrid_finds_by_words_what_no_meaning_finds(world: World) -> None:
    await world.ingest(CATS, {"id": "code", "text": "error e4711 means that cars sleep all day and need fuel and cats"})

    plain = await world.retrieve("e4711", min_score=0.9)
    hybrid = await world.retrieve("e4711", min_score=0.9, hybrid=True)

    assert plain.documents == []
    assert [(d.id, d.found_by) for d in hybrid.documents] == [("code", "words")]


async def test_an_organisation_searches_its_own_index(world: World) -> None:
    await world.ingest(CATS)
    await world.ingest(CARS, org_id="other")

    assert [d.id for d in (await world.retrieve("cats", org_id="other")).documents] == ["cars"]


async def test_an_index_that_is_not_there_is_named_before_anything_is_embedded(world: World) -> None:
    with pytest.raises(NodeError, match="there is no index kb") as caught:
        await world.retrieve("x")

    assert caught.value.error_class == "invalid_request"
    assert world.embedded == []


async def test_another_model_than_the_indexs_is_refused_before_it_is_asked(world: World) -> None:
    await world.ingest(CATS)

    for step in (world.retrieve("x", model="mock/other"), world.ingest(CARS, model="mock/other")):
        with pytest.raises(IndexMismatchError, match="set `model: mock/embed`"):
            await step
    assert len(world.embedded) == 1


async def test_an_alias_that_came_to_mean_another_model_is_refused(world: World) -> None:
    await world.ingest(CATS, model="vectors")
    await world.index.remove("org", "kb", ["cats"])
    world.index = MemoryVectorIndex()
    await world.ingest(CATS, model="mock/embed")

    with pytest.raises(IndexMismatchError, match="holds vectors of mock/embed, not of vectors"):
        await world.retrieve("x", model="vectors")


async def test_too_many_chunks_are_refused_before_anything_is_embedded(world: World) -> None:
    with pytest.raises(InvalidInputError, match="more than 10000 chunks"):
        await world.ingest({"text": "word " * 150_000}, size=50, overlap=0)

    assert world.embedded == []


async def test_without_an_index_in_the_process_both_say_so() -> None:
    context = node_context(outside=Outside(vectors=NoVectorIndex()))

    for node in (
        IngestNode.model_validate({"index": "kb", "documents": [CATS]}),
        RetrieveNode.model_validate({"index": "kb", "query": "x"}),
    ):
        with pytest.raises(NodeError, match="was given no vector index"):
            await node.run(context)


def hit(name: str, similarity: float = 0.0) -> Hit:
    return Hit(name, 0, name, similarity)


def test_what_both_rankings_hold_comes_before_what_one_holds() -> None:
    found = fused([hit("a", 0.9), hit("b", 0.8), hit("c", 0.7)], [hit("d", 0.1), hit("c", 0.7)])

    assert [(one.hit.document, one.by) for one in found] == [
        ("c", "both"),
        ("a", "meaning"),
        ("d", "words"),
        ("b", "meaning"),
    ]


@pytest.mark.parametrize(
    "block",
    [
        {"index": "KB"},
        {"index": "a/b"},
        {"index": "../x"},
        {"index": "k" * 64},
        {"index": "kb", "size": 100, "overlap": 50},
        {"index": "kb", "documents": [{"text": "  "}]},
        {"index": "kb", "documents": [{"id": "a", "text": "x"}, {"id": "a", "text": "y"}]},
        {"index": "kb", "documents": [{"text": "x", "metadata": {'a"b': 1}}]},
        {"index": "kb", "documents": [{"text": "x", "metadata": {"a": None}}]},
    ],
)
def test_what_cannot_be_ingested_is_refused(block: JsonObject) -> None:
    with pytest.raises(ValidationError):
        IngestNode.model_validate(block)


@pytest.mark.parametrize(
    "block", [{"query": ""}, {"top_k": 0}, {"top_k": 101}, {"filter": {"a": []}}, {"filter": {"a": {"gt": 1}}}]
)
def test_what_cannot_be_searched_is_refused(block: JsonObject) -> None:
    with pytest.raises(ValidationError):
        RetrieveNode.model_validate({"index": "kb", "query": "x", **block})


def test_the_bounds_are_the_documents_with_their_overlap_and_the_query() -> None:
    [ingest] = IngestNode.model_uses({"index": "kb", "documents": [{"text": "x" * 100}]})
    [query] = RetrieveNode.model_uses({"index": "kb", "query": "abc", "model": "m"})

    assert (ingest.model, ingest.max_output_tokens) == ("local/wordllama", 0)
    assert ingest.max_input_bytes >= 200
    assert query == ModelUse("m", 3, 0)


@pytest.mark.parametrize("kind", [IngestNode, RetrieveNode])
def test_the_fakes_fit_their_schemas(kind: type[IngestNode] | type[RetrieveNode]) -> None:
    assert schema_problems(kind.output_schema({}), kind.fake({})) == ()
