"""Plans and problems of flow documents as JSON, SARIF and lines of text."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from bridge.json_types import JsonObject, JsonValue
from bridge.money import usd_number

if TYPE_CHECKING:
    from flows.cost_bound import CostBound
    from flows.errors import Diagnostic
    from flows.plan import Block, Plan, PlanStep


def sarif(found: "Sequence[Diagnostic]") -> JsonObject:
    """The problems as a SARIF 2.1.0 log, as code hosts read it."""
    codes = sorted({diagnostic.code for diagnostic in found})
    results: list[JsonValue] = [_sarif_result(diagnostic) for diagnostic in found]
    driver: JsonObject = {"name": "modelbridge", "rules": [{"id": code} for code in codes]}
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "results": results, "columnKind": "unicodeCodePoints"}],
    }


def _sarif_result(diagnostic: "Diagnostic") -> JsonObject:
    text = diagnostic.message + (f" ({diagnostic.suggestion})" if diagnostic.suggestion else "")
    region: JsonObject = {"startLine": diagnostic.line, "startColumn": diagnostic.column}
    location: JsonObject = {"artifactLocation": {"uri": diagnostic.file}, "region": region}
    return {
        "ruleId": diagnostic.code,
        "level": diagnostic.severity,
        "message": {"text": text},
        "locations": [{"physicalLocation": location}],
    }


def plan_json(plan: "Plan", bound: "CostBound") -> JsonObject:
    """The plan for tools: steps in order, edges with reasons, cost."""
    return {
        "flow": plan.flow,
        "description": plan.description,
        "content_hash": plan.content_hash,
        "engine": plan.engine,
        "steps": [_step_json(step) for step in plan.block.steps],
        "on_failure": [_step_json(step) for step in plan.on_failure],
        "finally": [_step_json(step) for step in plan.finally_steps],
        "outputs": plan.outputs,
        "schedules": [
            {"id": rule.id, "cron": rule.cron, "timezone": rule.timezone, "overlap": rule.overlap}
            for rule in plan.schedules
        ],
        "budget_usd": plan.budget.usd if plan.budget else None,
        "expected_cost_usd": usd_number(bound.expected_nano_usd),
        "worst_cost_usd": usd_number(bound.worst_nano_usd),
        "costs": [
            {
                "step": cost.path,
                "max_runs": cost.max_runs,
                "expected_cost_usd": usd_number(cost.expected_nano_usd),
                "worst_cost_usd": usd_number(cost.worst_nano_usd),
            }
            for cost in bound.steps
        ],
    }


def _step_json(step: "PlanStep") -> JsonObject:
    return {
        "id": step.id,
        "type": step.type,
        "join": step.join,
        "when": step.when,
        "foreach": step.foreach is not None,
        "attempts": step.retry.attempts,
        "depends_on": [
            {"step": edge.step, "reads": edge.reads, "is_coalesced": edge.is_coalesced, "why": edge.why}
            for edge in step.depends_on
        ],
        "body": [_step_json(inner) for inner in step.body.steps] if step.body else [],
    }


def graph_lines(plan: "Plan") -> Iterator[str]:
    """The steps in order, below each what it waits for and why."""
    yield from _block_lines(plan.block, "  ")
    for title, steps in (("on_failure", plan.on_failure), ("finally", plan.finally_steps)):
        if steps:
            yield f"  {title}:"
        for step in steps:
            yield from _step_lines(step, "    ")


def _block_lines(block: "Block", indent: str) -> Iterator[str]:
    for step in block.steps:
        yield from _step_lines(step, indent)


def _step_lines(step: "PlanStep", indent: str) -> Iterator[str]:
    marks = [f"when {step.when}"] if step.when else []
    marks += ["once per item"] if step.foreach else []
    marks += [f"join {step.join}"] if step.join != "all_succeeded" else []
    marks += ["only by goto"] if step.goto_only else []
    yield f"{indent}{step.id} ({step.type})" + (f": {', '.join(marks)}" if marks else "")
    for edge in step.depends_on:
        yield f"{indent}  <- {edge.step}: {edge.why}"
    if step.body is not None:
        yield from _block_lines(step.body, indent + "    ")
