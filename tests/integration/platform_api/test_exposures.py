"""A/B tests of flows on the platform: sticky over runs and versions, on both databases."""

import asyncio
from collections import Counter
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import select

from bridge.identifiers import new_id
from flows.experiments import Exposure
from platform_api.database.session import Database
from platform_api.database.tables.flows import ExposureRow
from platform_api.flow_api.exposures import SqlExposures
from tests.support.money import NOW, new_organization
from tests.support.platform import running_platform

pytestmark = pytest.mark.peer

FLOW = """
flow: hello
spec: 1
inputs: {user: {type: string}}
nodes:
  say:
    type: llm
    with: {model: mock/echo, prompt: "Old {{ u }}", vars: {u: "${{ inputs.user }}"}}
    experiment:
      id: greeting
      unit: ${{ inputs.user }}
      arms: {old: WEIGHT, new: {weight: 50, with: {prompt: "New {{ u }}"}}}
outputs: {text: "${{ nodes.say.output.text }}"}
"""


async def test_of_many_that_meet_a_test_at_once_all_get_one_arm_and_one_row_is_kept(database_url: str) -> None:
    database = Database(database_url)
    try:
        org_id = await new_organization(database)
        exposures = SqlExposures(database, new_id)
        one = Exposure(org_id, "t", "a" * 64, "x", 0.5, "f", new_id(), "say", NOW)

        arms = await asyncio.gather(*(exposures.expose(replace(one, arm=arm)) for arm in "xyxyxyxy"))

        async with database.for_org(UUID(org_id)).read() as db:
            rows = list(await db.scalars(select(ExposureRow)))
        assert [(row.test, row.share, row.step_path, row.at) for row in rows] == [("t", 0.5, "say", NOW)]
        assert set(arms) == {rows[0].arm}
    finally:
        await database.aclose()


async def test_a_user_keeps_the_arm_over_runs_versions_and_replays(sqlite_url: str, tmp_path: Path) -> None:
    users = [f"user-{number}" for number in range(8)]
    async with running_platform(sqlite_url, tmp_path) as platform:
        name = await platform.publish(FLOW.replace("WEIGHT", "50"))
        runs = {user: (await platform.run(name, {"user": user})).json() for user in users}
        first = {user: run["outputs"]["text"] for user, run in runs.items()}
        await platform.publish(FLOW.replace("WEIGHT", "0.001"))
        second = {user: (await platform.run(name, {"user": user})).json()["outputs"]["text"] for user in users}
        replayed = await platform.client.post(f"/api/runs/{runs[users[0]]['run_id']}/replay", json={})

    assert second == first
    assert set(Counter("New" in text for text in first.values())) == {True, False}
    assert replayed.json()["is_same"]
