"""Through the API, on both databases: an index of an organisation's own, and big outputs of steps."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.api import bearer
from tests.support.platform import Platform, new_owner, running_platform

LEARN = """
flow: learn
spec: 1
inputs:
  text: {type: string, maxLength: 2000}
nodes:
  learn: {type: ingest, with: {index: kb, documents: [{id: note, text: "${{ inputs.text }}"}]}}
  look: {type: retrieve, needs: [learn], with: {index: kb, query: what is said, hybrid: true}}
outputs:
  found: ${{ nodes.look.output.documents.map(one, one.text) }}
  embedded: ${{ nodes.learn.output.embedded }}
"""
BIG = """
flow: big
spec: 1
inputs:
  text: {type: string, maxLength: 2000000}
nodes:
  long: {type: template, with: {template: "{{ t }}{{ t }}", vars: {t: "${{ inputs.text }}"}}}
  kept: {type: storage, with: {put: long, value: "${{ nodes.long.output.text }}"}}
outputs:
  n: ${{ size(nodes.kept.output.value) }}
"""


@pytest.fixture
async def platform(database_url: str, tmp_path: Path) -> AsyncIterator[Platform]:
    async with running_platform(database_url, tmp_path / "home") as running:
        yield running


async def test_what_one_organisation_ingested_no_other_finds(platform: Platform) -> None:
    flow = await platform.publish(LEARN)
    mine = await platform.run(flow, {"text": "The moon is made of rock."})
    again = await platform.run(flow, {"text": "The moon is made of rock."})
    _, key = await new_owner(platform.client, "bob@example.com", "Other")
    platform.client.headers.update(bearer(key))
    await platform.publish(LEARN)
    theirs = await platform.run(flow, {"text": "Cheese is made of milk."})

    assert mine.json()["outputs"] == {"found": ["The moon is made of rock."], "embedded": 1}
    assert again.json()["outputs"] == {"found": ["The moon is made of rock."], "embedded": 0}
    assert theirs.json()["outputs"] == {"found": ["Cheese is made of milk."], "embedded": 1}


async def test_a_big_output_is_shown_whole_and_a_bigger_one_as_its_handle(platform: Platform) -> None:
    flow = await platform.publish(BIG)
    text = "abcdefghij" * 3_000
    run = (await platform.run(flow, {"text": text})).json()
    shown = (await platform.client.get(f"/api/runs/{run['run_id']}")).json()["steps"]

    assert run["outputs"] == {"n": 60_000}
    assert shown["long"]["output"] == {"text": text * 2}

    bigger = (await platform.run(flow, {"text": text * 20})).json()
    steps = (await platform.client.get(f"/api/runs/{bigger['run_id']}")).json()["steps"]
    place = steps["kept"]["output"]
    whole = await platform.client.get(f"/api/artifacts/{place['$artifact']}")
    assert set(place) == {"$artifact", "bytes"}
    assert place["bytes"] == len(whole.content) > 1_200_000
    assert whole.headers["content-type"] == "application/json"
    assert whole.json()["value"] == text * 40


async def test_an_artifact_of_another_organisation_is_not_there(platform: Platform) -> None:
    flow = await platform.publish(BIG)
    run = (await platform.run(flow, {"text": "x" * 30_000})).json()
    handle = (await platform.client.get(f"/api/runs/{run['run_id']}")).json()["steps"]["kept"]["output"]["handle"]

    mine = await platform.client.get(f"/api/artifacts/{handle}")
    _, key = await new_owner(platform.client, "bob@example.com", "Other")
    theirs = await platform.client.get(f"/api/artifacts/{handle}", headers=bearer(key))
    nonsense = await platform.client.get("/api/artifacts/..%2F..%2Fsecret")

    assert mine.json() == "x" * 60_000
    assert theirs.status_code == 404
    assert nonsense.status_code in {404, 422}
