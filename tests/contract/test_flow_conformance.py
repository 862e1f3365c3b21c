"""The flow language's semantics, document by document, on the inline lane; the durable lane runs the same ones."""

from dataclasses import replace

import pytest

from nodes.node import node_types
from tests.support.conformance import Case, cases
from tests.support.engine import Engine


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
async def test_a_run_ends_as_the_document_says(case: Case) -> None:
    engine = Engine()
    engine.lane = type(engine.lane)(replace(engine.services, node_types=node_types()))

    run = await engine.start(case.plan, case.inputs)

    assert case.seen(run, list((await engine.steps()).values())) == case.wanted
