"""A step, or a body, once per item: which items, how many at once, what a failed item does, what comes out."""

import asyncio
import itertools
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from bridge.json_types import JsonValue
from flows.plan import ForeachRule, PlanStep
from flows.recordings import NOT_RECORDED
from flows.runs import StepError, StepRun
from flows.scopes import Scope
from flows.step_errors import Failure, failure_of
from flows.walk import DirectCaller, Frame, Walk
from nodes.errors import InvalidInputError, NodeError

RunItem = Callable[[Frame], Awaitable[StepRun]]
"""Executes one item of the step in the given frame. Whether it is called through the frame's caller is its matter."""

BODY_TYPE = "foreach"


@dataclass(slots=True)
class Progress:
    """Items ended so far, by index, and whether more may start."""

    ended: dict[int, StepRun]
    is_stopped: bool = False


async def fan_out(
    walk: Walk,
    step: PlanStep,
    frame: Frame,
    rule: ForeachRule,
    run_item: RunItem,
    *,
    deadline: asyncio.Timeout,
) -> StepRun:
    """Run every item and fold the outcomes into one: output in input order, cost summed, attempts the highest."""
    started_at = walk.services.clock.now()
    progress = Progress(ended={})
    failure: Failure | None = None
    frames: Sequence[Frame] = ()
    try:
        async with deadline:
            frames = _frames(frame, rule, items_of(walk, step, rule, frame))
            is_chunked = _must_chunk(step, frame, len(frames))
            await _run_all(walk, rule, frames, run_item, progress, is_chunked=is_chunked)
    except TimeoutError:
        if not deadline.expired():
            raise
        failure = Failure("timeout", f"not all items done within the deadline of {step.deadline_s:g} s")
    except NodeError as error:
        failure = failure_of(error, frame.path)
    ended = _fold(step, frame, rule, progress, failure)
    finished_at = None if ended.status == "waiting" else walk.services.clock.now()
    return replace(ended, started_at=started_at, finished_at=finished_at)


def items_of(walk: Walk, step: PlanStep, rule: ForeachRule, frame: Frame) -> Sequence[JsonValue]:
    """The items, expressions rendered; for a matrix the product, the first name varying slowest. Raises NodeError."""
    rendered = walk.services.expressions.render(rule.items, frame.roots(), step.places)
    if rule.is_matrix:
        if not isinstance(rendered, Mapping):
            raise InvalidInputError("matrix must be a map of lists")
        axes = [[(name, value) for value in _list(values, f"matrix.{name}")] for name, values in rendered.items()]
        count = math.prod(len(axis) for axis in axes)
    else:
        axes = []
        count = len(_list(rendered, "items"))
    if count > rule.max_items:
        raise InvalidInputError(f"{count} items are more than max_items ({rule.max_items}) allows; none was run")
    if rule.is_matrix:
        return [dict(combination) for combination in itertools.product(*axes)]
    return _list(rendered, "items")


def _list(value: JsonValue, name: str) -> Sequence[JsonValue]:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return value
    kind = "a map" if isinstance(value, Mapping) else type(value).__name__
    raise InvalidInputError(f"{name} must be a list, it is {kind}")


def _frames(frame: Frame, rule: ForeachRule, items: Sequence[JsonValue]) -> list[Frame]:
    return [
        replace(
            frame,
            path=f"{frame.path}[{index}]",
            scope=Scope(roots={**frame.scope.roots, rule.name: item, "index": index}, outer=frame.scope.outer),
            item_index=index,
            after=(),
        )
        for index, item in enumerate(items)
    ]


def _must_chunk(step: PlanStep, frame: Frame, count: int) -> bool:
    calls = count * (len(step.body.steps) if step.body is not None else 1)
    return frame.caller.fan_out_limit is not None and calls > frame.caller.fan_out_limit


async def _run_all(
    walk: Walk, rule: ForeachRule, frames: Sequence[Frame], run_item: RunItem, progress: Progress, *, is_chunked: bool
) -> None:
    """At most `max_parallel` items at once, whether or not they are called in chunks."""
    slots = asyncio.Semaphore(max(1, rule.max_parallel))

    async def run_one(frame: Frame) -> StepRun | None:
        async with slots:
            if progress.is_stopped:
                return None
            ended = await run_item(frame)
            progress.ended[frame.item_index or 0] = ended
            if _stops_all(walk, rule, ended):
                progress.is_stopped = True
            return ended

    if is_chunked:
        await _in_order(_chunks(frames, run_one), len(frames))
    else:
        await _in_order([lambda frame=frame: run_one(frame) for frame in frames], rule.max_parallel)


def _chunks(
    frames: Sequence[Frame], run_one: Callable[[Frame], Awaitable[StepRun | None]]
) -> list[Callable[[], Awaitable[object]]]:
    """One call a chunk, as many chunks as the lane shows at most; the items inside are called directly."""
    limit = frames[0].caller.fan_out_limit or 1
    size = math.ceil(len(frames) / limit)

    def call_of(chunk: Sequence[Frame]) -> Callable[[], Awaitable[object]]:
        first, last = chunk[0], chunk[-1]
        name = f"{first.path[: first.path.rindex('[')]}[{first.item_index}..{last.item_index}]"

        async def work() -> StepRun:
            ended = await asyncio.gather(*(run_one(replace(frame, caller=DirectCaller())) for frame in chunk))
            failed = next((one for one in ended if one is not None and one.status == "failed"), None)
            is_waiting = any(one is not None and one.status == "waiting" for one in ended)
            status = "failed" if failed else "waiting" if is_waiting else "succeeded"
            return StepRun(path=name, step=name, type="chunk", status=status, error=failed.error if failed else None)

        return lambda: first.caller.call(name, (), work)

    return [call_of(frames[start : start + size]) for start in range(0, len(frames), size)]


async def _in_order(calls: Sequence[Callable[[], Awaitable[object]]], parallel: int) -> None:
    """Make the calls, at most `parallel` at once, starting them in order. The first exception ends all."""
    waiting = iter(calls)

    async def take() -> None:
        for call in waiting:
            await call()

    workers = [asyncio.create_task(take()) for _ in range(min(max(1, parallel), len(calls)))]
    try:
        await asyncio.gather(*workers)
    except BaseException:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        raise


def _stops_all(walk: Walk, rule: ForeachRule, ended: StepRun) -> bool:
    if ended.status not in ("failed", "cancelled"):
        return False
    return rule.on_item_error == "fail" or walk.is_budget_stop(ended) or ended.reason == NOT_RECORDED


def _fold(step: PlanStep, frame: Frame, rule: ForeachRule, progress: Progress, failure: Failure | None) -> StepRun:
    ended = [progress.ended[index] for index in sorted(progress.ended)]
    costs = [one.cost_nano_usd for one in ended]
    errors = tuple(_item_error(step, one) for one in ended if one.status in ("failed", "cancelled"))
    attempts = max([1 if step.body is not None else 0, *(one.attempts for one in ended)])
    base = StepRun(
        path=frame.path,
        step=step.id,
        type=step.type,
        status="succeeded",
        attempts=attempts,
        cost_nano_usd=None if any(cost is None for cost in costs) else sum(cost or 0 for cost in costs),
        model=next((one.model for one in reversed(ended) if one.model), None),
        provider=next((one.provider for one in reversed(ended) if one.provider), None),
        call_ids=tuple(call_id for one in ended for call_id in one.call_ids),
        fingerprint=step.fingerprint,
    )
    if failure is not None:
        error = failure.at(step.id, frame.path, max(1, attempts), frame.item_index)
        return replace(base, status="failed", error=error, attempts=max(1, attempts), item_errors=errors)
    if any(one.status == "waiting" for one in ended):
        return replace(base, status="waiting")
    if errors and (rule.on_item_error == "fail" or progress.is_stopped):
        return replace(base, status="failed", error=errors[0])
    results = _results(rule, ended)
    if step.type == BODY_TYPE:
        lost: list[JsonValue] = [
            {"index": error.item_index, "class": error.error_class, "message": error.message} for error in errors
        ]
        return replace(base, output={"results": results, "errors": lost}, item_errors=errors)
    return replace(base, output=results, item_errors=errors)


def _results(rule: ForeachRule, ended: Sequence[StepRun]) -> list[JsonValue]:
    if rule.on_item_error == "drop":
        return [one.output for one in ended if one.status not in ("failed", "cancelled")]
    return [one.output for one in ended]


def _item_error(step: PlanStep, item: StepRun) -> StepError:
    """The item's error as the step's: its node is the step, its path leads inward."""
    index = int(item.path[item.path.rindex("[") + 1 : -1]) if item.path.endswith("]") else None
    if item.error is None:
        return StepError("internal", f"the item was {item.status}", step.id, item.path, item_index=index)
    return replace(item.error, node=step.id, item_index=index)
