from pathlib import Path

from evaluators.registry import scorers
from nodes.node import node_types
from nodes.reference import reference_page

PAGE = Path(__file__).resolve().parents[3] / "docs/reference/nodes.md"


def test_the_page_in_the_docs_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == reference_page(), (
        "run: python -m nodes.reference > docs/reference/nodes.md"
    )


def test_every_type_and_scorer_has_its_section_and_every_row_its_columns() -> None:
    page = reference_page()

    for name in ("llm", "http", "switch", *scorers()):
        assert f"## `{name}`" in page
    assert {"llm", "http", "switch"} <= set(node_types())
    rows = [line for line in page.splitlines() if line.startswith("|")]
    assert {line.replace("\\|", "").count("|") for line in rows} == {5}
