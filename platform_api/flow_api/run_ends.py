"""Starts flows when runs of other flows have ended, whichever process or lane they ended in."""

import logging
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select

from bridge.clock import Clock
from bridge.json_types import JsonObject
from bridge.money import usd_number
from flows.engine_services import FlowExpressions
from flows.runs import FINAL_RUN
from flows.triggers import Call, call_of
from nodes.errors import NodeError
from platform_api.database.session import Database
from platform_api.database.tables.flows import RunRow
from platform_api.database.tables.triggers import DeliveryRow, TriggerRow
from platform_api.database.upserts import insert_missing
from platform_api.errors import ApiError
from platform_api.flow_api.plans import FlowCompiler
from platform_api.flow_api.triggers import Hooks, source_key
from platform_api.repeating import repeating

log = logging.getLogger(__name__)

LOOK_EVERY_S = 2.0
LOOKS_BACK = timedelta(hours=1)
"""Ends that nobody saw for so long, because no process ran, start nothing any more."""
MAX_DEPTH = 8
"""How many ends of runs may follow from one another: a circle of flows stops here."""
MAX_ENDS = 50


class RunEnds:
    """Looks for ended runs that a trigger waits for. Every process may: a run starts one run for a trigger."""

    def __init__(
        self, database: Database, hooks: Hooks, compiler: FlowCompiler, expressions: FlowExpressions, clock: Clock
    ) -> None:
        self._database = database
        self._hooks = hooks
        self._compiler = compiler
        self._expressions = expressions
        self._clock = clock

    def watching(self) -> AbstractAsyncContextManager[None]:
        """Look every LOOK_EVERY_S seconds until the block ends."""
        return repeating(self.look, every_s=LOOK_EVERY_S, name="run_ends_look")

    async def look(self) -> int:
        """Start what is due now; how many ends were dealt with."""
        async with self._database.system().read() as db:
            query = select(TriggerRow).where(TriggerRow.kind == "run_completed", TriggerRow.is_paused.is_(False))
            rows = (await db.scalars(query)).all()
        n_ends = 0
        for row in rows:
            for run in await self._new_ends(row):
                await self._follow(row, run)
                n_ends += 1
        return n_ends

    async def _new_ends(self, row: TriggerRow) -> Sequence[RunRow]:
        since: datetime = max(row.created_at, self._clock.now() - LOOKS_BACK)
        ended = (
            select(RunRow)
            .where(RunRow.org_id == row.org_id, RunRow.flow == row.source, RunRow.status.in_(FINAL_RUN))
            .where(RunRow.finished_at >= since)
            .order_by(RunRow.finished_at)
        )
        known = select(DeliveryRow.key).where(DeliveryRow.trigger == row.id, DeliveryRow.at >= since)
        async with self._database.for_org(row.org_id).read() as db:
            seen = set((await db.scalars(known)).all())
            runs = (await db.scalars(ended)).all()
        return [run for run in runs if source_key(str(run.id)) not in seen][:MAX_ENDS]

    async def _follow(self, row: TriggerRow, run: RunRow) -> None:
        """Start the trigger's flow for one end; what comes of it is noted, so that it is looked at once."""
        key = source_key(str(run.id))
        depth = await self._depth(run) + 1
        outcome = "refused"
        try:
            if depth > MAX_DEPTH:
                log.warning("run_end_too_deep", extra={"run_id": str(run.id), "flow": row.flow})
            else:
                call = await self._call(row, run, key)
                outcome = (await self._hooks.start(row, call, trigger="run_completed", depth=depth)).outcome
        except (ApiError, LookupError, NodeError) as error:
            log.warning("run_end_refused", extra={"run_id": str(run.id), "flow": row.flow, "problem": str(error)})
        if outcome in {"refused", "filtered"}:
            await self._note(row, key, outcome, depth)

    async def _call(self, row: TriggerRow, run: RunRow, key: str) -> Call | None:
        plan, _ = await self._compiler.plan(row.org_id, row.flow, None)
        rule = next((one for one in plan.triggers if one.id == row.trigger_id), None)
        if rule is None:
            return None
        call = call_of(rule, _body(run), {}, str(run.id), self._expressions)
        return None if call is None else Call(call.inputs, key)

    async def _depth(self, run: RunRow) -> int:
        """How many ends of runs the run follows from."""
        query = select(DeliveryRow.depth).where(DeliveryRow.org_id == run.org_id, DeliveryRow.run_id == run.id)
        async with self._database.for_org(run.org_id).read() as db:
            return await db.scalar(query) or 0

    async def _note(self, row: TriggerRow, key: str, outcome: str, depth: int) -> None:
        record: dict[str, UUID | str | int | datetime | None] = {
            "trigger": row.id,
            "key": key,
            "org_id": row.org_id,
            "outcome": outcome,
            "run_id": None,
            "depth": depth,
            "at": self._clock.now(),
        }
        async with self._database.for_org(row.org_id)() as db:
            await insert_missing(db, DeliveryRow, record)


def _body(run: RunRow) -> JsonObject:
    """What expressions read as `body`."""
    return {
        "run_id": str(run.id),
        "flow": run.flow,
        "version": run.version,
        "status": run.status,
        "inputs": run.inputs,
        "outputs": run.outputs or {},
        "errors": run.errors or [],
        "cost_usd": usd_number(run.cost_nano_usd),
    }
