"""Create, change, rotate and revoke API keys. A key never holds more than its creator did."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from bridge.config_problems import nearest
from bridge.money import Usd, to_nano_usd
from platform_api.api_keys.repository import ApiKeyRepository
from platform_api.api_keys.schemas import KeyChange, NewKey
from platform_api.auth.audit import audit
from platform_api.auth.permissions import PERMISSIONS, expanded, for_keys
from platform_api.auth.principals import Caller
from platform_api.database.tables.identity import ApiKeyRow
from platform_api.errors import ConflictError, FieldProblem, ForbiddenError, InvalidError, NotFoundError
from platform_api.security.credentials import NewApiKey, make_api_key

LIMITS_PERMISSION = "budget:write"


@dataclass(frozen=True, slots=True)
class MadeKey:
    """A new key: its row, and its text, which nothing stores."""

    row: ApiKeyRow
    text: str


async def create_key(db: AsyncSession, caller: Caller, wanted: NewKey, *, now: datetime) -> MadeKey:
    """A new key of the caller.

    Raises:
        InvalidError: A scope does not exist.
        ForbiddenError: A scope is more than the caller has, or nothing a key can carry; or limits are set by somebody
            who may not set budgets.
    """
    if wanted.limits is not None:
        _check_limits(caller)
    scopes = for_keys(caller.permissions) if wanted.scopes is None else _granted(caller, wanted.scopes)
    made = make_api_key()
    row = _row(made, caller.org_id, now=now)
    row.name, row.created_by, row.scopes, row.models = wanted.name, caller.user_id, sorted(scopes), wanted.models
    row.expires_at = None if wanted.expires_in_days is None else now + timedelta(days=wanted.expires_in_days)
    row.limits = None if wanted.limits is None else wanted.limits.to_row()
    db.add(row)
    await ApiKeyRepository(db).cap(row, _nano(wanted.budget_usd), now=now)
    audit(db, "api_key.created", org_id=row.org_id, now=now, caller=caller, target=str(row.id), scopes=row.scopes)
    return MadeKey(row, made.text)


async def find_key(db: AsyncSession, caller: Caller, key_id: UUID) -> ApiKeyRow:
    """The organisation's key of that id. Raises NotFoundError."""
    row = await ApiKeyRepository(db).find(caller.org_id, key_id)
    if row is None:
        raise NotFoundError("API key", key_id)
    return row


async def change_key(db: AsyncSession, caller: Caller, key_id: UUID, change: KeyChange, *, now: datetime) -> ApiKeyRow:
    """Change name, scopes, models, budget, limits or end of a key. Only what the request names changes.

    Raises:
        NotFoundError: The organisation has no such key.
        ConflictError: The key is revoked.
        ForbiddenError: See `create_key`.
    """
    row = await _editable(db, caller, key_id)
    if row.revoked_at is not None and row.revoked_at <= now:
        raise ConflictError("the key is revoked; make a new one", code="key_revoked")
    named = change.model_fields_set
    if "name" in named and change.name is not None:
        row.name = change.name
    if "scopes" in named and change.scopes is not None:
        row.scopes = sorted(_granted(caller, change.scopes))
    if "models" in named:
        row.models = change.models
    if "expires_in_days" in named:
        row.expires_at = None if change.expires_in_days is None else now + timedelta(days=change.expires_in_days)
    if "budget_usd" in named:
        await ApiKeyRepository(db).cap(row, _nano(change.budget_usd), now=now)
    if "limits" in named:
        _check_limits(caller)
        row.limits = None if change.limits is None else change.limits.to_row()
    audit(db, "api_key.changed", org_id=row.org_id, now=now, caller=caller, target=str(row.id), fields=sorted(named))
    return row


async def rotate_key(
    db: AsyncSession, caller: Caller, key_id: UUID, *, grace: timedelta, now: datetime
) -> tuple[MadeKey, ApiKeyRow]:
    """A new key with the rights of the old one, which keeps working for `grace`. Answers both.

    What both use counts on the first key of the chain, so that rotating renews neither a budget nor a limit.

    Raises:
        NotFoundError: The organisation has no such key.
        ConflictError: The key is revoked, or being rotated already.
    """
    old = await _editable(db, caller, key_id)
    if old.revoked_at is not None:
        raise ConflictError("the key is revoked or was rotated already", code="key_revoked")
    made = make_api_key()
    row = _row(made, old.org_id, now=now)
    row.name, row.created_by, row.scopes, row.models = old.name, old.created_by, old.scopes, old.models
    row.rotated_from, row.budget_nano_usd, row.limits = old.rotated_from or old.id, old.budget_nano_usd, old.limits
    row.expires_at = None if old.expires_at is None else now + (old.expires_at - old.created_at)
    old.revoked_at = now + grace
    db.add(row)
    await db.flush()
    audit(db, "api_key.rotated", org_id=row.org_id, now=now, caller=caller, target=str(old.id), successor=str(row.id))
    return MadeKey(row, made.text), old


async def revoke_key(db: AsyncSession, caller: Caller, key_id: UUID, *, now: datetime) -> ApiKeyRow:
    """Revoke a key at `now`. Revoking twice keeps the first time.

    Raises:
        NotFoundError: The organisation has no such key.
    """
    row = await _editable(db, caller, key_id)
    row.revoked_at = now if row.revoked_at is None else min(row.revoked_at, now)
    audit(db, "api_key.revoked", org_id=row.org_id, now=now, caller=caller, target=str(row.id))
    return row


async def _editable(db: AsyncSession, caller: Caller, key_id: UUID) -> ApiKeyRow:
    """A key the caller may change: their own, or any for who manages members."""
    row = await find_key(db, caller, key_id)
    if row.created_by != caller.user_id and not caller.may("member:write"):
        raise ForbiddenError("only its creator or an Admin may change this key")
    return row


def _check_limits(caller: Caller) -> None:
    """Limits protect the organisation from its keys, so their holder does not set them. Raises ForbiddenError."""
    if not caller.may(LIMITS_PERMISSION):
        raise ForbiddenError(f"limits of a key need the permission {LIMITS_PERMISSION}; your role is {caller.role}")


def _granted(caller: Caller, scopes: Sequence[str]) -> frozenset[str]:
    """The scopes as permissions, all of which the caller holds and a key can carry."""
    wanted = expanded(scopes)
    unknown = sorted(wanted - PERMISSIONS)
    if unknown:
        raise InvalidError("there is no such scope", [_unknown(name, scopes) for name in unknown])
    if {"*"} & set(scopes) or any(scope.endswith(":*") for scope in scopes):
        exact = {scope for scope in scopes if not scope.endswith("*")}
        wanted = (wanted & caller.permissions) | exact
    refused = sorted((wanted - caller.permissions) | (wanted - for_keys(PERMISSIONS)))
    if refused:
        raise ForbiddenError(f"a key of yours cannot have {', '.join(refused)}", code="scope_not_held")
    return wanted


def _nano(budget_usd: Usd | None) -> int | None:
    return None if budget_usd is None else to_nano_usd(budget_usd)


def _unknown(name: str, scopes: Sequence[str]) -> FieldProblem:
    meant = nearest(name, sorted(PERMISSIONS))
    hint = f"; did you mean {meant!r}?" if meant else ""
    return FieldProblem(f"/scopes/{list(scopes).index(name)}", f"unknown scope {name!r}{hint}")


def _row(made: NewApiKey, org_id: UUID, *, now: datetime) -> ApiKeyRow:
    return ApiKeyRow(
        id=uuid7(),
        org_id=org_id,
        key_hash=made.key_hash,
        prefix=made.prefix,
        last_four=made.last_four,
        created_at=now,
    )
