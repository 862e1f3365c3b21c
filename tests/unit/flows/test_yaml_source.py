import pytest

from flows.diagnostics import Diagnostics
from flows.yaml_nodes import MapNode, ScalarNode, YamlNode, to_json
from flows.yaml_source import MAX_BYTES, parse_yaml


def parsed(text: str) -> tuple[YamlNode | None, list[tuple[str, int, int]]]:
    problems = Diagnostics("f.yaml")
    root = parse_yaml(text, problems)
    return root, [(d.code, d.line, d.column) for d in problems.sorted()]


def scalar(text: str, key: str) -> ScalarNode:
    root, problems = parsed(text)
    assert isinstance(root, MapNode)
    assert problems == []
    node = root.get(key)
    assert isinstance(node, ScalarNode)
    return node


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: &x 1", [("yaml_anchor", 1, 4)]),
        ("a: [&x 1, *x]", [("yaml_anchor", 1, 5), ("yaml_alias", 1, 11)]),
        ("a: !!str 1", [("yaml_tag", 1, 4)]),
        ("a: {}\nb:\n  <<: {c: 1}", [("yaml_merge_key", 3, 3)]),
        ("a: 1\nb: 2\na: 3", [("duplicate_key", 3, 1)]),
        ("{a: 1, [b]: 2}", [("yaml_complex_key", 1, 8)]),
        ("~: 1", [("yaml_complex_key", 1, 1)]),
        ("%YAML 1.1\n---\na: yes", [("yaml_directive", 1, 1)]),
        ("a: 1\n---\nb: 2", [("yaml_syntax", 2, 1)]),
        ('a: "\x00"', [("yaml_character", 1, 5)]),
        ("é: 1\nb: \x07", [("yaml_character", 2, 4)]),
        ("a: [1,", [("yaml_syntax", 1, 7)]),
        ("a: b: c", [("yaml_syntax", 1, 5)]),
        ("a: " + "[" * 60, [("yaml_too_deep", 1, 43)]),
        ("a: " + "x" * MAX_BYTES, [("yaml_too_large", 1, 1)]),
    ],
)
def test_what_a_flow_may_not_contain_is_reported_where_it_stands(text: str, expected: object) -> None:
    assert parsed(text)[1] == expected


def test_an_alias_bomb_is_refused_without_being_blown_up() -> None:
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 60)]

    root, problems = parsed("\n".join(lines))

    assert isinstance(root, MapNode)
    assert {code for code, _, _ in problems} == {"yaml_anchor", "yaml_alias"}


@pytest.mark.parametrize(
    ("spelling", "value"),
    [
        ("on", "on"),
        ("no", "no"),
        ("12:30", "12:30"),
        ("2024-01-01", "2024-01-01"),
        ("1.10", "1.10"),
        ("017", "017"),
        ("0x1F", "0x1F"),
        ("1e3", "1e3"),
        ("3", 3),
        ("-1.5", -1.5),
        ("9" * 30, "9" * 30),
        ("true", True),
        ("null", None),
        ("~", None),
        ('"3"', "3"),
        ("'true'", "true"),
    ],
)
def test_plain_values_keep_their_spelling_unless_it_is_canonical(spelling: str, value: object) -> None:
    assert to_json(scalar(f"k: {spelling}", "k")) == value


def test_yaml_that_libyaml_refuses_is_read_by_the_exact_parser() -> None:
    root, problems = parsed("m: {ask: Who is it?}")
    assert root is not None
    assert (to_json(root), problems) == ({"m": {"ask": "Who is it?"}}, [])


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ('k: "a\\u00e9 Z"', 1, 13),
        ("k: 'it''s Z'", 1, 11),
        ("k: |\n  first\n    Z", 3, 5),
        ("k: >\n  some\n  folded\n\n  Z", 5, 3),
        ("k: plain\n   goes on Z", 2, 12),
        ('k: "quoted\n   folded Z"', 2, 11),
        ("k: é Z", 1, 6),
    ],
)
def test_a_character_of_a_value_is_found_in_the_document(text: str, line: int, column: int) -> None:
    node = scalar(text, "k")

    place = node.position_of(node.text.index("Z"))

    assert (place.line, place.column) == (line, column)
