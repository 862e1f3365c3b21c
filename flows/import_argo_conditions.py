"""Argo's `depends` and `when` as what a step waits for and the condition under which it runs."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bridge.json_types import JsonObject, JsonValue
from flows.builder_expressions import literal

_RESULTS = {
    "Succeeded": 'nodes.{id}.status == "succeeded"',
    "Failed": 'nodes.{id}.status == "failed"',
    "Errored": 'nodes.{id}.status == "failed"',
    "Skipped": 'nodes.{id}.status == "skipped"',
    "Omitted": 'nodes.{id}.status == "skipped"',
    "Daemoned": "false",
    "AnySucceeded": 'nodes.{id}.status == "succeeded"',
    "AllFailed": 'nodes.{id}.status == "failed"',
}
_TOKEN = re.compile(r"\s*(&&|\|\||!|\(|\)|[A-Za-z0-9_][A-Za-z0-9_\-]*(?:\.[A-Za-z]+)?)")
_COMPARISON = re.compile(r"^(?P<left>.+?)\s*(?P<sign>==|!=|>=|<=|>|<|=~|!~)\s*(?P<right>.+)$")
_ATOM = re.compile(r"^'[^']*'$|^\"[^\"]*\"$")
_MARK = re.compile(r"\{\{([^{}]+)\}\}")


@dataclass(frozen=True, slots=True)
class Waits:
    """What a task waits for: `needs`, a `join`, and a condition over how those ended."""

    needs: tuple[str, ...] = ()
    join: str = ""
    when: str = ""

    def to_step(self) -> JsonObject:
        """The keys of the step."""
        step: dict[str, JsonValue] = {"needs": list[JsonValue](self.needs)} if self.needs else {}
        return {**step, "join": self.join} if self.join else step


def waits_of(depends: str, ids: Mapping[str, str]) -> Waits:
    """The meaning of a `depends` text. In Argo a bare task name means that it succeeded or was skipped.

    Raises:
        ValueError: It names a task that is not there, or is no such text.
    """
    tokens = _tokens(depends)
    names = tuple(dict.fromkeys(_task(token, ids) for token in tokens if token[0].isalnum() or token[0] == "_"))
    plain = all("." not in token for token in tokens)
    if plain and "||" not in tokens and "!" not in tokens:
        return Waits(names, join="none_failed")
    return Waits(names, join="all_done", when=" ".join(_condition(token, ids) for token in tokens).replace("! ", "!"))


def condition_of(when: str, read: Callable[[str], str | None]) -> str | None:
    """Argo's `when` as CEL, its `{{...}}` read by `read`; None when it cannot be said.

    Source: Argo substitutes texts and evaluates the outcome with govaluate: bare words are texts.
    """
    parts = re.split(r"\s*(&&|\|\|)\s*", when.strip())
    made: list[str] = []
    for part in parts:
        if part in {"&&", "||"}:
            made.append(part)
            continue
        opened = len(part) - len(part.lstrip("("))
        closed = len(part) - len(part.rstrip(")"))
        found = _COMPARISON.match(part.strip("() "))
        if found is None or found["sign"] in {"=~", "!~"}:
            return None
        left, right = _operand(found["left"], read), _operand(found["right"], read)
        if left is None or right is None:
            return None
        made.append("(" * opened + _compared(left, found["sign"], right) + ")" * closed)
    return " ".join(made)


def _compared(left: str, sign: str, right: str) -> str:
    """Texts are compared as texts, numbers as numbers: what was substituted is a text in Argo."""
    is_number = sign in {">", "<", ">=", "<="} or any(re.fullmatch(r"-?\d+(\.\d+)?", side) for side in (left, right))
    if is_number:
        sides = [side if re.fullmatch(r"-?\d+(\.\d+)?", side) else f"double({side})" for side in (left, right)]
        return f"{sides[0]} {sign} {sides[1]}"
    sides = [side if side.startswith('"') else f"text({side})" for side in (left, right)]
    return f"{sides[0]} {sign} {sides[1]}"


def _operand(text: str, read: Callable[[str], str | None]) -> str | None:
    text = text.strip()
    if _ATOM.match(text):
        text = text[1:-1]
    whole = _MARK.fullmatch(text)
    if whole is not None:
        return read(whole[1].strip())
    if "{{" in text:
        return None
    return text if re.fullmatch(r"-?\d+(\.\d+)?", text) else literal(text)


def _tokens(text: str) -> list[str]:
    tokens: list[str] = []
    at = 0
    while text[at:].strip():
        found = _TOKEN.match(text, at)
        if found is None:
            raise ValueError(f"`{text[at : at + 20].strip()}` cannot be read")
        tokens.append(found[1])
        at = found.end()
    return tokens


def _task(token: str, ids: Mapping[str, str]) -> str:
    name = token.partition(".")[0]
    if name not in ids:
        raise ValueError(f"there is no task `{name}`")
    return ids[name]


def _condition(token: str, ids: Mapping[str, str]) -> str:
    if not (token[0].isalnum() or token[0] == "_"):
        return token
    name, _, result = token.partition(".")
    step_id = _task(name, ids)
    if not result:
        return f'(nodes.{step_id}.status in ["succeeded", "skipped"])'
    if result not in _RESULTS:
        raise ValueError(f"`{result}` is no result of a task")
    return f"({_RESULTS[result].format(id=step_id)})"
