from datetime import UTC, datetime
from decimal import Decimal

from studio.api_shapes import CandidateView, FlowSummary, RunSummary
from studio.formatting import UNKNOWN
from studio.rows import candidate_row, flow_row, run_rows
from tests.support.studio_rows import history

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def flow(**facts: object) -> FlowSummary:
    return FlowSummary.model_validate({"name": "triage", "latest_version": 3, "published_version": 2, **facts})


def test_a_flow_that_never_ran_shows_dashes_and_not_zeros() -> None:
    cells = flow_row(flow(), NOW)["cells"]

    assert [cells[name]["text"] for name in ("success", "p50", "cost", "next")] == [UNKNOWN] * 4
    assert cells["last_runs"]["text"] == "no runs yet"


def test_a_draft_newer_than_the_published_version_is_named() -> None:
    assert flow_row(flow(), NOW)["cells"]["version"]["text"] == "v2, draft v3"
    assert flow_row(flow(published_version=None), NOW)["cells"]["version"]["text"] == "not published"


def test_bars_run_from_old_to_new_and_mark_failures() -> None:
    last_runs = [
        {"run_id": "new", "status": "failed", "duration_ms": 100, "created_at": NOW.isoformat()},
        {"run_id": "old", "status": "succeeded", "duration_ms": 400, "created_at": NOW.isoformat()},
    ]
    cell = flow_row(flow(last_runs=last_runs), NOW)["cells"]["last_runs"]

    assert [(bar["color"], bar["share"]) for bar in cell.get("bars", [])] == [("green", 1.0), ("red", 0.25)]
    assert cell["text"] == "last 2 runs, 1 failed"


def test_a_run_row_always_shows_cost_tokens_and_duration() -> None:
    runs = [RunSummary.model_validate(row) for row in history(NOW)[:10]]
    rows = run_rows(runs, NOW)

    assert rows[0].get("href") == f"/run?run={runs[0].run_id}"
    assert rows[9]["cells"]["cost"]["text"] == UNKNOWN
    assert max(row["cells"]["duration"].get("share", 0.0) for row in rows) == 1.0


def test_a_candidate_not_taken_tells_what_it_would_have_cost() -> None:
    candidate = CandidateView(deployment="anthropic/claude-haiku", reason="dearer", cost_usd=Decimal("0.0088"))
    row = candidate_row(candidate, chosen="openai/gpt-4o-mini", paid=Decimal("0.0021"))

    assert (row["cells"]["price"]["text"], row["cells"]["price"].get("note")) == ("$0.0088", "+$0.0067")


def test_the_winner_shows_what_was_paid_and_not_what_was_expected() -> None:
    candidate = CandidateView(deployment="openai/gpt-4o-mini", cost_usd=Decimal("0.0030"))
    row = candidate_row(candidate, chosen="openai/gpt-4o-mini", paid=Decimal("0.0021"))

    assert row["cells"]["price"]["text"] == "$0.0021"
    assert row.get("tone") == "chosen"


def test_a_dropped_candidate_has_no_counterfactual_price() -> None:
    candidate = CandidateView(deployment="x/y", is_eligible=False, reason="circuit open", cost_usd=Decimal("0.1"))
    row = candidate_row(candidate, chosen="a/b", paid=Decimal("0.2"))

    assert row.get("tone") == "dropped"
    assert "note" not in row["cells"]["price"]
