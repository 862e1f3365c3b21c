"""`run --replay`, `runs replay` and `runs rerun`, in this process: so that it can be sealed while they run."""

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from platform_api.cli.main import app
from platform_api.cli.outcome import CommandError
from platform_api.database.addresses import sqlite_url
from platform_api.database.session import Database
from platform_api.database.tables.flows import RecordingRow
from tests.support.sockets import sealed_sockets

pytestmark = pytest.mark.peer

FLOW = """
flow: greet
spec: 1
inputs: {name: {type: string}}
nodes:
  hello:
    type: llm
    with: {model: local/smollm2, prompt: "Greet {{ n }} in one word.", vars: {n: "${{ inputs.name }}"}, max_tokens: 12}
  mood:
    type: classify
    with:
      model: local/smollm2
      text: ${{ nodes.hello.output.text }}
      classes: {warm: friendly, cold: unfriendly}
  line:
    type: template
    with: {template: "{{ t }} / {{ m }}", vars: {t: "${{ nodes.hello.output.text }}", m: "${{ nodes.mood.output }}"}}
outputs:
  line: ${{ nodes.line.output.text }}
  tokens: ${{ nodes.hello.output.usage.output_tokens }}
"""


class Commands:
    """`modelbridge` with a home of its own."""

    def __init__(self, home: Path, patch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[str]) -> None:
        self.home = home
        self._patch = patch
        self._capture = capture

    def __call__(self, *arguments: str) -> tuple[int, str]:
        """The exit code and what was printed."""
        self._patch.setenv("MODELBRIDGE_HOME", str(self.home))
        self._patch.delenv("DATABASE_URL", raising=False)
        code = app([str(argument) for argument in arguments], standalone_mode=False, prog_name="modelbridge")
        return int(code or 0), self._capture.readouterr().out

    def json(self, *arguments: str) -> Any:
        """What is printed with --json."""
        return json.loads(self(*arguments, "--json")[1])


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Commands:
    (tmp_path / "greet.yaml").write_text(FLOW)
    monkeypatch.chdir(tmp_path)
    return Commands(tmp_path / "home", monkeypatch, capsys)


def outputs_now(report: Any) -> bytes:
    return json.dumps({name: one["now"] for name, one in report["outputs"].items()}, sort_keys=True).encode()


async def change_a_byte(home: Path) -> None:
    database = Database(sqlite_url(home / "modelbridge.db"))
    try:
        async with database.system()() as db:
            row = (await db.scalars(select(RecordingRow).where(RecordingRow.path == "hello"))).one()
            calls = json.loads(row.calls)
            text = calls[0]["answer"]["text"]
            calls[0]["answer"]["text"] = ("X" if text[0] != "X" else "Y") + text[1:]
            await db.execute(update(RecordingRow).where(RecordingRow.path == "hello").values(calls=json.dumps(calls)))
    finally:
        await database.aclose()


def test_a_run_on_the_model_in_the_box_replays_sealed_on_a_copy_of_the_database(commands: Commands) -> None:
    ran = commands.json("run", "greet.yaml", "-i", "name=Ann")
    assert ran["status"] == "succeeded", ran
    before = json.dumps(ran["outputs"], sort_keys=True).encode()
    shutil.copytree(commands.home, commands.home.parent / "copy")
    commands.home = commands.home.parent / "copy"

    with sealed_sockets():
        code, shown = commands("runs", "replay", ran["run_id"])
        same = commands.json("run", "greet.yaml", "--replay", ran["run_id"])
        Path("edited.yaml").write_text(FLOW.replace("Greet", "Insult"))
        edited = commands.json("run", "greet.yaml", "--replay", ran["run_id"], "--with", "edited.yaml")
        asyncio.run(change_a_byte(commands.home))
        changed_code, changed = commands("run", "--replay", ran["run_id"], "--json")

    assert outputs_now(same) == before
    assert (same["is_same"], same["cost_usd"]["spent"], code) == (True, 0, 0)
    assert "same" in shown
    assert {step["path"]: step["verdict"] for step in edited["steps"]} == {
        "hello": "not_recorded",
        "mood": "unknown",
        "line": "unknown",
    }
    assert changed_code == 1
    assert outputs_now(json.loads(changed)) != before


MOCKED = """
flow: greet
spec: 1
inputs: {name: {type: string}}
nodes:
  hello: {type: llm, with: {model: mock/echo, prompt: "Greet {{ n }}", vars: {n: "${{ inputs.name }}"}}}
  mood: {type: llm, with: {model: mock/echo, prompt: "Mood {{ n }}", vars: {n: "${{ nodes.hello.output.text }}"}}}
  line: {type: template, with: {template: "{{ m }} / ", vars: {m: "${{ nodes.mood.output.text }}"}}}
outputs: {line: "${{ nodes.line.output.text }}"}
"""


def test_a_rerun_here_keeps_what_had_succeeded_and_takes_an_edited_flow(commands: Commands) -> None:
    Path("mocked.yaml").write_text(MOCKED)
    Path("modelbridge.yaml").write_text("providers: {mock: {}}\n")
    ran = commands.json("run", "mocked.yaml", "-i", "name=Ann")

    again = commands.json("runs", "rerun", ran["run_id"], "--from", "mood")
    Path("edited.yaml").write_text(MOCKED.replace(" / ", " - "))
    edited = commands.json("run", "mocked.yaml", "--replay", ran["run_id"], "--from", "line", "--with", "edited.yaml")

    assert again["outputs"] == ran["outputs"]
    assert {path: step["reason"] for path, step in again["steps"].items()} == {
        "hello": "reused",
        "mood": None,
        "line": None,
    }
    assert edited["steps"]["mood"]["reason"] == "reused"
    assert edited["outputs"]["line"] == ran["outputs"]["line"].replace(" / ", " - ", 1)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run",), "run needs FLOW.yaml"),
        (("run", "greet.yaml", "--from", "x"), "--replay RUN"),
        (("runs", "replay", "nonsense"), "is no run id"),
        (("runs", "replay", "01a22c7f-8e0e-7709-8363-405e003e3a2d"), "there is no run"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(commands: Commands, arguments: tuple[str, ...], said: str) -> None:
    with pytest.raises(CommandError, match=said) as refused:
        commands(*arguments)

    assert refused.value.code == 2
