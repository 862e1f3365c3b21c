"""JSON logs, one object a line, with who and which request in every one, and no secret in any."""

import asyncio
import atexit
import logging
import re
import sys
import traceback
from collections.abc import Iterable
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, TextIO, cast

import orjson

_context: ContextVar[dict[str, str] | None] = ContextVar("log_context", default=None)
_STANDARD = frozenset(vars(logging.LogRecord("", 0, "", 0, "", None, None))) | {"message", "asctime", "taskName"}
_SECRET_NAME = re.compile(r"password|secret|token|authorization|cookie|api_?key|credential|^key$|^code$", re.IGNORECASE)
_SECRET_TEXT = re.compile(
    r"mb[rsc]?_(?:live_|test_)?[0-9A-Za-z_\-]{20,}"  # our keys, refresh and session tokens, codes
    r"|eyJ[0-9A-Za-z_\-]{8,}\.[0-9A-Za-z_\-]+\.[0-9A-Za-z_\-]*"  # JWT
    r"|\b(?:sk|pk|rk|whsec)[-_][0-9A-Za-z_\-]{12,}"  # vendors' keys
    r"|(?i:bearer)\s+[^\s\"']+"
    r"|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"  # user:password in a URL
    r"|[0-9A-Za-z._%+\-]+@[0-9A-Za-z.\-]+\.[A-Za-z]{2,}"  # e-mail addresses
)
_HIDDEN = "[redacted]"
GATHER_S = 0.1
"""How long lines of the access log are gathered before they are written."""


def bind(**names: str | None) -> None:
    """Add names to every log entry of the running request or task; None removes one."""
    merged = {**(_context.get() or {}), **names}
    _context.set({name: value for name, value in merged.items() if value is not None})


def replace_context(names: dict[str, str]) -> None:
    """Begin with these names only."""
    _context.set(names)


def request_id() -> str | None:
    """The id of the request being served."""
    return (_context.get() or {}).get("request_id")


def redacted(value: Any, name: str = "") -> Any:  # whatever somebody put into `extra`
    """The value without secrets: by the name it stands under, and by what it looks like."""
    if name and _SECRET_NAME.search(name) and isinstance(value, str | bytes):
        return _HIDDEN
    if isinstance(value, str):
        return _SECRET_TEXT.sub(_HIDDEN, value)
    if isinstance(value, dict):
        return {str(key): redacted(item, str(key)) for key, item in cast("dict[object, Any]", value).items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [redacted(item) for item in cast("Iterable[Any]", value)]
    return value


class JsonFormatter(logging.Formatter):
    """One JSON object: time, level, logger, event, request and tenant, and the fields given as `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "event": redacted(record.getMessage()),
            **(_context.get() or {}),
        }
        fields = {name: value for name, value in vars(record).items() if name not in _STANDARD}
        entry |= {name: redacted(value, name) for name, value in fields.items()}
        if record.exc_info and record.exc_info[0] is not None:
            entry["exception"] = redacted("".join(traceback.format_exception(*record.exc_info)))
        return orjson.dumps(entry, default=lambda value: redacted(str(value)), option=orjson.OPT_NON_STR_KEYS).decode()


class AccessLog:
    """One line for each request, in the form of every other entry, at a hundredth of the cost.

    Lines are gathered and written together after `GATHER_S`, and at the end of the process; a killed process loses
    that much of its access log. Nothing else goes this way.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lines: list[bytes] = []
        self._is_flushing = False
        atexit.register(self.flush)

    def write(self, event: str, fields: dict[str, Any]) -> None:
        """Note an entry. `fields` hold nothing secret: route templates, numbers, our own ids."""
        entry = {
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "level": "INFO",
            "logger": "platform_api.access",
            "event": event,
            **(_context.get() or {}),
            **fields,
        }
        self._lines.append(orjson.dumps(entry))
        if self._is_flushing:
            return
        try:
            asyncio.get_running_loop().call_later(GATHER_S, self.flush)
        except RuntimeError:
            self.flush()
        else:
            self._is_flushing = True

    def flush(self) -> None:
        """Write what was gathered."""
        lines, self._lines, self._is_flushing = self._lines, [], False
        if lines and not self._stream.closed:
            self._stream.write(b"\n".join([*lines, b""]).decode())
            self._stream.flush()


def access_log() -> AccessLog | None:
    """Where requests are noted; None before logging is configured, and where information is not logged."""
    return _Configured.access_log


def close_access_log() -> None:
    """Write what was gathered; requests after that are logged like anything else."""
    log, _Configured.access_log = _Configured.access_log, None
    if log is not None:
        log.flush()
        atexit.unregister(log.flush)


class _Configured:
    access_log: AccessLog | None = None


def configure_logging(level: str = "INFO", stream: TextIO | None = None) -> None:
    """Send every logger of the process to one JSON handler. Only this configures logging; calling again replaces."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    close_access_log()
    _Configured.access_log = AccessLog(handler.stream) if root.isEnabledFor(logging.INFO) else None
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = name != "uvicorn.access"  # our middleware writes the access line
    for noisy in ("httpx", "httpcore", "aiosqlite", "asyncio", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
