"""Named parameters of a query, `:name`, found outside of texts and comments, and given to a driver as bound values.

A value never becomes part of the text: only marks for it do. A list becomes as many marks in parentheses, for `IN`.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from bridge.json_types import JsonValue
from nodes.errors import InvalidInputError

_TOKEN = re.compile(
    r"""
    [eE]'(?:\\.|''|[^'\\])*'              # PostgreSQL's text with escapes
  | '(?:''|[^'])*'                        # a text
  | "(?:""|[^"])*"                        # a quoted name
  | `[^`]*`                               # SQLite's other quoted name
  | \$(?P<tag>\w*)\$.*?\$(?P=tag)\$       # PostgreSQL's dollar quotes
  | --[^\n]* | /\*.*?\*/                  # comments
  | ::                                    # a cast
  | (?<![\w:]):(?P<name>[A-Za-z_]\w*)
    """,
    re.DOTALL | re.VERBOSE,
)
MAX_VALUES = 5_000


def names_in(query: str) -> frozenset[str]:
    """The parameters that the query reads."""
    return frozenset(found["name"] for found in _TOKEN.finditer(query) if found["name"])


def check_names(query: str, given: Mapping[str, object]) -> None:
    """ValueError when a parameter is missing, or given and not read."""
    wanted = names_in(query)
    missing, unused = sorted(wanted - given.keys()), sorted(given.keys() - wanted)
    if missing:
        raise ValueError(f"the query reads :{', :'.join(missing)}, which `params` lacks")
    if unused:
        raise ValueError(f"`params` has {', '.join(unused)}, which the query does not read")


def bound(query: str, params: Mapping[str, JsonValue], mark: Callable[[int], str]) -> tuple[str, list[JsonValue]]:
    """The query with the driver's marks, counted from 1, and the values in that order.

    Raises:
        InvalidInputError: A name is missing or unused, a list is empty, or there are too many values.
    """
    try:
        check_names(query, params)
    except ValueError as error:
        raise InvalidInputError(f"sql: {error}") from error
    marks: dict[str, str] = {}
    values: list[JsonValue] = []
    for name in sorted(params):
        parts = list(_parts(name, params[name]))
        places = [mark(len(values) + 1 + offset) for offset in range(len(parts))]
        values += parts
        marks[name] = f"({', '.join(places)})" if _is_list(params[name]) else places[0]
    if len(values) > MAX_VALUES:
        raise InvalidInputError(f"sql: at most {MAX_VALUES} values can be bound, not {len(values)}")
    return _TOKEN.sub(lambda found: marks[found["name"]] if found["name"] else found[0], query), values


def _parts(name: str, value: JsonValue) -> Iterator[JsonValue]:
    if not _is_list(value):
        yield value
        return
    assert isinstance(value, Sequence)
    if not value:
        raise InvalidInputError(f"sql: the list :{name} is empty, and `IN ()` is no SQL: guard the step with `when`")
    yield from value


def _is_list(value: JsonValue) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)
