from pathlib import Path

import pytest
from pydantic import ValidationError
from ruamel.yaml import YAML

from bridge.errors import ConfigurationError
from bridge.simulation.contenders import contenders
from bridge.simulation.scenario import Scenario, Traffic, WorldEvent, load_scenario
from tests.support.scenarios import raw_scenario


def written(folder: Path, text: str) -> Path:
    path = folder / "storm.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_misspelt_key_is_named_with_file_path_and_the_right_name(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "name: x\nalias: app\npolicies: [best]\nbridge: {}\nworld: {models: {a/b: {quality: 0.9}}}\n"
        "traffic: {cals: 3, tasks: {t: {prompt_tokens: {meduan: 3}}}}\n",
    )

    with pytest.raises(ConfigurationError) as caught:
        load_scenario(path)

    assert str(path) in str(caught.value)
    assert "traffic.cals: unknown key; did you mean 'calls'?" in caught.value.problems
    assert "traffic.tasks.t.prompt_tokens.meduan: unknown key; did you mean 'median'?" in caught.value.problems


def test_an_unknown_kind_of_event_is_told_by_its_place(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "name: x\nalias: app\npolicies: [best]\nbridge: {}\ntraffic: {tasks: {t: {}}}\n"
        "world: {models: {a/b: {quality: 0.9}}, events: [{kind: outtage, where: a, at_h: 1}]}\n",
    )

    with pytest.raises(ConfigurationError, match=r"world\.events\.0\.kind: 'outtage' is not one of .*'outage'"):
        load_scenario(path)


@pytest.mark.parametrize("text", ["- 1\n", "{", "a: [\n", "just words"])
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"storm\.yaml"):
        load_scenario(written(tmp_path, text))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file"):
        load_scenario(tmp_path / "absent.yaml")


@pytest.mark.parametrize(
    ("event", "problem"),
    [
        ({"kind": "outage", "factor": 2}, "takes no factor"),
        ({"kind": "slow_down"}, "needs factor"),
        ({"kind": "brown_out"}, "needs share"),
        ({"kind": "price", "input_usd_per_mtok": 1}, "needs output_usd_per_mtok"),
        ({"kind": "silent", "status": 500}, "takes no status"),
    ],
)
def test_an_event_takes_what_its_kind_needs_and_nothing_else(event: dict[str, object], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        WorldEvent.model_validate({"where": "near", "at_h": 1, **event})


def test_an_event_without_an_end_lasts() -> None:
    event = WorldEvent(kind="outage", where="near", at_h=2)

    assert (event.from_s, event.until_s) == (7200, float("inf"))


@pytest.mark.parametrize("load", [[1] * 23, [0] * 24, [-1, *[1] * 23]])
def test_a_day_has_24_loads(load: list[float]) -> None:
    with pytest.raises(ValidationError, match="24 numbers"):
        Traffic.model_validate({"load_by_hour": load, "tasks": {"t": {}}})


def test_a_bound_says_something() -> None:
    raw = raw_scenario(expect=[{"policy": "priority", "figure": "availability"}])

    with pytest.raises(ValidationError, match="at_least"):
        Scenario.model_validate(raw)


def test_prompts_and_questions_exclude_each_other() -> None:
    raw = raw_scenario(traffic={"tasks": {"t": {"prompts": 3, "questions": [["a"]]}}})

    with pytest.raises(ValidationError, match="not both"):
        Scenario.model_validate(raw)


def test_the_guides_scenario_can_be_run() -> None:
    guide = (Path(__file__).resolve().parents[4] / "docs/guides/simulation.md").read_text(encoding="utf-8")
    shown = guide.split("```yaml\n")[1].split("```")[0]
    day = Scenario.model_validate(YAML(typ="safe").load(shown))

    assert [one.name for one in contenders(day)] == ["balanced", "best", "random"]
