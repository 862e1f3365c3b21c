"""What every VectorIndex must do. A test file gives `index`, `org_id` and `other_org_id`, and inherits the suite."""

import hashlib
from collections.abc import Sequence

import pytest

from bridge.json_types import JsonValue
from nodes.vector_index import Chunk, Document, Filter, Hit, IndexMismatchError, IndexShape, VectorIndex

SHAPE = IndexShape("mock/vectors", 2)
EAST, NORTH, WEST, NOWHERE = (1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, 0.0)

FILTERS: list[tuple[Filter, list[str]]] = [
    ({"lang": "en"}, ["a", "c"]),
    ({"lang": ["de", "fr"]}, ["b"]),
    ({"lang": "en", "year": 2024}, ["c"]),
    ({"year": [2023.0, 2024]}, ["a", "c"]),
    ({"draft": True}, ["b"]),
    ({"draft": 1}, []),
    ({"year": "2024"}, []),
    ({"missing": "x"}, []),
    ({"lang": "en' or 1=1 --"}, []),
]
"""What is asked of three documents, and those that it holds for."""


def document(name: str, *chunks: tuple[str, Sequence[float]], digest: str = "d", **facts: JsonValue) -> Document:
    made = [Chunk(text, hashlib.sha256(text.encode()).hexdigest(), vector) for text, vector in chunks]
    return Document(name, digest, facts, made)


def named(hits: Sequence[Hit]) -> list[str]:
    return [f"{hit.document}{hit.number}" for hit in hits]


class VectorIndexSuite:
    """Inherit, and provide the fixtures `index`, `org_id` and `other_org_id`."""

    async def test_an_index_is_made_by_the_first_document(self, index: VectorIndex, org_id: str) -> None:
        assert await index.shape(org_id, "kb") is None
        assert await index.digests(org_id, "kb", ["a"]) == {}
        assert await index.remove(org_id, "kb", ["a"]) == 0
        assert list(await index.nearest(org_id, "kb", EAST, limit=3, where={})) == []

        await index.put(org_id, "kb", SHAPE, [document("a", ("red", EAST), digest="d1")])

        assert await index.shape(org_id, "kb") == SHAPE
        assert await index.digests(org_id, "kb", ["a", "b"]) == {"a": "d1"}

    async def test_the_nearest_come_first_with_their_cosine(self, index: VectorIndex, org_id: str) -> None:
        await index.put(org_id, "kb", SHAPE, [document("a", ("w", WEST), ("e", EAST)), document("b", ("n", NORTH))])

        hits = await index.nearest(org_id, "kb", (2.0, 0.2), limit=2, where={})

        assert named(hits) == ["a1", "b0"]
        assert [hit.similarity for hit in hits] == pytest.approx([0.995, 0.0995], abs=1e-3)
        assert [hit.text for hit in hits] == ["e", "n"]

    async def test_a_vector_of_zeros_is_like_nothing(self, index: VectorIndex, org_id: str) -> None:
        await index.put(org_id, "kb", SHAPE, [document("a", ("z", NOWHERE), ("e", EAST), ("w", WEST))])

        hits = await index.nearest(org_id, "kb", EAST, limit=3, where={})

        assert sorted((hit.text, round(hit.similarity, 3)) for hit in hits) == [("e", 1.0), ("w", -1.0), ("z", 0.0)]
        assert hits[0].text == "e"

    async def test_among_equals_what_was_stored_first_comes_first(self, index: VectorIndex, org_id: str) -> None:
        await index.put(org_id, "kb", SHAPE, [document("a", *((f"{n}", EAST) for n in range(9)))])

        assert named(await index.nearest(org_id, "kb", EAST, limit=4, where={})) == ["a0", "a1", "a2", "a3"]

    async def test_a_document_takes_the_place_of_its_namesake(self, index: VectorIndex, org_id: str) -> None:
        await index.put(
            org_id, "kb", SHAPE, [document("a", ("old one", EAST), ("old two", EAST)), document("b", ("b", WEST))]
        )
        await index.put(org_id, "kb", SHAPE, [document("a", ("new", NORTH), digest="d2", lang="en")])

        assert await index.digests(org_id, "kb", ["a", "b"]) == {"a": "d2", "b": "d"}
        hits = await index.nearest(org_id, "kb", NORTH, limit=9, where={})
        assert {hit.text: hit.facts for hit in hits} == {"new": {"lang": "en"}, "b": {}}
        assert list(await index.matching(org_id, "kb", "old", NORTH, limit=9, where={})) == []

    async def test_a_removed_document_is_found_no_more(self, index: VectorIndex, org_id: str) -> None:
        await index.put(org_id, "kb", SHAPE, [document("a", ("red car", EAST)), document("b", ("blue", WEST))])

        assert await index.remove(org_id, "kb", ["a", "never"]) == 1
        assert named(await index.nearest(org_id, "kb", EAST, limit=9, where={})) == ["b0"]
        assert list(await index.matching(org_id, "kb", "red", EAST, limit=9, where={})) == []

    async def test_stored_vectors_are_given_back_by_the_digest_of_their_text(
        self, index: VectorIndex, org_id: str
    ) -> None:
        one = document("a", ("red", (0.25, -0.5)), ("blue", EAST))
        await index.put(org_id, "kb", SHAPE, [one])

        found = await index.vectors(org_id, "kb", [one.chunks[0].digest, "unknown"])

        assert {digest: tuple(vector) for digest, vector in found.items()} == {one.chunks[0].digest: (0.25, -0.5)}

    @pytest.mark.parametrize("shape", [IndexShape("mock/other", 2), IndexShape("mock/vectors", 3)])
    async def test_vectors_of_another_shape_are_refused_and_nothing_changes(
        self, index: VectorIndex, org_id: str, shape: IndexShape
    ) -> None:
        await index.put(org_id, "kb", SHAPE, [document("a", ("red", EAST))])

        with pytest.raises(IndexMismatchError, match="index kb holds vectors of") as caught:
            await index.put(org_id, "kb", shape, [document("b", ("b", (1.0, 0.0, 0.0)[: shape.dimensions]))])

        assert caught.value.error_class == "invalid_request"
        assert await index.digests(org_id, "kb", ["a", "b"]) == {"a": "d"}

    async def test_a_filter_compares_values_and_their_types(self, index: VectorIndex, org_id: str) -> None:
        documents = [
            document("a", ("cat", EAST), lang="en", year=2023),
            document("b", ("cat", EAST), lang="de", draft=True),
            document("c", ("cat", EAST), lang="en", year=2024, draft=False),
        ]
        await index.put(org_id, "kb", SHAPE, documents)

        for where, expected in FILTERS:
            nearest = await index.nearest(org_id, "kb", EAST, limit=9, where=where)
            matching = await index.matching(org_id, "kb", "cat", EAST, limit=9, where=where)
            assert [hit.document for hit in nearest] == expected, where
            assert sorted(hit.document for hit in matching) == expected, where

    async def test_words_are_found_in_any_case_and_the_better_match_comes_first(
        self, index: VectorIndex, org_id: str
    ) -> None:
        documents = [
            document("a", ("the invoice number", EAST)),
            document("b", ("Error E4711 in the invoice", WEST)),
            document("c", ("nothing at all", NORTH)),
        ]
        await index.put(org_id, "kb", SHAPE, documents)

        hits = await index.matching(org_id, "kb", "invoice e4711", EAST, limit=9, where={})

        assert named(hits) == ["b0", "a0"]
        assert [round(hit.similarity, 3) for hit in hits] == [-1.0, 1.0]
        assert named(await index.matching(org_id, "kb", "invoice e4711", EAST, limit=1, where={})) == ["b0"]

    async def test_no_question_is_a_query_language(self, index: VectorIndex, org_id: str) -> None:
        await index.put(org_id, "kb", SHAPE, [document("a", ("harmless", EAST))])

        for words in ('"', "' or 1=1", "* NEAR( ^ :", "a:b - c", "", "  ", "index_id : x", "\\ & | !"):
            assert list(await index.matching(org_id, "kb", words, EAST, limit=9, where={})) == [], words

    async def test_an_organisation_reaches_only_its_own_indexes(
        self, index: VectorIndex, org_id: str, other_org_id: str
    ) -> None:
        mine = document("a", ("secret plan", EAST))
        await index.put(org_id, "kb", SHAPE, [mine])
        assert await index.shape(other_org_id, "kb") is None
        assert await index.digests(other_org_id, "kb", ["a"]) == {}
        await index.put(other_org_id, "kb", IndexShape("mock/other", 3), [document("a", ("theirs", (1.0, 0.0, 0.0)))])

        assert await index.remove(other_org_id, "kb", ["nothing of mine"]) == 0
        assert await index.vectors(other_org_id, "kb", [mine.chunks[0].digest]) == {}
        found = [
            *await index.nearest(other_org_id, "kb", (1.0, 0.0, 0.0), limit=9, where={}),
            *await index.matching(other_org_id, "kb", "secret plan theirs", (1.0, 0.0, 0.0), limit=9, where={}),
        ]
        assert {hit.text for hit in found} == {"theirs"}
        assert await index.remove(other_org_id, "kb", ["a"]) == 1
        assert named(await index.nearest(org_id, "kb", EAST, limit=9, where={})) == ["a0"]
