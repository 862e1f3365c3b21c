"""Big outputs leave the run store for the artifact store, and come back whole."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.json_types import JsonValue
from flows.inline_lane import InlineLane
from flows.payloads import OFFLOAD_BYTES, OffloadingRunStore, check_size, encoded, is_small
from flows.runs import RunOwner, StepRun
from nodes.artifacts import MAX_ARTIFACT_BYTES, MissingArtifactError
from nodes.errors import InvalidInputError
from tests.support.engine import Engine, a_plan, a_run, a_step, failing, paid, probe, reads
from tests.support.memory_artifacts import MemoryArtifacts

BIG = "x" * (OFFLOAD_BYTES + 1)


class World:
    """An engine whose store keeps big outputs elsewhere."""

    def __init__(self, *, of: "World | None" = None) -> None:
        self.artifacts = MemoryArtifacts() if of is None else of.artifacts
        self.engine = Engine(of=None if of is None else of.engine)
        self.store = OffloadingRunStore(self.engine.store, self.artifacts)
        self.engine.services = replace(self.engine.services, store=self.store)
        self.engine.lane = InlineLane(self.engine.services)

    async def outputs(self) -> dict[str, JsonValue]:
        """What the run store itself holds."""
        return {path: step.output for path, step in (await self.engine.steps()).items()}


@pytest.fixture
def world() -> World:
    return World()


async def test_a_big_output_is_stored_by_its_content_and_read_whole(world: World) -> None:
    plan = a_plan(probe("small", with_={"value": "s"}), probe("big", with_={"value": BIG}))
    await world.engine.start(plan)

    stored = await world.outputs()
    [(org_id, handle)] = world.artifacts.contents
    assert stored == {"small": {"value": "s"}, "big": {"$artifact": handle, "bytes": len(BIG) + 12}}
    assert org_id == "acme"
    assert {step.path: step.output for step in await world.store.steps("r1")} == {
        "small": {"value": "s"},
        "big": {"value": BIG},
    }


async def test_equal_outputs_are_kept_once(world: World) -> None:
    await world.engine.start(a_plan(*(probe(name, with_={"value": BIG}) for name in "abc")))

    assert len(world.artifacts.contents) == 1


async def test_another_worker_goes_on_with_a_big_output(world: World) -> None:
    after = a_step("after", "test_paid", depends_on=(reads("big"),), is_replayable=False)
    plan = a_plan(paid("big", with_={"prompt": BIG}), replace(after, config={"prompt": "${{ nodes.big.output.text }}"}))
    await world.engine.store.create(a_run(plan))
    held = await world.engine.store.acquire("r1", "first")
    assert held is not None
    done = StepRun("big", "big", "test_paid", "succeeded", output={"text": BIG}, fingerprint="f-big")
    await world.store.save_steps(held, [done])
    await world.engine.store.save_run(held, replace(a_run(plan), status="queued"))

    second = World(of=world)
    run = await second.engine.walk(plan, owner="second")

    assert run.status == "succeeded"
    assert second.engine.models.prompts == [BIG]


async def test_an_output_that_looks_like_a_handle_is_no_handle(world: World) -> None:
    forged = {"$artifact": "sha256:" + "0" * 64, "bytes": 1}
    await world.engine.store.create(a_run(a_plan()))
    held = await world.engine.store.acquire("r1", "me")
    assert held is not None

    await world.store.save_steps(held, [StepRun("a", "a", "http", "succeeded", output=forged)])

    assert [step.output for step in await world.store.steps("r1")] == [forged]
    assert len(world.artifacts.contents) == 1


async def test_what_waits_is_left_where_people_look_for_it(world: World) -> None:
    await world.engine.store.create(a_run(a_plan()))
    held = await world.engine.store.acquire("r1", "me")
    assert held is not None

    await world.store.save_steps(held, [StepRun("a", "a", "approve", "waiting", output={"text": BIG})])

    assert (await world.outputs())["a"] == {"text": BIG}


async def test_a_lost_artifact_is_told(world: World) -> None:
    await world.engine.start(a_plan(probe("big", with_={"value": BIG})))
    world.artifacts.contents.clear()

    with pytest.raises(MissingArtifactError):
        await world.store.steps("r1")


async def test_a_step_that_returns_50_mb_works_and_the_next_one_reads_it(world: World) -> None:
    huge = "y" * 50_000_000
    size = a_step("size", "test_probe", depends_on=(reads("huge"),))
    plan = a_plan(
        probe("huge", with_={"value": huge}),
        replace(size, config={"value": "${{ size(nodes.huge.output.value) }}"}),
    )

    run = await world.engine.start(plan)

    assert run.status == "succeeded"
    stored = await world.outputs()
    assert stored["size"] == {"value": len(huge)}
    assert len(json.dumps(stored)) < 300


async def test_a_step_that_returns_too_much_fails_and_says_so(world: World) -> None:
    run = await world.engine.start(a_plan(probe("huge", with_={"value": "z" * MAX_ARTIFACT_BYTES}), failing("other")))

    [huge] = [error for error in run.errors if error.node == "huge"]
    assert huge.error_class == "validation"
    assert huge.message == (
        f"the output has {MAX_ARTIFACT_BYTES + 12} bytes as JSON, at most {MAX_ARTIFACT_BYTES} are kept: "
        "return less of it"
    )
    assert world.artifacts.contents == {}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=10), inner, max_size=6),
    max_leaves=60,
)


@given(json_values, st.integers(1, 400))
def test_what_is_called_small_is_small(value: JsonValue, times: int) -> None:
    many: list[JsonValue] = [value] * times
    if is_small(many):
        assert len(encoded(many)) <= OFFLOAD_BYTES
        check_size(many)


@pytest.mark.parametrize(
    "value", [10**3_000, "\ud800", {"a": "\x00" * 6_000}, list(range(10_000)), "é" * OFFLOAD_BYTES]
)
def test_what_is_not_small_can_be_written(value: JsonValue) -> None:
    assert is_small(value) or len(encoded(value)) > 1
    check_size(value)


async def test_everything_else_is_the_store_beneath(world: World) -> None:
    await world.engine.store.create(a_run(a_plan()))
    held = await world.store.acquire("r1", "me", lease_s=5)
    assert held is not None
    assert held == RunOwner("r1", "me", 1)

    assert await world.store.renew(held) is False
    assert await world.store.request_cancel("acme", "r1") is True
    assert await world.store.is_cancel_requested("r1") is True
    assert list(await world.store.recordings("r1")) == []
    assert [event.kind for event in await world.store.save_run(held, a_run(a_plan()))] == ["run"]
    assert len(await world.store.events("r1")) == 1
    with pytest.raises(LookupError):
        await world.store.save_steps(RunOwner("r9", "me", 1), [StepRun("a", "a", "x", "succeeded", output=BIG)])


def test_too_much_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="return less of it"):
        check_size("z" * MAX_ARTIFACT_BYTES)
