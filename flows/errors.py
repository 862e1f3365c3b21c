"""What the flow language raises, and how it points into a document.

FlowError
├── InvalidFlowError        the document has errors; carries every diagnostic
├── InvalidInputsError      the values given to a run do not fit the inputs
└── ExpressionSyntaxError   an expression does not compile; carries every finding with its offset
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from bridge.json_types import JsonValue

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One problem of a document, where it is, and a way out. Line and column count from 1."""

    file: str
    line: int
    column: int
    severity: Severity
    code: str
    message: str
    suggestion: str | None = None

    def to_json(self) -> dict[str, JsonValue]:
        """The shape of `validate --format json`."""
        return {
            "file": self.file,
            "line": self.line,
            "column": self.column,
            "severity": self.severity,
            "code": self.code,
            "message": self.message,
            "suggestion": self.suggestion,
        }

    def to_text(self) -> str:
        """`file:line:column: severity: message [code]`, the suggestion behind it."""
        hint = f" ({self.suggestion})" if self.suggestion else ""
        return f"{self.file}:{self.line}:{self.column}: {self.severity}: {self.message}{hint} [{self.code}]"


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem inside an expression. `offset` counts code points of its text from 0."""

    code: str
    message: str
    offset: int
    name: str = ""
    """The unknown name, operator or function."""
    types: tuple[str, ...] = ()
    """What an operator or function was applied to."""


class FlowError(Exception):
    """Base of what the flow language raises."""


class InvalidFlowError(FlowError):
    """The document cannot be run."""

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        super().__init__("\n".join(d.to_text() for d in self.diagnostics))


class InvalidInputsError(FlowError):
    """Inputs of a run that do not fit. `problems` are (JSON pointer, message)."""

    def __init__(self, problems: Iterable[tuple[str, str]]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(f"{pointer or '/'}: {message}" for pointer, message in self.problems))


class ExpressionSyntaxError(FlowError):
    """An expression that does not compile."""

    def __init__(self, expression: str, findings: tuple[Finding, ...]) -> None:
        super().__init__("; ".join(f.message for f in findings))
        self.expression = expression
        self.findings = findings
