"""`run_step`: the one coroutine that executes a node, whatever calls it.

It renders `with`, validates it into the node, and tries: a timeout per attempt, a deadline over all, retries by error
class with backoff, jitter and Retry-After. It never raises for a step that fails; it answers a StepRun. Only
CancelledError and StaleOwnerError leave it.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from bridge.call_record import CallContext, CallRecord
from bridge.errors import BridgeError
from bridge.json_types import JsonValue
from flows.budgets import cheaper
from flows.control import StepExpressions
from flows.experiments import Asker, arm_of
from flows.inputs import to_schema
from flows.outcome_cache import cache_key
from flows.payloads import check_size
from flows.plan import PlanStep
from flows.recording import given_of, recording_of
from flows.recordings import Given, Recording
from flows.retrying import LONGEST_PAUSE_S, is_covered, is_wanted, pause_s
from flows.runs import StepRun
from flows.secret_reads import ROOT as SECRETS_ROOT
from flows.step_errors import Failure, failure_of
from flows.step_secrets import secrets_of
from flows.step_source import Recalculation
from flows.trace_place import traceparent_of
from flows.waiting import kept_while_waiting
from flows.walk import Frame, Walk
from nodes.context import ModelCaller, ModelExchange, NodeContext, StepFacts
from nodes.errors import InvalidInputError
from nodes.node import Node
from nodes.secret_masks import Masks
from nodes.waiting import StepWaits


@dataclass(slots=True)
class Tally:
    """What the attempts of a step added up to."""

    attempts: int = 0
    cost_nano_usd: int | None = 0
    model: str | None = None
    provider: str | None = None
    call_ids: dict[str, None] = field(default_factory=dict[str, None])
    exchanges: list[ModelExchange] = field(default_factory=list[ModelExchange])
    is_whole: bool = True
    """Was no attempt cut off while it might have been calling a model?"""
    models: ModelCaller | None = None
    """Who answers for models in these attempts; None: the process's."""

    def add(self, call: CallRecord) -> None:
        """Count a bridge call once. The model is the one that answered last, else the one tried last."""
        if call.call_id in self.call_ids:
            return
        self.call_ids[call.call_id] = None
        cost = call.cost_nano_usd
        self.cost_nano_usd = None if cost is None or self.cost_nano_usd is None else self.cost_nano_usd + cost
        if call.attempts:
            self.model, self.provider = call.attempts[-1].model, call.attempts[-1].provider

    def add_inner(self, cost_nano_usd: int | None) -> None:
        """Count what flows inside the step cost."""
        known = self.cost_nano_usd is not None and cost_nano_usd is not None
        self.cost_nano_usd = (self.cost_nano_usd or 0) + (cost_nano_usd or 0) if known else None


@dataclass(frozen=True, slots=True)
class Attempt:
    """How one attempt ended: with an output, with a failure, or not yet."""

    output: JsonValue = None
    failure: Failure | None = None
    waits: StepWaits | None = None
    answers_seen: int = 0


async def run_step(walk: Walk, step: PlanStep, frame: Frame) -> StepRun:
    """Execute the node once per attempt and answer its outcome. on_error is applied by the caller."""
    clock = walk.services.clock
    started_at = walk.waiting_since(frame.path, step) or clock.now()
    tally = Tally()
    roots = frame.roots()
    hidden: tuple[str, ...] = ()
    is_cached = False
    whole, arm = step, None
    given: Given | None = None
    deadline = asyncio.timeout(step.deadline_s)
    try:
        async with deadline:
            step, arm = await _armed(walk, step, frame, roots)
            given = _given(walk, step, roots)
            known = walk.services.source.answer(step, frame.path, given) if walk.services.source and given else None
            if isinstance(known, StepRun):
                return replace(known, fingerprint=whole.fingerprint)
            secrets = await secrets_of(walk, step)
            hidden = tuple(secrets.values())
            node = _node(walk, step, roots, secrets)
            hidden += node.secret_texts() if hidden else ()
            step = _recalculated(step, known, tally)
            key = cache_key(walk, step, node, roots)
            found = await walk.services.cache.get(key) if key and walk.services.cache else None
            if found is not None:
                ended, is_cached = Attempt(output=found[0]), True
            else:
                ended = await _attempts(walk, step, frame, node, tally=tally, until=deadline.when())
                await _remember(walk, step, key, ended)
    except TimeoutError:
        if not deadline.expired():
            raise
        tally.is_whole = False
        ended = Attempt(failure=Failure("timeout", f"not done within the deadline of {step.deadline_s:g} s"))
    except Exception as error:  # noqa: BLE001  # rendering failed: the step's boundary
        tally.attempts = 1
        ended = Attempt(failure=failure_of(error, frame.path))
    ended = _without(hidden, ended)
    failure = ended.failure
    return StepRun(
        path=frame.path,
        step=step.id,
        type=step.type,
        status="waiting" if ended.waits else "failed" if failure else "succeeded",
        attempts=tally.attempts,
        output=kept_while_waiting(ended.waits, ended.answers_seen) if ended.waits else ended.output,
        error=failure.at(step.id, frame.path, max(1, tally.attempts), frame.item_index) if failure else None,
        started_at=started_at,
        finished_at=None if ended.waits else clock.now(),
        cost_nano_usd=tally.cost_nano_usd,
        model=tally.model,
        provider=tally.provider,
        call_ids=tuple(tally.call_ids),
        fingerprint=whole.fingerprint,
        is_cached=is_cached,
        recording=_recording(walk, step, frame, given=given, arm=arm, tally=tally, ended=ended),
    )


def has_expressions(value: JsonValue) -> bool:
    """Is there a `${{` anywhere in `value`?"""
    if isinstance(value, str):
        return "${{" in value
    if isinstance(value, Mapping):
        return any(has_expressions(part) for part in value.values())
    if isinstance(value, list | tuple):
        return any(has_expressions(part) for part in value)
    return False


def _without(hidden: tuple[str, ...], ended: Attempt) -> Attempt:
    """The end of the step as it may be kept: no secret stands in it."""
    if not hidden:
        return ended
    masks, failure = Masks(hidden), ended.failure
    told = replace(failure, message=masks.text(failure.message)) if failure is not None else None
    return replace(ended, output=masks.value(ended.output), failure=told)


def _node(walk: Walk, step: PlanStep, roots: Mapping[str, JsonValue], secrets: Mapping[str, str]) -> Node[Any]:
    """The validated node; made once per walk where nothing in `with` depends on the run."""
    fixed = walk.fixed_nodes.get(id(step))
    if fixed is not None:
        return fixed
    cls = walk.services.node_types.get(step.type)
    if cls is None:
        raise InvalidInputError(f"this process knows no node type {step.type!r}")
    late = {name: value for name, value in step.config.items() if name in cls.late_fields}
    early = {name: value for name, value in step.config.items() if name not in cls.late_fields}
    if not has_expressions(early):
        node = cls.model_validate({**early, **late})
        walk.fixed_nodes[id(step)] = node
        return node
    open_roots = {**roots, SECRETS_ROOT: secrets} if secrets else roots
    rendered = {
        name: walk.services.expressions.render(value, open_roots if name in cls.secret_fields else roots, step.places)
        for name, value in early.items()
    }
    return cls.model_validate({**rendered, **late})


async def _attempts(
    walk: Walk, step: PlanStep, frame: Frame, node: Node[Any], *, tally: Tally, until: float | None
) -> Attempt:
    """Try until it succeeds, may not be tried again, or the pause before the next try would outlast `until`."""
    rule = step.retry
    expressions = walk.services.expressions
    re_ask: str | None = None
    while True:
        tally.attempts += 1
        ended = await _attempt(walk, step, frame, node, tally=tally, re_ask=re_ask)
        failure = ended.failure
        if tally.attempts >= rule.attempts or ended.waits is not None:
            return ended
        if failure is None and rule.when is None:
            return ended
        if failure is not None and not is_covered(rule, failure):
            return ended
        error = failure.at(step.id, frame.path, tally.attempts, frame.item_index).to_json() if failure else None
        if not is_wanted(rule, expressions, frame.roots(), {"error": error, "output": ended.output}):
            return ended
        wait_s = pause_s(rule, tally.attempts, failure.retry_after_s if failure else None, walk.services.rng)
        if wait_s > LONGEST_PAUSE_S or (until is not None and asyncio.get_running_loop().time() + wait_s >= until):
            return ended
        _note_retry(walk, step, frame, tally)
        re_ask = failure.message if failure and rule.mode == "re_ask" else None
        await walk.services.clock.sleep(wait_s)


async def _attempt(
    walk: Walk, step: PlanStep, frame: Frame, node: Node[Any], *, tally: Tally, re_ask: str | None
) -> Attempt:
    facts = StepFacts()
    context = _context(walk, step, frame, attempt=tally.attempts, re_ask=re_ask, facts=facts)
    if tally.models is not None:
        context = replace(context, models=tally.models, on_token=None)
    if node.can_wait:
        context = replace(context, answers=await walk.services.answers.of(walk.run.id, frame.path))
    limit = asyncio.timeout(step.timeout_s)
    try:
        async with limit:
            output = await node.run(context)
        shown = to_schema(output.model_dump(mode="json"), step.output_schema)
        check_size(shown)
        return Attempt(output=shown)
    except StepWaits as waits:
        return Attempt(waits=waits, answers_seen=len(context.answers))
    except TimeoutError as error:
        if limit.expired():
            tally.is_whole = False
            return Attempt(failure=Failure("timeout", f"no result within {step.timeout_s:g} s"))
        return Attempt(failure=failure_of(error, frame.path))
    except Exception as error:  # noqa: BLE001  # the flow step's boundary: whatever a node raises becomes its error
        call: CallRecord | None = getattr(error, "call", None) if isinstance(error, BridgeError) else None
        if call is not None:
            facts.calls.append(call)
        return Attempt(failure=failure_of(error, frame.path))
    finally:
        for call in facts.calls:
            tally.add(call)
        tally.add_inner(facts.inner_cost_nano_usd)
        tally.exchanges += facts.exchanges


async def _armed(
    walk: Walk, step: PlanStep, frame: Frame, roots: Mapping[str, JsonValue]
) -> tuple[PlanStep, str | None]:
    """The step with the block of the arm that its unit gets, and the arm's name."""
    rule, run = step.experiment, walk.run
    if rule is None:
        return step, None
    unit = run.id if rule.unit is None else walk.services.expressions.render(rule.unit, roots, step.places)
    asker = Asker(run.org_id, run.flow, run.id, frame.path, walk.services.clock.now())
    arm = await arm_of(rule, unit, walk.services.exposures, asker)
    return rule.step_of(arm, step), arm


def _given(walk: Walk, step: PlanStep, roots: Mapping[str, JsonValue]) -> Given | None:
    """The input of a step that costs, has effects or waits; None for others, and where nobody wants to know it."""
    cls = walk.services.node_types.get(step.type)
    if cls is None or (step.is_replayable and not cls.can_wait):
        return None
    if walk.services.source is None and not walk.services.keeps_recordings:
        return None
    return given_of(step, cls, walk.services.expressions, roots)


def _recalculated(step: PlanStep, known: Recalculation | None, tally: Tally) -> PlanStep:
    """The step as it is executed over recorded answers: nothing takes time, and it fails as often as it did."""
    if known is None:
        return step
    tally.models = known.models
    return replace(step, timeout_s=None, deadline_s=None, retry=replace(step.retry, attempts=known.attempts))


def _recording(
    walk: Walk, step: PlanStep, frame: Frame, *, given: Given | None, arm: str | None, tally: Tally, ended: Attempt
) -> Recording | None:
    if given is None or ended.waits is not None or not walk.services.keeps_recordings:
        return None
    return recording_of(frame.path, step, given, tally.exchanges, is_whole=tally.is_whole, output=ended.output, arm=arm)


def _context(
    walk: Walk, step: PlanStep, frame: Frame, *, attempt: int, re_ask: str | None, facts: StepFacts
) -> NodeContext:
    run, services, recorder, budget = walk.run, walk.services, walk.recorder, walk.plan.budget
    return NodeContext(
        models=services.models,
        call=CallContext(
            org_id=run.org_id,
            key_id=run.key_id,
            user_id=run.user_id,
            run_id=run.id,
            step_path=frame.path,
            flow=run.flow,
            task=step.task or f"{run.flow}/{step.id}",
            request_id=run.request_id,
            traceparent=traceparent_of(run, frame.path),
        ),
        clock=services.clock,
        run_started_at=run.started_at or run.created_at,
        expressions=StepExpressions(step, services.expressions),
        scope=frame.roots(),
        http=services.http,
        outside=services.outside,
        flows=frame.flows,
        attempt=attempt,
        waiting_since=walk.waiting_since(frame.path, step),
        re_ask=re_ask,
        facts=facts,
        when_refused=cheaper if budget is not None and budget.on_exceed == "degrade" else None,
        on_token=(lambda text: recorder.token(frame.path, text)) if recorder.is_followed else None,
    )


def _note_retry(walk: Walk, step: PlanStep, frame: Frame, tally: Tally) -> None:
    walk.recorder.note(
        StepRun(
            path=frame.path,
            step=step.id,
            type=step.type,
            status="retrying",
            attempts=tally.attempts,
            started_at=walk.services.clock.now(),
            cost_nano_usd=tally.cost_nano_usd,
            fingerprint=step.fingerprint,
        )
    )


async def _remember(walk: Walk, step: PlanStep, key: str | None, ended: Attempt) -> None:
    if key and step.cache and walk.services.cache and ended.failure is None and ended.waits is None:
        await walk.services.cache.put(key, ended.output, ttl_s=step.cache.ttl_s)
