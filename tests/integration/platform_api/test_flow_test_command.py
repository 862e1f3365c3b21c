"""`modelbridge test`, in this process, sealed: over the examples, and what it prints."""

import json
from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest

from platform_api.cli.main import app
from tests.support.sockets import sealed_sockets

EXAMPLES = sorted((Path(__file__).resolve().parents[3] / "examples").rglob("*.yaml"))
WITH_TESTS = [str(path) for path in EXAMPLES if "\ntests:\n" in path.read_text()]
SUM = """
flow: sum
spec: 1
inputs: {n: {type: integer}}
nodes:
  twice: {type: transform, with: {map: {n: inputs.n * 2}}}
outputs: {n: "${{ nodes.twice.output.n }}"}
tests:
  - {name: two and two, inputs: {n: 2}, expect: {outputs.n: 4}}
  - {name: not <three>, inputs: {n: 3}, expect: {outputs.n: WANTED}}
"""


def called(*arguments: str) -> int:
    with sealed_sockets():
        return int(app(["test", *arguments], standalone_mode=False, prog_name="modelbridge") or 0)


def test_the_examples_bring_tests_along_and_they_pass_offline(capsys: pytest.CaptureFixture[str]) -> None:
    code = called(*WITH_TESTS)

    printed = capsys.readouterr()
    assert code == 0, printed.out
    assert len(WITH_TESTS) >= 4
    assert "an outage goes to a person, whatever the draft says" in printed.out


def test_a_failed_test_ends_with_1_and_is_told_to_people_and_tools(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "sum.yaml"
    file.write_text(SUM.replace("WANTED", "7"))

    assert called(str(file)) == 1
    assert "outputs.n is 6, expected 7" in capsys.readouterr().out
    assert called(str(file), "--json") == 1
    told = json.loads(capsys.readouterr().out)["tests"]
    assert [(one["name"], one["line"], one["passed"]) for one in told] == [
        ("two and two", 9, True),
        ("not <three>", 10, False),
    ]
    assert told[1]["problems"] == ["outputs.n is 6, expected 7"]
    assert called(str(file), "--format", "junit") == 1
    suite = Xml.fromstring(capsys.readouterr().out)[0]
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    assert suite[1].get("name") == "not <three>"


def test_a_flow_with_errors_ends_with_2_and_one_without_tests_with_0(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken, bare = tmp_path / "broken.yaml", tmp_path / "bare.yaml"
    broken.write_text(SUM.replace("inputs.n * 2", "inputs.m * 2"))
    bare.write_text(SUM.partition("tests:")[0])

    assert called(str(broken)) == 2
    assert "broken.yaml:6:" in capsys.readouterr().out
    assert called(str(bare)) == 0
    assert "has no tests" in capsys.readouterr().err
