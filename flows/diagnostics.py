"""Collects the problems of one document: sorted by place, each once, without the noise that follows from another."""

from dataclasses import dataclass, field

from flows.errors import Diagnostic, Severity
from flows.flow_test import FlowTest
from flows.plan import Plan, Position
from flows.yaml_nodes import YamlNode

MAX_DIAGNOSTICS = 200


@dataclass(frozen=True, slots=True)
class Checked:
    """The outcome of a check. `plan` is None when there is an error."""

    diagnostics: tuple[Diagnostic, ...]
    plan: Plan | None
    tests: tuple[FlowTest, ...] = ()

    @property
    def has_errors(self) -> bool:
        return any(diagnostic.severity == "error" for diagnostic in self.diagnostics)


@dataclass(slots=True)
class Diagnostics:
    """The problems found so far in `file`."""

    file: str
    _found: dict[tuple[int, int, str], Diagnostic] = field(default_factory=dict[tuple[int, int, str], Diagnostic])

    def error(self, at: YamlNode | Position, code: str, message: str, suggestion: str | None = None) -> None:
        """Note an error."""
        self._add(at, "error", code, message, suggestion)

    def warning(self, at: YamlNode | Position, code: str, message: str, suggestion: str | None = None) -> None:
        """Note a warning."""
        self._add(at, "warning", code, message, suggestion)

    def _add(
        self, at: YamlNode | Position, severity: Severity, code: str, message: str, suggestion: str | None
    ) -> None:
        key = (at.line, at.column, code)
        if key not in self._found:
            self._found[key] = Diagnostic(self.file, at.line, at.column, severity, code, message, suggestion)

    def extend(self, other: "Diagnostics") -> None:
        """Take over what another collector found."""
        for diagnostic in other.sorted():
            place = Position(diagnostic.line, diagnostic.column)
            self._add(place, diagnostic.severity, diagnostic.code, diagnostic.message, diagnostic.suggestion)

    @property
    def has_errors(self) -> bool:
        return any(d.severity == "error" for d in self._found.values())

    def is_known_bad(self, at: YamlNode | Position) -> bool:
        """Whether an error was noted exactly here."""
        return any(d.severity == "error" and (d.line, d.column) == (at.line, at.column) for d in self._found.values())

    def sorted(self) -> tuple[Diagnostic, ...]:
        """All of them by line, column and code; of very many, the first."""
        ordered = sorted(self._found.values(), key=lambda d: (d.line, d.column, d.code))
        return tuple(ordered[:MAX_DIAGNOSTICS])
