"""The commands as a user types them: their output, exit codes and one-line errors."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.peer, pytest.mark.timeout(180)]

ROOT = Path(__file__).resolve().parents[2]
MOCK = """
providers:
  mock: {options: {replies: [{json: {risk: 1, note: fine}}]}}
"""
FAULTY_THEN_LOCAL = """
providers:
  mock: {options: {faults: [{kind: status, status: 500, times: 1}, {kind: hang}]}}
  local: {}
aliases:
  sturdy: {policy: priority, candidates: [mock/echo, local/smollm2]}
retry: {deadline_s: 40}
streams: {ttft_s: 2}
"""
NUMBERS = """
flow: numbers
spec: 1
inputs:
  ticket: {type: string, minLength: 1}
nodes:
  judge:
    type: llm
    with:
      model: mock/echo
      prompt: "{{ t }}"
      vars: {t: "${{ inputs.ticket }}"}
      schema: {type: object, required: [risk], properties: {risk: {type: number}, note: {type: string}}}
  twice:
    type: transform
    with: {map: {risk: "nodes.judge.output.json.risk * 2.0"}}
outputs:
  risk: ${{ nodes.twice.output.risk }}
"""


class Shell:
    """Runs `modelbridge` in an empty folder with an empty home."""

    def __init__(self, place: Path, configuration: str = "") -> None:
        self.place = place
        if configuration:
            (place / "modelbridge.yaml").write_text(configuration)

    def __call__(self, *arguments: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        kept = {name: value for name, value in os.environ.items() if name in ("PATH", "LANG", "LD_LIBRARY_PATH")}
        environment = {**kept, "HOME": str(self.place), "MODELBRIDGE_HOME": str(self.place / "home"), **(env or {})}
        return subprocess.run(
            [str(Path(sys.executable).parent / "modelbridge"), *arguments],
            cwd=self.place,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def json(self, *arguments: str) -> Any:
        done = self(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture
def mocked(tmp_path: Path) -> Shell:
    (tmp_path / "numbers.yaml").write_text(NUMBERS)
    return Shell(tmp_path, MOCK)


def test_a_run_prints_one_object_and_numbers_are_what_the_schema_says(mocked: Shell) -> None:
    answer = mocked.json("run", "numbers.yaml", "-i", "ticket=hello")

    assert answer["status"] == "succeeded"
    assert answer["outputs"] == {"risk": 2.0}
    assert answer["steps"]["judge"]["model"] == "mock/echo"
    assert answer["steps"]["judge"]["attempts"] == 1
    assert answer["cost_usd"] == 0


def test_inputs_that_do_not_fit_end_with_2_before_anything_is_called(mocked: Shell) -> None:
    done = mocked("run", "numbers.yaml", "-i", "ticket=")

    assert done.returncode == 2
    assert "ticket" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_broken_flow_ends_with_2_and_says_where(mocked: Shell) -> None:
    (mocked.place / "broken.yaml").write_text(NUMBERS.replace("type: transform", "type: transfrom"))

    ran = mocked("run", "broken.yaml", "-i", "ticket=x")
    checked = mocked("validate", "broken.yaml")

    assert (ran.returncode, checked.returncode) == (2, 1)
    assert "broken.yaml:15:11" in ran.stdout
    assert "transform" in checked.stdout


def test_a_failed_run_ends_with_1(tmp_path: Path) -> None:
    (tmp_path / "stop.yaml").write_text("flow: stop\nspec: 1\nnodes:\n  end: {type: fail, with: {message: enough}}\n")

    done = Shell(tmp_path)("run", "stop.yaml")

    assert done.returncode == 1
    assert "enough" in done.stderr


def test_a_wait_waits_in_place(tmp_path: Path) -> None:
    flow = "flow: rest\nspec: 1\nnodes:\n  rest: {type: wait, with: {for: 1s}}\n  end: {type: noop, needs: [rest]}\n"
    (tmp_path / "rest.yaml").write_text(flow)

    answer = Shell(tmp_path).json("run", "rest.yaml")

    assert answer["status"] == "succeeded"
    assert answer["steps"]["rest"]["duration_ms"] >= 1000
    assert answer["steps"]["end"]["status"] == "succeeded"


def test_a_run_that_asks_ends_with_3_and_says_what_to_type(tmp_path: Path) -> None:
    form = "{reply: {type: string, default: Dear}, refund: {type: number}}"
    (tmp_path / "review.yaml").write_text(
        "flow: review\nspec: 1\nnodes:\n"
        f"  ask: {{type: approve, with: {{form: {form}}}}}\n"
        "outputs: {refund: '${{ nodes.ask.output.values.refund }}', by: '${{ nodes.ask.output.by }}'}\n"
    )
    shell = Shell(tmp_path)

    asked = shell("run", "review.yaml")
    line = next(line for line in asked.stderr.splitlines() if "waits for an answer" in line)
    typed = line.partition("modelbridge ")[2].split()
    wrong = shell(*typed, "-v", "refund=much")
    missing = shell(*typed)
    answer = shell.json(*typed, "-v", "refund=2")
    late = shell(*typed, "-v", "refund=2")

    assert asked.returncode == 3
    assert (wrong.returncode, missing.returncode, late.returncode) == (2, 1, 1)
    assert answer["outputs"] == {"refund": 2.0, "by": ["owner@local.modelbridge"]}
    assert "does not wait" in late.stderr


def test_a_provider_that_fails_and_hangs_is_replaced_and_the_card_tells_the_story(tmp_path: Path) -> None:
    done = Shell(tmp_path, FAULTY_THEN_LOCAL)("chat", "sturdy", "Say hello.", "--max-tokens", "20", "--explain")

    assert done.returncode == 0, done.stderr
    assert "local/smollm2" in done.stdout
    assert "500" in done.stdout
    assert "timeout" in done.stdout
    assert done.stdout.index("mock/echo") < done.stdout.index("local/smollm2")


@pytest.mark.parametrize(
    ("arguments", "environment", "code", "told"),
    [
        (("run", "nowhere.yaml"), {}, 2, "nowhere.yaml"),
        (("chat", "balancd", "hi"), {}, 2, "did you mean 'balanced'"),
        (("chat", "openai/gpt-4o-mini", "hi"), {}, 1, "OPENAI_API_KEY"),
        (("worker",), {}, 2, "PREFECT_API_URL"),
        (("worker", "--wait", "0"), {"PREFECT_API_URL": "http://127.0.0.1:9/api"}, 4, "no Prefect API answers"),
        (("serve",), {"DATABASE_URL": "postgresql://app@127.0.0.1:9/none"}, 4, "cannot be reached"),
        (("db", "upgrade"), {"DATABASE_URL": "postgresql://app@127.0.0.1:9/none"}, 4, "cannot be reached"),
        (("run", "--nonsense"), {}, 2, "nonsense"),
        (("models", "--alias", "nobody"), {}, 2, "nobody"),
    ],
)
def test_trouble_is_one_clear_line_and_its_own_exit_code(
    tmp_path: Path, arguments: tuple[str, ...], environment: dict[str, str], code: int, told: str
) -> None:
    done = Shell(tmp_path)(*arguments, env=environment)

    assert done.returncode == code, done.stderr
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 2


def test_serve_on_a_taken_port_is_one_line_and_exit_2(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])

        done = Shell(tmp_path)("serve", "--port", port)

    assert done.returncode == 2
    assert done.stderr.strip() == f"port {port} on 127.0.0.1 is taken; choose another with --port"


def test_the_catalogue_the_route_and_the_schema_are_json_on_request(tmp_path: Path) -> None:
    shell = Shell(tmp_path)

    assert "local/smollm2" in [model["name"] for model in shell.json("models")["models"]]
    assert shell.json("route", "--alias", "balanced")["attempts"] == ["local/smollm2"]
    assert shell.json("schema")["type"] == "object"


def test_an_organisation_can_be_made_before_anything_else(tmp_path: Path) -> None:
    made = Shell(tmp_path).json("admin", "create-org", "Acme", "--owner", "owner@acme.example")

    assert made["api_key"].startswith("mb_live_")


def test_doctor_names_what_is_off_and_why(tmp_path: Path) -> None:
    found = {one["what"]: one for one in Shell(tmp_path).json("doctor")["findings"]}

    assert found["provider openai"]["detail"] == "OPENAI_API_KEY is not set"
    assert found["provider local"]["state"] == "ok"


@pytest.mark.parametrize("example", sorted((ROOT / "examples").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_example_runs_offline_on_the_local_model(tmp_path: Path, example: Path) -> None:
    given = ("-i", "ticket=My invoice is wrong") if example.stem == "support_triage" else ()

    answer = Shell(tmp_path).json("run", str(example), *given)

    assert answer["status"] == "succeeded"
    assert "local/smollm2" in {step["model"] for step in answer["steps"].values()}
    assert answer["cost_usd"] == 0
