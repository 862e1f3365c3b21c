"""Values under names: kept, got, overwritten, refused."""

from dataclasses import replace

import pytest
from pydantic import ValidationError

from bridge.json_types import JsonObject, JsonValue
from evaluators.schema_check import schema_problems
from nodes.artifacts import MAX_ARTIFACT_BYTES, MissingArtifactError, name_problem
from nodes.context import NodeContext
from nodes.errors import InvalidInputError, NodeError
from nodes.outside import Outside
from nodes.storage import StorageNode, StorageOutput
from tests.support.fakes import node_context
from tests.support.memory_artifacts import MemoryArtifacts


def world(artifacts: MemoryArtifacts, org_id: str = "org") -> NodeContext:
    made = node_context(outside=Outside(artifacts=artifacts))
    return replace(made, call=replace(made.call, org_id=org_id))


async def ran(context: NodeContext, **block: JsonValue) -> StorageOutput:
    return await StorageNode.model_validate(block).run(context)


@pytest.mark.parametrize("value", [None, 0, "text", [1, "é", None], {"a": {"b": [True, 1.5]}}])
async def test_a_value_comes_back_by_its_name_and_by_its_handle(value: JsonValue) -> None:
    context = world(MemoryArtifacts())
    put = await ran(context, put="reports/may.json", value=value)

    by_name, by_handle = await ran(context, get="reports/may.json"), await ran(context, get=put.handle)

    assert put.value == by_name.value == by_handle.value == value
    assert put.handle == by_name.handle == by_handle.handle


async def test_a_name_points_at_the_last_value_and_the_handle_at_its_own() -> None:
    context = world(MemoryArtifacts())
    first = await ran(context, put="a", value=1)
    await ran(context, put="a", value=2)

    assert (await ran(context, get="a")).value == 2
    assert (await ran(context, get=first.handle)).value == 1


async def test_nothing_of_another_organisation_is_reached() -> None:
    artifacts = MemoryArtifacts()
    mine = await ran(world(artifacts), put="a", value="secret")

    for wanted in ("a", mine.handle):
        with pytest.raises(MissingArtifactError) as caught:
            await ran(world(artifacts, "other"), get=wanted)
        assert caught.value.error_class == "invalid_request"


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/etc/passwd",
        "..",
        "../other",
        "a/../b",
        "a/./b",
        "a//b",
        "a/",
        ".hidden",
        "-x",
        "a b",
        "a\\b",
        "a\0b",
        "é",
        "x" * 513,
        "a~",
        "%2e%2e/a",
        "sha256:zz",
    ],
)
def test_a_name_that_might_lead_elsewhere_is_refused(name: str) -> None:
    assert name_problem(name) is not None
    for key in ("put", "get"):
        with pytest.raises(ValidationError):
            StorageNode.model_validate({key: name})


@pytest.mark.parametrize("name", ["a", "_a/B-c.json", "runs/0190/x.y", "a" * 512])
def test_ordinary_names_are_taken(name: str) -> None:
    assert name_problem(name) is None


@pytest.mark.parametrize("block", [{}, {"put": "a", "get": "a"}, {"get": "a", "value": 1}])
def test_it_either_puts_or_gets(block: JsonObject) -> None:
    with pytest.raises(ValidationError):
        StorageNode.model_validate(block)


async def test_a_value_that_is_too_big_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="at most"):
        await ran(world(MemoryArtifacts()), put="a", value="x" * MAX_ARTIFACT_BYTES)


async def test_bytes_that_are_no_json_are_told() -> None:
    artifacts = MemoryArtifacts()
    handle = await artifacts.put("org", b"\xff\xfe")

    with pytest.raises(MissingArtifactError, match="no JSON value"):
        await ran(world(artifacts), get=handle)


async def test_without_a_store_in_the_process_it_says_so() -> None:
    for block in ({"put": "a", "value": 1}, {"get": "a"}, {"get": f"sha256:{'0' * 64}"}):
        with pytest.raises(NodeError, match="was given no artifact store"):
            await StorageNode.model_validate(block).run(node_context())


@pytest.mark.parametrize("block", [{"put": "a", "value": {"x": 1}}, {"get": "a"}])
def test_the_fake_fits_the_schema(block: JsonObject) -> None:
    assert schema_problems(StorageNode.output_schema(block), StorageNode.fake(block)) == ()
    assert StorageNode.fake(block)["value"] == block.get("value")
