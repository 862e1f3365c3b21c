"""Where a flow may read secrets, and what a step with one leaves behind."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

import pytest
from pydantic import JsonValue

from flows.plan import PlanStep
from flows.runs import StepRun
from flows.secret_reads import names_read
from flows.validate import check
from nodes.context import NodeContext
from nodes.errors import NodeError
from nodes.http import HttpNode
from nodes.node import AnyJson, Node, NodeOutput
from nodes.outside import Outside
from tests.support.conformance import EveryModel
from tests.support.engine import Engine, a_plan, a_step

KEY = "canary-7f3a9"


class KeyedOutput(NodeOutput):
    seen: AnyJson = None


class Keyed(Node[KeyedOutput]):
    """Gives back all it was given, or fails with it."""

    output_type = KeyedOutput
    is_replayable = False
    secret_fields: ClassVar[frozenset[str]] = frozenset({"key"})

    key: AnyJson = None
    note: AnyJson = None
    fails: bool = False

    async def run(self, context: NodeContext) -> KeyedOutput:
        del context
        if self.fails:
            raise NodeError(f"cannot use {self.key}")
        return KeyedOutput(seen={"key": self.key, "note": self.note})


@dataclass
class Table:
    """Secrets of one organisation."""

    values: Mapping[str, str]
    asked: list[tuple[str, tuple[str, ...]]] = field(default_factory=list[tuple[str, tuple[str, ...]]])

    async def of(self, org_id: str, names: Collection[str]) -> Mapping[str, str]:
        self.asked.append((org_id, tuple(names)))
        return {name: self.values[name] for name in names if name in self.values}


async def ended(with_: Mapping[str, JsonValue], secrets: Table, **more: object) -> tuple[StepRun, Engine]:
    engine = Engine()
    engine.services = replace(
        engine.services,
        node_types={"keyed": Keyed},
        outside=Outside(secrets=secrets),
    )
    engine.lane = type(engine.lane)(engine.services)
    step: PlanStep = a_step("one", "keyed", with_=dict(with_), is_replayable=False, **more)
    await engine.start(a_plan(step))
    return (await engine.steps())["one"], engine


async def test_a_step_is_given_the_secret_and_gives_back_none_of_it() -> None:
    table = Table({"KEY": KEY, "OTHER": "never asked for"})

    step, engine = await ended({"key": {"header": "Bearer ${{ secrets.KEY }}"}, "note": "plain"}, table)

    assert step.output == {"seen": {"key": {"header": "Bearer ***"}, "note": "plain"}}
    assert table.asked == [("acme", ("KEY",))]
    assert KEY not in repr([await engine.steps(), await engine.store.load("r1")])
    assert KEY not in repr(engine.bus.__dict__)


async def test_an_error_that_quotes_the_secret_is_told_without_it() -> None:
    step, _ = await ended({"key": "${{ secrets.KEY }}", "fails": True}, Table({"KEY": KEY}))

    assert step.error is not None
    assert step.error.message == "cannot use ***"


async def test_other_fields_of_a_step_never_see_the_root() -> None:
    step, _ = await ended({"key": "${{ secrets.KEY }}", "note": "${{ secrets.KEY }}"}, Table({"KEY": KEY}))

    assert step.error is not None
    assert step.error.error_class == "validation"


async def test_a_secret_that_is_not_there_fails_the_step_and_says_how_to_set_it() -> None:
    step, _ = await ended({"key": "${{ secrets.GONE }}"}, Table({}))

    assert step.error is not None
    assert step.error.error_class == "invalid_request"
    assert "MODELBRIDGE_SECRET_GONE" in step.error.message


def test_only_secret_capable_fields_are_searched_for_names() -> None:
    block = {
        "url": "${{ secrets.A }}",
        "headers": {"x": "${{ secrets.B }}-${{ secrets . C }}", "y": "secrets.D"},
        "auth": {"bearer": "$${{ secrets.E }}"},
    }

    assert names_read(block, HttpNode) == {"B", "C"}


def problems(fields: str) -> list[tuple[str, int]]:
    text = f"flow: f\nspec: 1\nnodes:\n  a:\n    type: http\n    timeout: 5s\n{fields}"
    found = check(text, file="f.yaml", catalog=EveryModel()).diagnostics
    return [(one.code, one.line) for one in found if one.severity == "error"]


@pytest.mark.parametrize(
    "field",
    ['headers: {authorization: "Bearer ${{ secrets.KEY }}"}', "auth: {bearer: '${{ secrets.API_KEY_2 }}'}"],
)
def test_secrets_are_read_in_headers_and_auth(field: str) -> None:
    assert problems(f"    with:\n      url: https://x.example/\n      {field}\n") == []


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ('    with: {url: "https://x.example/${{ secrets.KEY }}"}\n', [("secret_not_allowed", 7)]),
        ("    with:\n      url: https://x.example/\n      json: ['${{ secrets.KEY }}']\n", [("secret_not_allowed", 9)]),
        ("    when: secrets.KEY == 'x'\n    with: {url: https://x.example/}\n", [("secret_not_allowed", 7)]),
        ("    with: {url: https://x.example/}\noutputs: {k: '${{ secrets.KEY }}'}\n", [("secret_not_allowed", 8)]),
        ("    with: {url: https://x.example/, auth: {bearer: '${{ secrets.key }}'}}\n", [("secret_name", 7)]),
        ("    with: {url: https://x.example/, auth: {bearer: '${{ secrets[\"KEY\"] }}'}}\n", [("secret_name", 7)]),
        ("    with: {url: https://x.example/, auth: {bearer: '${{ json(text(secrets)) }}'}}\n", [("secret_name", 7)]),
    ],
)
def test_a_secret_that_would_reach_anything_else_is_an_error(fields: str, found: list[tuple[str, int]]) -> None:
    assert problems(fields) == found
