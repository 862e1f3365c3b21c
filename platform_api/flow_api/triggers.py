"""Webhooks and ends of runs that start flows: kept equal to the published version, verified, and counted once."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast
from uuid import UUID

import orjson
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from bridge.clock import Clock
from bridge.identifiers import NewId
from bridge.json_types import JsonValue
from flows.engine_services import FlowExpressions
from flows.plan import Plan, TriggerRule
from flows.triggers import Call, call_of
from nodes.errors import ExpressionError, NodeError
from platform_api.auth.audit import audit
from platform_api.auth.principals import Caller
from platform_api.database.session import Database
from platform_api.database.tables.flows import FlowRow
from platform_api.database.tables.identity import OrganizationRow
from platform_api.database.tables.triggers import DeliveryRow, TriggerRow
from platform_api.database.upserts import insert_missing
from platform_api.errors import BadRequestError, ConflictError, InvalidError, NotFoundError, UnauthenticatedError
from platform_api.flow_api.plans import FlowCompiler
from platform_api.flow_api.run_service import RunEntrance, RunOrder
from platform_api.flow_api.trigger_schemas import Delivered, TriggerItem, TriggerSecret
from platform_api.flow_api.webhook_signatures import new_secret, problem_of
from platform_api.security.encryption import Envelope, Place

OVERLAP = timedelta(hours=24)
"""How long the secret before the newest one is taken."""
MAX_BODY_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Delivery:
    """A request to a webhook, as it came. Names of headers are in lower case."""

    body: bytes
    headers: Mapping[str, str]


async def replace_triggers(
    db: AsyncSession, flow: FlowRow, plan: Plan, *, user_id: UUID | None, now: datetime, new_id: NewId
) -> None:
    """Make the flow's triggers those that `plan` asks for. Secrets and pauses survive a new version."""
    present = {row.trigger_id: row for row in await db.scalars(select(TriggerRow).where(TriggerRow.flow_id == flow.id))}
    wanted = {rule.id: rule for rule in plan.triggers}
    for trigger_id, row in present.items():
        if trigger_id not in wanted or wanted[trigger_id].kind != row.kind:
            await db.delete(row)
    await db.flush()
    for trigger_id, rule in wanted.items():
        row = present.get(trigger_id)
        if row is not None and row.kind == rule.kind:
            row.source, row.updated_at = rule.source, now
            continue
        db.add(
            TriggerRow(
                id=UUID(new_id()),
                org_id=flow.org_id,
                flow_id=flow.id,
                flow=flow.name,
                trigger_id=trigger_id,
                kind=rule.kind,
                source=rule.source,
                is_paused=False,
                created_by=user_id,
                created_at=now,
                updated_at=now,
            )
        )
    await db.flush()


async def list_triggers(db: AsyncSession, org_id: UUID, flow: str | None) -> list[TriggerItem]:
    """The organisation's triggers, by flow and id."""
    query = select(TriggerRow).where(TriggerRow.org_id == org_id).order_by(TriggerRow.flow, TriggerRow.trigger_id)
    rows = (await db.scalars(query if flow is None else query.where(TriggerRow.flow == flow))).all()
    slug = await _slug(db, org_id)
    return [_item(row, slug) for row in rows]


async def find(db: AsyncSession, org_id: UUID, trigger: UUID) -> TriggerRow:
    """One trigger. Raises NotFoundError."""
    row = await db.scalar(select(TriggerRow).where(TriggerRow.org_id == org_id, TriggerRow.id == trigger))
    if row is None:
        raise NotFoundError("trigger", trigger)
    return row


async def pause(db: AsyncSession, caller: Caller, trigger: UUID, *, is_paused: bool, now: datetime) -> TriggerItem:
    """Stop or take up a trigger. What comes meanwhile is refused, and not made up for."""
    row = await find(db, caller.org_id, trigger)
    row.is_paused, row.updated_at = is_paused, now
    return _item(row, await _slug(db, caller.org_id))


async def new_trigger_secret(
    db: AsyncSession, caller: Caller, trigger: UUID, *, envelope: Envelope, now: datetime
) -> TriggerSecret:
    """A new secret of a webhook; the one before stays valid for OVERLAP.

    Raises:
        ConflictError: It is no webhook (no_webhook).
    """
    row = await find(db, caller.org_id, trigger)
    if row.kind != "webhook":
        raise ConflictError(f"{row.flow}.{row.trigger_id} is no webhook; only those are signed", code="no_webhook")
    secret = new_secret()
    row.sealed_previous, row.previous_until = None, None
    if row.sealed_secret is not None:
        previous = envelope.open(row.sealed_secret, _place(row, "sealed_secret"))
        row.sealed_previous = envelope.seal(previous, _place(row, "sealed_previous"))
        row.previous_until = now + OVERLAP
    row.sealed_secret, row.updated_at = envelope.seal(secret.encode(), _place(row, "sealed_secret")), now
    audit(db, "trigger.secret", org_id=caller.org_id, now=now, caller=caller, target=f"{row.flow}.{row.trigger_id}")
    url = _url(row, await _slug(db, caller.org_id))
    return TriggerSecret(secret=secret, url=url, previous_valid_until=row.previous_until)


class Hooks:
    """Takes deliveries and starts runs for them. One object a process."""

    def __init__(
        self,
        database: Database,
        compiler: FlowCompiler,
        entrance: RunEntrance,
        expressions: FlowExpressions,
        *,
        envelope: Callable[[], Envelope],
        clock: Clock,
    ) -> None:
        """`envelope` is asked for when the first signature is checked: a machine without webhooks needs no secret."""
        self._database = database
        self._compiler = compiler
        self._entrance = entrance
        self._expressions = expressions
        self._envelope = envelope
        self._clock = clock

    async def deliver(self, org: str, hook: str, delivery: Delivery) -> Delivered:
        """Verify a webhook and start its run; the same delivery again answers the run it started.

        Raises:
            NotFoundError: No such organisation or webhook, or it is paused.
            UnauthenticatedError: No secret was made yet, or the signature or its time is not right.
            BadRequestError: The body is no JSON.
            InvalidError: The trigger's expressions or the flow's inputs do not fit the body.
            ConflictError: As for any run.
        """
        row = await self._hook(org, hook)
        self._verify(row, delivery)
        try:
            body = cast("JsonValue", orjson.loads(delivery.body))
        except orjson.JSONDecodeError as error:
            raise BadRequestError(f"the body is no JSON: {error}") from error
        rule = await self._rule(row)
        call = self._call(rule, body, delivery.headers, delivery.headers.get("webhook-id", ""))
        return await self.start(row, call, trigger="webhook")

    async def start(self, row: TriggerRow, call: Call | None, *, trigger: str, depth: int = 0) -> Delivered:
        """The run of a call, made once for its key. Raises as `RunEntrance.start`."""
        if call is None:
            return Delivered(outcome="filtered", run_id=None)
        known = await self._known(row, call)
        if known is not None:
            return Delivered(outcome="repeated", run_id=str(known))
        sessions = self._database.for_org(row.org_id)
        order = RunOrder(
            org_id=row.org_id,
            flow=row.flow,
            version=None,
            inputs=cast("dict[str, Any]", call.inputs),
            trigger=trigger,
            user_id=row.created_by,
            idempotency_key=f"{row.id}:{call.key}",
        )
        entered = await self._entrance.start(sessions, order)
        record = {
            "trigger": row.id,
            "key": call.key,
            "org_id": row.org_id,
            "outcome": "started",
            "run_id": UUID(entered.run_id),
            "depth": depth,
            "at": self._clock.now(),
        }
        async with sessions() as db:
            await insert_missing(db, DeliveryRow, record)
        return Delivered(outcome="started" if entered.is_new else "repeated", run_id=entered.run_id)

    async def _known(self, row: TriggerRow, call: Call) -> UUID | None:
        query = select(DeliveryRow.run_id).where(DeliveryRow.trigger == row.id, DeliveryRow.key == call.key)
        async with self._database.for_org(row.org_id).read() as db:
            return await db.scalar(query)

    async def _hook(self, org: str, hook: str) -> TriggerRow:
        flow, _, trigger_id = hook.rpartition(".")
        query = (
            select(TriggerRow)
            .join(OrganizationRow, OrganizationRow.id == TriggerRow.org_id)
            .where(OrganizationRow.slug == org, TriggerRow.flow == flow, TriggerRow.trigger_id == trigger_id)
            .where(TriggerRow.kind == "webhook", TriggerRow.is_paused.is_(False))
        )
        async with self._database.system().read() as db:
            row = await db.scalar(query)
        if row is None:
            raise NotFoundError("webhook", f"{org}/{hook}")
        return row

    def _verify(self, row: TriggerRow, delivery: Delivery) -> None:
        valid = self._secrets(row)
        if not valid:
            raise UnauthenticatedError(
                "this webhook has no secret yet: POST /api/triggers/{id}/secret", code="no_secret"
            )
        problem = problem_of(
            valid,
            message_id=delivery.headers.get("webhook-id", ""),
            timestamp=delivery.headers.get("webhook-timestamp", ""),
            signature=delivery.headers.get("webhook-signature", ""),
            body=delivery.body,
            now=self._clock.now(),
        )
        if problem is not None:
            raise UnauthenticatedError(problem, code="bad_signature")

    def _secrets(self, row: TriggerRow) -> Sequence[str]:
        found: list[str] = []
        if row.sealed_secret is not None:
            found.append(self._envelope().open(row.sealed_secret, _place(row, "sealed_secret")).decode())
        if (
            row.sealed_previous is not None
            and row.previous_until is not None
            and row.previous_until > self._clock.now()
        ):
            found.append(self._envelope().open(row.sealed_previous, _place(row, "sealed_previous")).decode())
        return found

    async def _rule(self, row: TriggerRow) -> TriggerRule:
        """What the published version says of the trigger."""
        try:
            plan, _ = await self._compiler.plan(row.org_id, row.flow, None)
        except (LookupError, NodeError) as error:
            raise ConflictError(f"flow {row.flow} cannot run: {error}", code="flow_invalid") from error
        rule = next((one for one in plan.triggers if one.id == row.trigger_id), None)
        if rule is None:
            raise NotFoundError("webhook", f"{row.flow}.{row.trigger_id}")
        return rule

    def _call(self, rule: TriggerRule, body: JsonValue, headers: Mapping[str, str], delivery_id: str) -> Call | None:
        try:
            return call_of(rule, body, headers, delivery_id, self._expressions)
        except ExpressionError as error:
            raise InvalidError(f"trigger {rule.id}: {error}", code="invalid_delivery") from error


def source_key(*parts: str) -> str:
    """The key of something that can happen once: the end of a run."""
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()


def _place(row: TriggerRow, field: str) -> Place:
    return Place(str(row.org_id), "flow_triggers", str(row.id), field)


async def _slug(db: AsyncSession, org_id: UUID) -> str:
    return await db.scalar(select(OrganizationRow.slug).where(OrganizationRow.id == org_id)) or str(org_id)


def _url(row: TriggerRow, slug: str) -> str:
    return f"/api/hooks/{slug}/{row.flow}.{row.trigger_id}"


def _item(row: TriggerRow, slug: str) -> TriggerItem:
    is_webhook = row.kind == "webhook"
    return TriggerItem(
        id=str(row.id),
        flow=row.flow,
        trigger=row.trigger_id,
        kind=row.kind,
        url=_url(row, slug) if is_webhook else None,
        source=None if is_webhook else row.source,
        has_secret=row.sealed_secret is not None,
        paused=row.is_paused,
        created_at=row.created_at,
    )
