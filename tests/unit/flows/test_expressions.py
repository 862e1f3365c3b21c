from collections.abc import Mapping

import pytest

from bridge.json_types import JsonValue
from flows.expressions import CelExpressions
from flows.plan import Position
from nodes.errors import ExpressionError

SCOPE: dict[str, JsonValue] = {
    "inputs": {"ticket": "Hello", "count": 4, "tier": "vip", "empty": "", "zero": 0, "nothing": None},
    "nodes": {
        "draft": {"status": "succeeded", "output": {"json": {"risk": 0.7, "tags": ["a", "b"]}, "text": "T\0x"}},
        "review": {"status": "skipped", "error": None},
        "items": {"output": {"list": [{"x": {"y": 1}}, {"x": None}, {}]}},
    },
    "run": {"id": "r1", "started_at": "2026-01-02T03:04:05+00:00"},
}


def evaluate(text: str, scope: Mapping[str, JsonValue] = SCOPE) -> JsonValue:
    return CelExpressions().evaluate(text, scope)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("inputs.ticket", "Hello"),
        ("${{ inputs.count }}", 4),
        ('nodes["draft"].output.json.risk > 0.5 || inputs.tier == "pro"', True),
        ("nodes.draft.output.text", "T\0x"),
        ("has(nodes.review.output)", False),
        ("has(nodes.draft.output.json.risk)", True),
        ("coalesce(nodes.review.output.values.reply, nodes.draft.output.json.tags[1])", "b"),
        ("coalesce(inputs.empty, 'x')", ""),
        ("coalesce(inputs.zero, 1)", 0),
        ("coalesce(inputs.nothing, inputs.nowhere)", None),
        ("coalesce(inputs.ticket, 1 / inputs.zero)", "Hello"),
        ("coalesce(size(nodes.review.output.text), -1)", -1),
        ("nodes.items.output.list.map(i, coalesce(i.x.y, 0))", [1, 0, 0]),
        ("inputs.count + 1", 5),
        ('json("4")', 4),
        ('json("4.0")', 4.0),
        ("text(inputs.nothing)", "null"),
        ('text({"a": [1, 2.5, true]})', '{"a":[1,2.5,true]}'),
        ("now()", "2026-01-02T03:04:05Z"),
        ("string(now())", "2026-01-02T03:04:05Z"),
        ("duration('90s')", "90s"),
        ("sha256('a')", "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"),
        ("lower(upper(trim(' aB ')))", "ab"),
        ("join(split('a,b', ','), '-')", "a-b"),
        ("regex_match('order 12', '[0-9]+')", True),
        ("sum([1, 2])", 3),
        ("sum([])", 0),
        ("avg([1, 2])", 1.5),
        ("[min([2, 1]), max([2, 1])]", [1, 2]),
        ("sort(['b', 'a'])", ["a", "b"]),
        ("unique([1, 2, 1])", [1, 2]),
        ("flatten([[1], [2, [3]], 4])", [1, 2, [3], 4]),
        ("zip([1, 2, 3], ['a', 'b'])", [[1, "a"], [2, "b"]]),
        ("range(3)", [0, 1, 2]),
        ("range(3).filter(i, i > 0).map(i, i * 2)", [2, 4]),
    ],
)
def test_an_expression_yields_json(text: str, value: JsonValue) -> None:
    result = evaluate(text)

    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ("inputs.nowhere", "`inputs` has no `nowhere` here"),
        ("inputs.nowhere + 1", "there is no"),
        ("inputs.ticket.length", "is a text and has no field"),
        ("item.x", "`item` does not exist here"),
        ("item.x + 1", "`item` does not exist here"),
        ("inputs.count * 2.0", "integers and decimals do not mix"),
        ("1 / inputs.zero", "divide by zero"),
        ("min([])", "empty list"),
        ("avg([])", "empty list"),
        ("json('{')", "Expecting property name"),
        ("range(10001)", "range() takes 0 to 10000"),
        ("range(10000).map(i, i)", "budget exceeded"),
        ("{1: 2}", "keys of maps are text"),
        ("b'x'", "has no JSON form"),
        ("nodes.draft.output.text + 'x'", "NUL"),
        ("1.0 / 0.0", "not a finite number"),
        ("nope(1)", "unknown function `nope`"),
        ("inputs.?ticket", "unsupported syntax"),
        ("cel.bind(x, 1, x)", "unknown"),
        ("(" * 200 + "1" + ")" * 200, "nests too deeply"),
        ("'" + "x" * 5000 + "'", "longer than 4096"),
        ("${{ inputs.ticket", "never closed"),
        ("", "empty"),
    ],
)
def test_what_cannot_be_evaluated_is_a_typed_error(text: str, fragment: str) -> None:
    with pytest.raises(ExpressionError, match=r".*") as caught:
        evaluate(text)

    assert fragment in str(caught.value)
    assert caught.value.error_class == "validation"


def test_data_that_would_harm_the_engine_is_refused_before_it_gets_there() -> None:
    deep: JsonValue = 1
    for _ in range(300):
        deep = [deep]
    cases: list[tuple[str, JsonValue]] = [("nested deeper", deep), ("64 bits", 2**70), ("over 2000 items", [1] * 2001)]
    for fragment, value in cases:
        with pytest.raises(ExpressionError) as caught:
            evaluate("[inputs.v].map(i, i)", {"inputs": {"v": value}})
        assert fragment in str(caught.value)


def test_only_what_is_named_is_handed_to_the_engine() -> None:
    assert evaluate("nodes.a.output.n + 1", {"nodes": {"a": {"output": {"n": 1, "bad": 2**80}}}}) == 2


def test_names_of_the_scope_beyond_the_roots_may_be_read() -> None:
    assert evaluate("output.ok && left > 1", {"output": {"ok": True}, "left": 2}) is True


def test_rendering_keeps_the_type_of_a_sole_expression_and_makes_text_of_mixed_ones() -> None:
    rendered = CelExpressions().render(
        {
            "sole": "${{ nodes.draft.output.json.tags }}\n",
            "mixed": "n=${{ inputs.count }}; t=${{ nodes.draft.output.json.tags }}; ${{ inputs.nothing }}",
            "literal": "$${{ inputs.count }} {{ jinja }}",
            "map": ["${{ {'a': {'b': '}}'}} }}", 3, None],
        },
        SCOPE,
    )

    assert rendered == {
        "sole": ["a", "b"],
        "mixed": 'n=4; t=["a","b"]; null',
        "literal": "${{ inputs.count }} {{ jinja }}",
        "map": [{"a": {"b": "}}"}}, 3, None],
    }


def test_a_rendering_error_carries_the_place_of_its_expression() -> None:
    with pytest.raises(ExpressionError) as caught:
        CelExpressions().render({"a": "${{ inputs.nowhere }}"}, SCOPE, {"inputs.nowhere": Position(7, 12)})

    assert (caught.value.line, caught.value.column) == (7, 12)
    assert caught.value.expression == "inputs.nowhere"


def test_nested_coalesce_evaluates_each_argument_once() -> None:
    text = "coalesce(json(text(coalesce(json(text(coalesce(json(text(coalesce(inputs.nothing, 1))), 2))), 3))), 4)"

    assert evaluate(text) == 1
