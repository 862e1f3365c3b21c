from datetime import UTC, datetime, timedelta
from typing import Any

from studio.api_shapes import Graph, RunDetail
from studio.run_graph import card_of, draw, item_paths, step_id, timeline_names
from tests.support.studio_rows import FAILS, SUCCEEDS, FakeRun

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def run_after(seconds: float, script: Any = SUCCEEDS) -> RunDetail:
    fake = FakeRun("r-1", script, NOW - timedelta(seconds=seconds), {"ticket": "hello"})
    return RunDetail.model_validate(fake.detail(NOW))


def test_a_card_tells_status_time_and_cost_of_its_step() -> None:
    run = run_after(100)
    card = next(node for node in draw(run.graph, run.steps)["nodes"] if node["id"] == "draft")

    assert (card["status"], card["note"]) == ("succeeded", "llm · gpt-4o-mini")
    assert card["figures"].replace("\N{NO-BREAK SPACE}", " ") == "2.7 s · $0.0021"
    assert "succeeded" in card["label"]


def test_edges_into_a_running_step_are_live_and_those_behind_it_are_done() -> None:
    run = run_after(2.0)
    states = {edge["id"]: edge["state"] for edge in draw(run.graph, run.steps)["edges"]}

    assert states["classify>draft"] == "live"
    assert states["judge>route"] == "idle"


def test_edges_of_skipped_steps_are_off_and_the_card_says_why() -> None:
    run = run_after(100, FAILS)
    drawn = draw(run.graph, run.steps)
    judge = next(node for node in drawn["nodes"] if node["id"] == "judge")

    assert {edge["id"]: edge["state"] for edge in drawn["edges"]}["draft>judge"] == "off"
    assert judge["figures"] == "upstream failed"


def test_a_plan_without_a_run_shows_no_status() -> None:
    drawn = draw(run_after(0).graph, None)

    assert {node["status"] for node in drawn["nodes"]} == {"plan"}
    assert {node["status_icon"] for node in drawn["nodes"]} == {""}


def test_finally_steps_stand_in_a_band_below_the_graph() -> None:
    drawn = draw(run_after(0).graph, None)
    main = [node["y"] for node in drawn["nodes"] if node["id"] != "audit"]
    audit = next(node for node in drawn["nodes"] if node["id"] == "audit")

    assert [band["text"] for band in drawn["bands"]] == ["Finally"]
    assert audit["y"] > max(main) + drawn["card_height"]


def test_steps_of_a_body_are_counted_on_their_parent_and_not_drawn() -> None:
    graph = Graph.model_validate(
        {
            "nodes": [
                {"id": "outer", "type": "foreach", "foreach": True, "body": ["inner"]},
                {"id": "inner", "type": "llm"},
            ],
            "edges": [],
        }
    )
    inner = {"status": "succeeded", "type": "llm"}
    run = RunDetail.model_validate(
        {
            "run_id": "r",
            "flow": "f",
            "status": "running",
            "graph": graph.model_dump(),
            "steps": {
                "outer": {"status": "running", "type": "foreach"},
                "outer[0].inner": inner,
                "outer[1].inner": {**inner, "status": "running"},
            },
        }
    )
    drawn = draw(run.graph, run.steps)

    assert [node["id"] for node in drawn["nodes"]] == ["outer"]
    assert drawn["nodes"][0]["figures"] == "1/2"
    assert drawn["nodes"][0]["is_stack"]
    assert item_paths("outer", run.steps) == ["outer[0].inner", "outer[1].inner"]
    assert timeline_names(run.graph, run.steps) == ["outer", "outer[0].inner", "outer[1].inner"]


def test_paths_lead_to_their_card_and_their_step() -> None:
    assert (card_of("outer[2].inner"), step_id("outer[2].inner")) == ("outer", "inner")
    assert (card_of("draft"), step_id("draft")) == ("draft", "draft")
    assert step_id("outer[0].inner[3]") == "inner"
