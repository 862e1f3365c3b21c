"""Regular expressions that flow authors write, matched by RE2: linear time whatever the pattern and the text."""

from functools import cache

from cel_expr_python import cel

MAX_PATTERN_CHARS = 1000


def is_found(pattern: str, text: str) -> bool:
    """Whether the pattern occurs in the text. ValueError when RE2 does not know it (look-around, back-references)."""
    if len(pattern) > MAX_PATTERN_CHARS:
        raise ValueError(f"a pattern has at most {MAX_PATTERN_CHARS} characters")
    try:
        value = _program().eval(data={"text": _carried(text), "pattern": _carried(pattern)})
    except RuntimeError as error:
        raise ValueError(str(error).split("\n", maxsplit=1)[0]) from error
    if value.type() == cel.Type.ERROR:
        raise ValueError(str(value.plain_value()).rsplit(": ", maxsplit=1)[-1])
    return bool(value.plain_value())


def _carried(text: str) -> str:
    """What the engine cannot carry (NUL, halves of surrogate pairs) replaced by one character each."""
    return text.replace("\0", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")


@cache
def _program() -> cel.Expression:
    env = cel.NewEnv(variables={"text": cel.Type.STRING, "pattern": cel.Type.STRING})
    return env.compile("text.matches(pattern)")
