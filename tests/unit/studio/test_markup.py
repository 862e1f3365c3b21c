"""Rules about markup that hold for every file of the studio."""

import ast
from pathlib import Path

import pytest

import studio

SOURCES = sorted(Path(studio.__path__[0]).rglob("*.py"))


def calls(path: Path) -> list[ast.Call]:
    return [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_no_call_lets_text_become_html(path: Path) -> None:
    switches = {keyword.arg for call in calls(path) for keyword in call.keywords}

    assert not switches & {"unsafe_allow_html", "unsafe_allow_javascript"}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_html_comes_from_files_of_ours_only(path: Path) -> None:
    raw = [call for call in calls(path) if isinstance(call.func, ast.Attribute) and call.func.attr == "html"]

    assert all(ast.unparse(call.args[0]).startswith("ASSETS / ") for call in raw)
