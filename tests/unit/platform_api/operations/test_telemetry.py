"""What a process tells of itself, and what is not even loaded where it tells nothing."""

import ast
import asyncio
import io
import json
import logging
from pathlib import Path

from platform_api.operations.telemetry import RunLogContext, Telemetry
from platform_api.structured_logging import JsonFormatter, replace_context
from tests.support.api import settings_for
from tests.unit.platform_api.operations.test_run_metrics import RUN, RUN_ID, TRACE

SOURCES = Path(__file__).resolve().parents[4] / "platform_api"
TRACED = {"tracing", "call_spans", "request_spans", "run_spans"}


def loaded_by(source: Path) -> set[str]:
    """What a file imports when it is imported itself: at its top, not in a function and not for types alone."""
    names = set[str]()
    for node in ast.parse(source.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def test_without_an_endpoint_nothing_of_tracing_is_loaded() -> None:
    theirs = ("opentelemetry", *(f"platform_api.operations.{name}" for name in TRACED))
    loading = {
        source.stem
        for source in SOURCES.rglob("*.py")
        if any(name.startswith(theirs) for name in loaded_by(source)) and source.stem not in TRACED
    }

    assert loading == set()
    assert "platform_api.operations.tracing.Tracing" in loaded_by(SOURCES / "operations/run_spans.py")


def test_without_an_endpoint_a_run_gets_no_trace(tmp_path: Path) -> None:
    telemetry = Telemetry.of(settings_for("sqlite+aiosqlite:///unused.db", tmp_path))

    assert telemetry.tracing is None
    assert telemetry.trace_of_run(RUN_ID) is None


async def test_what_is_logged_while_a_run_is_walked_names_the_run_its_request_and_its_trace() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    logger = logging.Logger("walk")
    logger.addHandler(handler)

    async def walk() -> None:
        replace_context({})
        RunLogContext().walk_began(RUN)
        logger.warning("step.slow")

    await asyncio.create_task(walk())
    logger.warning("elsewhere")

    inside, outside = (json.loads(line) for line in stream.getvalue().splitlines())
    assert (inside["run_id"], inside["trace_id"]) == (RUN_ID, TRACE)
    assert "run_id" not in outside
