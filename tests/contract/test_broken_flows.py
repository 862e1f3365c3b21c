"""Broken documents beside the exact list of what is wrong with each: (code, line, column), nothing more."""

import json
from pathlib import Path

import pytest

from flows.suggestions import nearest
from flows.validate import check
from nodes.node import ModelUse

FOLDER = Path(__file__).parent / "broken_flows"
DOCUMENTS = sorted(FOLDER.glob("*.yaml"))


class ListedNames:
    """A small catalogue: names, and one model that costs a cent a call."""

    names = ("balanced", "best", "cheapest", "fastest", "local/smollm2", "priced")

    def knows(self, name: str) -> bool:
        return name in self.names

    def suggest(self, name: str) -> str | None:
        return nearest(name, self.names)

    def worst_case_nano_usd(self, use: ModelUse) -> int | None:
        return 20_000_000 * use.calls if use.model == "priced" else 0

    def expected_nano_usd(self, use: ModelUse) -> int | None:
        return 10_000_000 * use.calls if use.model == "priced" else 0


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.stem)
def test_a_broken_flow_yields_exactly_its_list(document: Path) -> None:
    expected = json.loads(document.with_suffix(".json").read_text(encoding="utf-8"))

    checked = check(document.read_text(encoding="utf-8"), file=document.name, catalog=ListedNames())

    found = [
        {"code": each.code, "line": each.line, "column": each.column, "severity": each.severity}
        for each in checked.diagnostics
    ]
    assert found == expected
    assert checked.plan is None


def test_there_are_at_least_twelve_broken_flows() -> None:
    assert len(DOCUMENTS) >= 12


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.stem)
def test_what_is_marked_is_where_the_position_says(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    expected = json.loads(document.with_suffix(".json").read_text(encoding="utf-8"))
    widths = {number: len(line) for number, line in enumerate(text.split("\n"), start=1)}

    assert all(1 <= each["column"] <= widths[each["line"]] + 1 for each in expected)
