import pytest

from bridge.json_types import JsonValue
from nodes.errors import InvalidInputError
from nodes.sql_params import bound, names_in


def postgres(query: str, **params: JsonValue) -> tuple[str, list[JsonValue]]:
    return bound(query, params, lambda n: f"${n}")


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("SELECT * FROM t WHERE a = :a AND b > :b_2", {"a", "b_2"}),
        ("SELECT ':no', \"a:no\", 'it''s :no' -- :no\n, :yes /* :no */", {"yes"}),
        ("SELECT E'\\':no', $$ :no $$, $x$ $$ :no $x$, :yes", {"yes"}),
        ("SELECT now()::date, '12:30', a[1:2], :yes::int", {"yes"}),
        ("SELECT json_extract(doc, '$.a') FROM t WHERE x=:x", {"x"}),
        ("SELECT arr[:start] FROM t", {"start"}),
    ],
)
def test_parameters_are_found_outside_of_texts_comments_and_casts(query: str, names: set[str]) -> None:
    assert names_in(query) == names


def test_a_value_is_bound_and_never_becomes_text() -> None:
    hostile = "x'; DROP TABLE users; --"

    assert postgres("SELECT :a, :b, :a", a=hostile, b=2) == ("SELECT $1, $2, $1", [hostile, 2])


def test_a_list_becomes_as_many_marks() -> None:
    assert postgres("a IN :ids AND b = :b", ids=[5, 6], b=None) == ("a IN ($2, $3) AND b = $1", [None, 5, 6])


@pytest.mark.parametrize(
    ("params", "told"),
    [
        ({}, "reads :a, which `params` lacks"),
        ({"a": 1, "b": 2}, "`params` has b"),
        ({"a": []}, "the list :a is empty"),
        ({"a": list(range(5_001))}, "at most 5000"),
    ],
)
def test_what_cannot_be_bound_is_refused(params: dict[str, JsonValue], told: str) -> None:
    with pytest.raises(InvalidInputError, match=told):
        postgres("SELECT :a", **params)
