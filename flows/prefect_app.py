"""Prefect's API application as our private child serves it.

Prefect 3.8 inserts scheduled runs in bulk with a `state` beside the columns. SQLAlchemy 2.0 passed over it; 2.1 sees
the hybrid property of that name and refuses, so that no schedule ever fires. The cure does what 2.0 did.
"""

from collections.abc import MutableMapping
from typing import Any


def create_app() -> Any:  # Prefect's ASGI application
    """A factory for uvicorn."""
    from prefect.server.api.server import create_app as create_prefect_app

    let_bulk_inserts_pass()
    return create_prefect_app()


def let_bulk_inserts_pass() -> None:
    """Have bulk inserts of flow and task runs pass over `state`. Idempotent."""
    from prefect.server.database import orm_models

    for row in (orm_models.FlowRun, orm_models.TaskRun):
        vars(row)["state"].bulk_dml_setter = _pass_over


def _pass_over(_row: type[Any], _mapping: MutableMapping[str, Any], _value: Any) -> None:
    """The columns of the state are in the mapping by their own names."""
