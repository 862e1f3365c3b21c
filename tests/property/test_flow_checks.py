"""Whatever stands in a document, checking it ends with diagnostics inside the document, never with an exception."""

from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flows.validate import check
from nodes.node import ModelUse
from tests.support.conformance import cases

ROOT = Path(__file__).parents[2]
SOURCES = [
    path.read_text(encoding="utf-8")
    for folder in ("examples", "tests/contract/broken_flows")
    for path in sorted((ROOT / folder).glob("*.yaml"))
] + [case.text for case in cases()]
JUNK = (
    *("[]", "{}", "null", "5", "1.5", '""', "true", "[1, [2]]", "{a: {b: 1}}", "*a", "&a 1", "!!str x", "{do: {}}"),
    *('"${{"', '"${{ nodes.x }}"', '"${{ nodes }}"', '"${{ coalesce() }}"', '"${{ now().x }}"', '"${{ has(inputs) }}"'),
    *('"${{ [1].map(x, x.y) }}"', "\"${{ '}}' }}\"", '"{{ x }}"', '"{% for"', "0x1F", ".inf", "1e999", "9" * 400),
)


class SomeModels:
    def knows(self, name: str) -> bool:
        return name == "cheapest"

    def suggest(self, name: str) -> str | None:
        return None

    def worst_case_nano_usd(self, use: ModelUse) -> int | None:
        return None

    def expected_nano_usd(self, use: ModelUse) -> int | None:
        return None


@st.composite
def damaged(draw: st.DrawFn) -> str:
    """A document with some lines deleted, doubled, cut or given another value."""
    lines = draw(st.sampled_from(SOURCES)).split("\n")
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(lines) - 1))
        match draw(st.sampled_from(["value", "delete", "double", "type"])):
            case "value":
                name, colon, _ = lines[at].partition(":")
                lines[at] = f"{name}{colon} {draw(st.sampled_from(JUNK))}" if colon else lines[at]
            case "delete":
                lines = lines[:at] + lines[at + 1 :] or [""]
            case "double":
                lines.insert(at, lines[draw(st.integers(0, len(lines) - 1))])
            case _:
                cut = draw(st.integers(0, len(lines[at])))
                lines[at] = lines[at][:cut] + draw(st.text(max_size=3)) + lines[at][cut:]
    return "\n".join(lines)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(damaged())
def test_a_damaged_document_yields_diagnostics_and_nothing_else(text: str) -> None:
    checked = check(text, file="f.yaml", catalog=SomeModels())

    n_lines = text.count("\n") + 1
    assert all(1 <= d.line <= n_lines + 1 and d.column >= 1 for d in checked.diagnostics)
    assert (checked.plan is None) == checked.has_errors
    places = [(d.line, d.column) for d in checked.diagnostics]
    assert places == sorted(places)
    assert len({(d.line, d.column, d.code) for d in checked.diagnostics}) == len(checked.diagnostics)


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=200))
def test_any_text_at_all_is_answered(text: str) -> None:
    assert check(text, file="f.yaml", catalog=SomeModels()).plan is None
