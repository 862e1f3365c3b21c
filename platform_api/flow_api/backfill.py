"""Running what a schedule missed: first what it would cost, then, within a limit, the runs."""

from datetime import datetime, timedelta

from bridge.money import usd_number
from flows.cost_bound import cost_bound
from nodes.errors import NodeError
from platform_api.database.tables.flows import ScheduleRow
from platform_api.errors import ConflictError, FieldProblem, InvalidError
from platform_api.flow_api.schedule_slots import Slot
from platform_api.flow_api.schemas import Backfill, BackfillPlan
from platform_api.flow_api.services import FlowServices

MAX_SLOTS = 500
LONGEST = timedelta(days=366)


async def backfill(flows: FlowServices, row: ScheduleRow, wanted: Backfill, *, now: datetime) -> BackfillPlan:
    """The slots between two times that have no run, what they cost, and, with a limit, their runs, oldest first.

    Raises:
        InvalidError: The times are in the wrong order, in the future, or too far apart.
        ConflictError: More slots than MAX_SLOTS (too_many_slots), no version that runs (flow_invalid), or at worst
            they cost more than allowed (cost_above_limit), or nobody knows how much (cost_unknown).
    """
    _check_times(wanted, now)
    slots = await flows.slots.without_run(row, wanted.since, wanted.until, limit=MAX_SLOTS + 1)
    if len(slots) > MAX_SLOTS:
        raise ConflictError(f"more than {MAX_SLOTS} slots; take a shorter time", code="too_many_slots")
    expected, worst = await _cost(flows, row, len(slots))
    plan = BackfillPlan(slots=slots, expected_usd=usd_number(expected), worst_usd=usd_number(worst), run_ids=[])
    if wanted.max_usd is None:
        return plan
    if plan.worst_usd is None and not wanted.accepts_unknown_cost:
        raise ConflictError("a price is unknown; say `accepts_unknown_cost: true` to run them", code="cost_unknown")
    if plan.worst_usd is not None and plan.worst_usd > wanted.max_usd:
        message = f"these {len(slots)} runs may cost ${plan.worst_usd:g}, and ${wanted.max_usd:g} is allowed"
        raise ConflictError(message, code="cost_above_limit")
    for at in slots:
        entered = await flows.slots.enter(Slot(row.org_id, row.id, at, is_made_up=True), lane=None)
        if entered is not None:
            plan.run_ids.append(entered.run_id)
    return plan


def _check_times(wanted: Backfill, now: datetime) -> None:
    problems: list[FieldProblem] = []
    if wanted.since.tzinfo is None or wanted.until.tzinfo is None:
        problems.append(FieldProblem("/since", "give times with a zone: 2026-05-01T00:00:00Z"))
    elif not wanted.since <= wanted.until <= now:
        problems.append(FieldProblem("/until", "since comes first, and until is not in the future"))
    elif wanted.until - wanted.since > LONGEST:
        problems.append(FieldProblem("/since", f"at most {LONGEST.days} days"))
    if problems:
        raise InvalidError("these times cannot be backfilled", problems)


async def _cost(flows: FlowServices, row: ScheduleRow, n_runs: int) -> tuple[int | None, int | None]:
    """Expected and worst cost of so many runs, in nano-USD."""
    try:
        plan, _ = await flows.compiler.plan(row.org_id, row.flow, row.version)
    except (LookupError, NodeError) as error:
        raise ConflictError(f"flow {row.flow} cannot run: {error}", code="flow_invalid") from error
    bound = cost_bound(plan, flows.compiler.names)
    worst = bound.worst_nano_usd
    if plan.budget is not None and plan.budget.on_exceed == "stop":
        limit = round(plan.budget.usd * 1e9)
        worst = limit if worst is None else min(worst, limit)
    expected = bound.expected_nano_usd
    return None if expected is None else expected * n_runs, None if worst is None else worst * n_runs
