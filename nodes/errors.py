"""What a step can fail with.

NodeError               carries the class that retry and on_error read
├── InvalidInputError   the rendered `with:` block does not fit the node
├── ExpressionError     an expression failed at run time; carries its text and position
├── UserStopError       the flow's author asked for it: `fail`, loop exhaustion
└── SealedNetworkError  an address the SSRF guard refuses
"""

from bridge.errors import ErrorClass


class NodeError(Exception):
    """A step failed. `retry_after_s` is the wait the other side asked for, if any."""

    def __init__(
        self, message: str, *, error_class: ErrorClass = "internal", retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.error_class: ErrorClass = error_class
        self.retry_after_s = retry_after_s


class InvalidInputError(NodeError):
    """The values given to the node do not fit its schema."""

    def __init__(self, message: str) -> None:
        super().__init__(message, error_class="validation")


class ExpressionError(NodeError):
    """An expression could not be evaluated. Line and column are of the flow document, from 1; 0 when unknown."""

    def __init__(self, message: str, *, expression: str, line: int = 0, column: int = 0) -> None:
        super().__init__(message, error_class="validation")
        self.expression = expression
        self.line = line
        self.column = column


class UserStopError(NodeError):
    """Stopped on purpose."""

    def __init__(self, message: str) -> None:
        super().__init__(message, error_class="user")


class SealedNetworkError(NodeError):
    """The address is not public and not opened by `http.allow_hosts`."""

    def __init__(self, message: str) -> None:
        super().__init__(message, error_class="invalid_request")
