"""`modelbridge validate`, `plan` and `schema` on files."""

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from platform_api.cli import flow_documents
from platform_api.cli.outcome import CommandError

FINE = "flow: fine\nnodes:\n  a: {type: llm, with: {model: cheapest, prompt: hi}, retry: {attempts: 3}}\n"
CALLER = "flow: caller\nnodes:\n  b: {type: flow, with: {ref: ./fine.yaml, inputs: {x: 1}}}\n"

app = typer.Typer()
app.command()(flow_documents.validate)
app.command()(flow_documents.plan)
app.command()(flow_documents.schema)


@pytest.fixture(name="home", autouse=True)
def home_of_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MODELBRIDGE_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fine.yaml").write_text(FINE, encoding="utf-8")
    (tmp_path / "broken.yaml").write_text("flow: broken\nnodes:\n  a: {type: llmm}\n", encoding="utf-8")
    (tmp_path / "caller.yaml").write_text(CALLER, encoding="utf-8")
    return tmp_path


def run(*arguments: str) -> tuple[Any, str]:
    result = CliRunner().invoke(app, list(arguments), standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return result.return_value, result.stdout


def test_a_valid_document_ends_with_zero() -> None:
    assert run("validate", "fine.yaml")[0] == 0


def test_problems_are_printed_with_place_and_way_out_and_end_with_one() -> None:
    code, text = run("validate", "fine.yaml", "broken.yaml")

    assert code == 1
    assert "broken.yaml:3:13: error: unknown node type `llmm`" in text
    assert "did you mean `llm`?" in text


def test_json_has_one_shape_with_either_option() -> None:
    code, text = run("validate", "broken.yaml", "--format", "json")

    (found,) = json.loads(text)["diagnostics"]
    assert code == 1
    assert set(found) == {"file", "line", "column", "severity", "code", "message", "suggestion"}
    assert run("validate", "broken.yaml", "--json")[1] == text


def test_sarif_places_every_problem() -> None:
    _, text = run("validate", "broken.yaml", "--format", "sarif")

    (log,) = json.loads(text)["runs"]
    (result,) = log["results"]
    assert result["ruleId"] == "unknown_node_type"
    assert result["locations"][0]["physicalLocation"]["region"] == {"startLine": 3, "startColumn": 13}


def test_flows_beside_the_document_are_read_and_their_calls_checked() -> None:
    code, text = run("validate", "caller.yaml")

    assert code == 1
    assert "caller.yaml:3:53: error: unknown input of fine `x`" in text


def test_a_plan_shows_attempts_and_cost_and_refuses_a_broken_flow() -> None:
    code, text = run("plan", "fine.yaml", "--json")

    plan = json.loads(text)
    assert code == 0
    assert plan["steps"][0]["attempts"] == 3
    assert plan["worst_cost_usd"] == 0
    assert run("plan", "fine.yaml")[0] == 0
    assert run("plan", "broken.yaml")[0] == 2


def test_a_file_that_cannot_be_read_is_one_clear_line() -> None:
    Path("latin.yaml").write_bytes(b"flow: caf\xe9")

    with pytest.raises(CommandError, match=r"cannot read nowhere\.yaml"):
        run("validate", "nowhere.yaml")
    with pytest.raises(CommandError, match=r"no UTF-8 text \(byte 9\)"):
        run("validate", "latin.yaml")


def test_the_schema_is_json_schema() -> None:
    code, text = run("schema")

    assert code == 0
    assert json.loads(text)["properties"]["nodes"]["type"] == "object"
