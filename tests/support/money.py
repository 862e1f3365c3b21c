"""Call records and organisations for tests about money."""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from bridge.call_record import AttemptRecord, CallContext, CallRecord, Dispatch, Lease
from bridge.chat import Usage
from bridge.identifiers import new_id
from bridge.lease_pool import Claim
from platform_api.database.session import Database
from platform_api.database.tables.identity import OrganizationRow

NOW = datetime(2026, 1, 14, 12, tzinfo=UTC)


async def new_organization(database: Database) -> str:
    """An organisation in the database; its id."""
    org_id = new_id()
    async with database.system()() as db:
        db.add(OrganizationRow(id=UUID(org_id), slug=f"o-{org_id}", name="O", plan="self-hosted", created_at=NOW))
    return org_id


def made_dispatch(claim: Claim, *, attempt_id: str | None = None) -> Dispatch:
    """The only attempt of a call, on its way with all that the call holds as its worst case."""
    return Dispatch(
        attempt_id=attempt_id or claim.call_id,
        call_id=claim.call_id,
        context=CallContext(org_id=claim.org_id, request_id="req-1"),
        requested="balanced",
        alias=None,
        is_stream=False,
        call_started_at=claim.started_at,
        deployment="acme/m",
        provider="acme",
        model="acme/m",
        at=claim.started_at,
        worst_case_nano_usd=claim.total_nano_usd,
        leases=claim.leases,
    )


def made_call(
    org_id: str,
    *,
    cost_nano_usd: int | None = 1000,
    leases: Sequence[Lease] = (),
    at: datetime = NOW,
    call_id: str | None = None,
    key_id: str | None = None,
    task: str | None = None,
) -> CallRecord:
    """A call of one attempt."""
    attempt = AttemptRecord(
        attempt_id=new_id(),
        deployment="acme/m",
        provider="acme",
        model="acme/m",
        started_at=at,
        duration_ms=12.5,
        ttft_ms=None,
        outcome="succeeded",
        error_class=None,
        error_message=None,
        status=200,
        usage=Usage(10, 20),
        cost_nano_usd=cost_nano_usd,
        provider_cost_nano_usd=None,
        price=None,
        is_estimated=False,
    )
    return CallRecord(
        call_id=call_id or new_id(),
        context=CallContext(org_id=org_id, key_id=key_id, task=task),
        requested="balanced",
        alias="balanced",
        decision=None,
        attempts=(attempt,),
        status="succeeded",
        cache="off",
        is_stream=False,
        started_at=at,
        finished_at=at,
        leases=tuple(leases),
    )
