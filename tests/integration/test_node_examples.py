"""Every node has an example, and every example runs: on the real bridge with the model in the box, as a user would."""

from collections.abc import AsyncIterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import pytest_asyncio

from bridge.clock import FrozenClock
from bridge.config import BridgeConfig
from bridge.gateway import Bridge
from bridge.json_types import JsonObject
from flows.inputs import check_inputs
from flows.plan import Plan
from flows.runs import Run
from flows.unsupported import NODE_TYPES
from flows.validate import check
from nodes.context import HttpRules
from nodes.node import node_types
from nodes.outside import Outside
from tests.support.conformance import CaseAnswers, EveryModel
from tests.support.engine import START, Engine
from tests.support.http_server import http_server
from tests.support.memory_artifacts import MemoryArtifacts
from tests.support.memory_index import MemoryVectorIndex
from tests.support.outside import outside_world

pytestmark = pytest.mark.peer

EXAMPLES = Path(__file__).parents[2] / "examples" / "nodes"
LOCAL: JsonObject = {"providers": {"local": {"options": {"threads": 1, "slots": 1}}}}
CLERK: JsonObject = {
    "providers": {
        "mock": {
            "options": {
                "replies": [
                    {"tool_calls": [{"name": "add", "arguments": {"a": 17, "b": 25}}], "times": 1},
                    {"text": "17 plus 25 is 42."},
                ]
            }
        }
    },
    "aliases": {"balanced": {"policy": "priority", "candidates": ["mock/clerk"]}},
}
OUTPUTS: JsonObject = {
    "agent": {"answer": "17 plus 25 is 42.", "ended_by": "answer"},
    "approve": {"sent": "Dear customer, we are sorry."},
    "embed": {"dimensions": 256, "model": "local/wordllama", "n_vectors": 2},
    "evaluate": {"passed": True, "scores": {"names_it": 1.0, "short": 1.0}},
    "flow": {"text": "- one\n- two\n"},
    "foreach": {"all": ["Hello Ada", "Hello Grace"]},
    "guard": {"text": "Write to [EMAIL], IBAN [IBAN].", "kinds": ["email", "iban"]},
    "http": {"status": 404},
    "ingest": {"count": 2, "chunks": 2},
    "loop": {"n": 32, "passes": 5},
    "mcp": {"sum": 5},
    "noop": {},
    "notify": {"delivered": True},
    "python": {"total": 42.5},
    "retrieve": {"best": "e4711", "count": 2},
    "sql": {"names": ["Ada", "Grace"], "count": 2},
    "storage": {"again": {"total": 3}, "is_kept": True},
    "switch": {"done": "a person decides"},
    "template": {"text": "- bread\n- salt\n"},
    "transform": {"ids": ["c", "a"]},
    "wait": {"text": "now"},
}
"""What they answer. Those that ask a model are judged by their fields."""
FIELDS = {
    "classify": {"label", "confidence"},
    "compare": {"answer", "agreement", "asked"},
    "extract": {"number", "missing"},
    "llm": {"reply", "urgent"},
}


@cache
def plan_of(name: str) -> Plan:
    """An example as it is validated beside its siblings: no error, and no warning either."""
    text = (EXAMPLES / f"{name}.yaml").read_text(encoding="utf-8")
    checked = check(text, file=f"{name}.yaml", catalog=EveryModel(), read_ref=_sibling)
    assert list(checked.diagnostics) == []
    assert checked.plan is not None
    return checked.plan


def _sibling(ref: str) -> str:
    return (EXAMPLES / ref).read_text(encoding="utf-8")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bridge() -> AsyncIterator[Bridge]:
    made = Bridge(BridgeConfig.parse(LOCAL))
    yield made
    await made.aclose()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def clerk() -> AsyncIterator[Bridge]:
    """The model in the box calls no tools; the scripted one does."""
    made = Bridge(BridgeConfig.parse(CLERK))
    yield made
    await made.aclose()


async def run_example(name: str, bridge: Bridge, inputs: JsonObject, outside: Outside) -> Run:
    """The example's end; people approve, and time passes."""
    plan, clock = plan_of(name), FrozenClock(START)
    engine = Engine(clock=clock, plans={"./template.yaml": plan_of("template")})
    answers = CaseAnswers(clock, {"r1": {"review": [{"by": "ann", "decision": "approve"}]}})
    rules = HttpRules(allow_hosts=frozenset({"127.0.0.1"}))
    engine.services = replace(
        engine.services, models=bridge, node_types=node_types(), answers=answers, http=rules, outside=outside
    )  # fmt: skip
    engine.lane = type(engine.lane)(engine.services)
    run = await engine.start(plan, check_inputs(plan.inputs_schema, inputs))
    if run.status == "waiting":
        clock.advance(1.0)
        answers.give("r1")
        run = await engine.walk(plan)
    return run


def test_every_node_that_can_run_has_an_example_that_uses_it() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.yaml")} == set(node_types()) - {"test_probe", "test_paid"}
    assert not {path.stem for path in EXAMPLES.glob("*.yaml")} & NODE_TYPES
    for path in EXAMPLES.glob("*.yaml"):
        assert f"type: {path.stem}" in path.read_text(encoding="utf-8")


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("name", sorted(path.stem for path in EXAMPLES.glob("*.yaml")))
async def test_the_example_runs(name: str, bridge: Bridge, clerk: Bridge, tmp_path: Path, mcp_url: str) -> None:
    async with http_server(lambda _: (404, {}, b"not here")) as server, outside_world(tmp_path, mcp_url) as outside:
        world = replace(outside, vectors=MemoryVectorIndex(), artifacts=MemoryArtifacts())
        inputs: JsonObject = {"url": server.url("/page")} if name == "http" else {}
        run = await run_example(name, clerk if name == "agent" else bridge, inputs, world)

    assert run.status == ("failed" if name == "fail" else "succeeded")
    if name in FIELDS:
        assert set(run.outputs or {}) == FIELDS[name]
    elif name == "fail":
        assert [error.message for error in run.errors] == ["an amount cannot be -1.0"]
    else:
        assert run.outputs == OUTPUTS[name]
