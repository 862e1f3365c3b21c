from pathlib import Path
from typing import Any, cast

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from flows.language_schema import language_schema

ROOT = Path(__file__).parents[3]
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))


def document(path: Path) -> Any:
    return YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module", name="validator")
def validator_of_the_language() -> Any:
    schema = cast("Any", language_schema())
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_editor_accepts_every_example(validator: Any, path: Path) -> None:
    problems = [error.message for error in validator.iter_errors(document(path))]

    assert problems == []


def test_an_editor_marks_a_wrong_key_and_a_wrong_block(validator: Any) -> None:
    wrong = {"flow": "f", "nodes": {"a": {"type": "llm", "timout": "3s", "with": {"modl": "x", "prompt": "p"}}}}

    text = " ".join(error.message for error in validator.iter_errors(wrong))

    assert "timout" in text
    assert "modl" in text
