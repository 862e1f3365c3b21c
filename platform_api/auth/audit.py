"""The audit trail: one row per security-relevant change, written in the transaction of the change."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from platform_api.auth.principals import Caller
from platform_api.database.tables.identity import AuditEventRow
from platform_api.structured_logging import request_id


def audit(
    db: AsyncSession,
    action: str,
    *,
    org_id: UUID,
    now: datetime,
    caller: Caller | None = None,
    user_id: UUID | None = None,
    target: str | None = None,
    **detail: Any,
) -> None:
    """Add a row; `detail` must hold no secret."""
    kind, actor = "system", user_id
    if caller is not None:
        kind, actor = ("key", caller.credential_id) if caller.via == "key" else ("user", caller.user_id)
    elif user_id is not None:
        kind = "user"
    db.add(
        AuditEventRow(
            id=uuid7(),
            org_id=org_id,
            at=now,
            action=action,
            actor_kind=kind,
            actor_id=actor,
            target=target,
            detail=detail,
            request_id=request_id(),
        )
    )
