"""Realistic rows for the studio's fake API: flows, finished runs, and one run that grows with time."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

Json = dict[str, Any]

FLOW_YAML = """flow: support-triage
spec: 1
description: Classify a ticket, draft a reply, have it judged, send it or hand it over.
inputs:
  ticket: {type: string, minLength: 1, maxLength: 20000}
  tier: {enum: [free, pro, vip], default: free}
budget: {usd: 0.25, on_exceed: stop}
nodes:
  classify:
    type: classify
    with: {model: cheapest, text: "${{ inputs.ticket }}", classes: {billing: invoices, outage: down, other: rest}}
"""

INPUTS_SCHEMA: Json = {
    "type": "object",
    "required": ["ticket"],
    "properties": {
        "ticket": {"type": "string", "minLength": 1, "maxLength": 20000, "description": "What the customer wrote."},
        "tier": {"enum": ["free", "pro", "vip"], "default": "free"},
        "max_replies": {"type": "integer", "minimum": 1, "maximum": 5, "default": 1},
        "urgent": {"type": "boolean", "default": False},
    },
}

GRAPH: Json = {
    "nodes": [
        {"id": "classify", "type": "classify", "label": "classify", "model": "cheapest"},
        {"id": "find_similar", "type": "http", "label": "find_similar"},
        {"id": "draft", "type": "llm", "label": "draft", "model": "balanced", "when": True},
        {"id": "judge", "type": "evaluate", "label": "judge", "model": "best"},
        {"id": "route", "type": "switch", "label": "route"},
        {"id": "reply", "type": "template", "label": "reply"},
        {"id": "escalate", "type": "http", "label": "escalate"},
        {"id": "audit", "type": "storage", "label": "audit", "section": "finally"},
    ],
    "edges": [
        {"source": "classify", "target": "draft", "why": "reads nodes.classify.output.label in when (21:11)"},
        {"source": "find_similar", "target": "draft", "why": "reads nodes.find_similar.output.json in vars (26:20)"},
        {"source": "draft", "target": "judge", "why": "reads nodes.draft.output.json.reply in value (33:14)"},
        {"source": "judge", "target": "route", "why": "reads nodes.judge.output.passed in cases (38:16)"},
        {"source": "classify", "target": "route", "why": "reads nodes.classify.output.label in cases (39:16)"},
        {"source": "route", "target": "reply", "why": "switch may choose it"},
        {"source": "route", "target": "escalate", "why": "switch may choose it"},
        {"source": "draft", "target": "reply", "why": "reads nodes.draft.output.json.reply in vars (45:20)"},
    ],
}
for _node in GRAPH["nodes"]:
    _node.setdefault("section", "main")
    _node.setdefault("when", False)
    _node.setdefault("foreach", False)
    _node.setdefault("model", None)
    _node.setdefault("body", [])


@dataclass(frozen=True)
class Script:
    """What one step does, in seconds after the run's start."""

    step: str
    type: str
    starts: float
    ends: float
    status: str = "succeeded"
    output: Any = None
    cost_usd: float = 0.0
    model: str | None = None
    provider: str | None = None
    call_ids: tuple[str, ...] = ()
    cached: bool = False
    reason: str | None = None
    error: Json | None = None
    attempts: int = 1


DRAFT: Json = {
    "json": {"reply": "We corrected the invoice and refunded the difference today.", "risk": 0.12},
    "model": "gpt-4o-mini",
    "finish_reason": "stop",
}

SUCCEEDS = (
    Script(
        "classify", "classify", 0.1, 1.3,
        output={"label": "billing", "confidence": 0.97, "scores": {"billing": 0.97, "outage": 0.02, "other": 0.01}},
        cost_usd=0.000034, model="local/smollm2", provider="local", call_ids=("call-classify",),
    ),
    Script("find_similar", "http", 0.1, 0.7, output={"status": 200, "json": [{"id": 812, "title": "Wrong VAT"}]}),
    Script(
        "draft", "llm", 1.5, 4.2, output=DRAFT, cost_usd=0.00214, model="openai/gpt-4o-mini", provider="openai",
        call_ids=("call-draft",), attempts=1,
    ),
    Script(
        "judge", "evaluate", 4.3, 6.0, output={"scores": {"helpful": 0.91}, "passed": True}, cost_usd=0.0108,
        model="anthropic/claude-haiku", provider="anthropic", call_ids=("call-judge",),
    ),
    Script("route", "switch", 6.0, 6.05, output={"taken": "reply"}),
    Script("reply", "template", 6.1, 6.2, output={"text": "Dear customer, we corrected the invoice."}),
    Script("escalate", "http", 6.1, 6.1, status="skipped", reason="switch", attempts=0),
    Script("audit", "storage", 6.25, 6.4, output={"handle": "runs/42.json"}),
)  # fmt: skip

FAILS = (
    *SUCCEEDS[:2],
    Script(
        "draft", "llm", 1.5, 5.6, status="failed", attempts=3, cost_usd=0.0009, call_ids=("call-failed",),
        error={
            "class": "unavailable", "node": "draft", "path": "draft", "item_index": None, "attempt": 3,
            "message": "openai/gpt-4o-mini answered 503 three times; anthropic/claude-haiku timed out after 10 s. "
            "<script>window.hacked = true</script>",
        },
    ),
    Script("judge", "evaluate", 5.6, 5.6, status="skipped", reason="upstream_failed", attempts=0),
    Script("route", "switch", 5.6, 5.6, status="skipped", reason="upstream_failed", attempts=0),
    Script("reply", "template", 5.6, 5.6, status="skipped", reason="upstream_failed", attempts=0),
    Script("escalate", "http", 5.6, 5.6, status="skipped", reason="upstream_failed", attempts=0),
    Script("audit", "storage", 5.7, 5.9, output={"handle": "runs/43.json"}),
)  # fmt: skip


@dataclass
class FakeRun:
    """A run that follows a script from `started` on, `speed` times as fast as it says."""

    run_id: str
    script: tuple[Script, ...]
    started: datetime
    inputs: Json
    speed: float = 1.0
    flow: str = "support-triage"
    version: int = 7
    trigger: str = "manual"
    cancelled_at: float | None = None
    graph: Json = field(default_factory=lambda: GRAPH)

    def elapsed(self, now: datetime) -> float:
        """Script seconds since the start; stands still once cancelled."""
        passed = (now - self.started).total_seconds() * self.speed
        return passed if self.cancelled_at is None else min(passed, self.cancelled_at)

    @property
    def length(self) -> float:
        return max(step.ends for step in self.script)

    def status(self, now: datetime) -> str:
        if self.cancelled_at is not None:
            return "cancelled"
        if self.elapsed(now) < self.length:
            return "running"
        return "failed" if any(step.status == "failed" for step in self.script) else "succeeded"

    def at(self, seconds: float) -> str:
        return (self.started + timedelta(seconds=seconds / self.speed)).isoformat()

    def summary(self, now: datetime) -> Json:
        """One row of GET /api/runs."""
        elapsed, status = self.elapsed(now), self.status(now)
        is_final = status != "running"
        done = [step for step in self.script if step.ends <= elapsed]
        return {
            "run_id": self.run_id,
            "flow": self.flow,
            "version": self.version,
            "status": status,
            "trigger": self.trigger,
            "engine": "inline",
            "created_at": self.started.isoformat(),
            "started_at": self.at(0.05),
            "finished_at": self.at(min(elapsed, self.length)) if is_final else None,
            "duration_ms": min(elapsed, self.length) * 1000 / self.speed,
            "cost_usd": round(sum(step.cost_usd for step in done), 9),
            "input_tokens": 640 * sum(1 for step in done if step.call_ids),
            "output_tokens": 118 * sum(1 for step in done if step.call_ids),
        }

    def detail(self, now: datetime) -> Json:
        """GET /api/runs/{id}."""
        status = self.status(now)
        steps = {step.step: self.step(step, now) for step in self.script}
        errors = [step.error for step in self.script if step.error and step.ends <= self.elapsed(now)]
        outputs = {"label": "billing", "reply": DRAFT["json"]["reply"]} if status == "succeeded" else None
        return {
            **self.summary(now),
            "inputs": self.inputs,
            "outputs": outputs,
            "errors": errors,
            "graph": self.graph,
            "steps": steps,
            "is_cancel_requested": self.cancelled_at is not None,
        }

    def step(self, step: Script, now: datetime) -> Json:
        elapsed = self.elapsed(now)
        has_started, has_ended = elapsed >= step.starts, elapsed >= step.ends
        status = step.status if has_ended else "running" if has_started else "pending"
        if self.cancelled_at is not None and not has_ended:
            status = "cancelled"
        ran = step.status != "skipped"
        return {
            "status": status,
            "reason": step.reason if has_ended else None,
            "attempts": step.attempts if has_started else 0,
            "output": step.output if has_ended else None,
            "error": step.error if has_ended else None,
            "started_at": self.at(step.starts) if has_started and ran else None,
            "finished_at": self.at(step.ends) if has_ended and ran else None,
            "duration_ms": (step.ends - step.starts) * 1000 / self.speed if has_ended and ran else None,
            "cost_usd": step.cost_usd if has_ended else 0,
            "model": step.model if has_ended else None,
            "provider": step.provider if has_ended else None,
            "type": step.type,
            "path": step.step,
            "call_ids": list(step.call_ids) if has_ended else [],
            "cached": step.cached,
        }


def candidate(deployment: str, reason: str, **facts: Any) -> Json:
    """One candidate of a decision, eligible unless said otherwise."""
    return {
        "deployment": deployment,
        "model": deployment,
        "provider": deployment.split("/", maxsplit=1)[0],
        "is_eligible": True,
        "reason": reason,
        "is_fallback": False,
        "score": None,
        "terms": {},
        "propensity": None,
        "cost_usd": None,
        "latency_s": None,
        **facts,
    }


def call(call_id: str, model: str, cost_usd: float, *, alias: str = "balanced", fails: bool = False) -> Json:
    """GET /api/calls/{id}: chosen among four, one of them too slow, one switched off."""
    attempt = {
        "attempt_id": f"{call_id}-1", "deployment": model, "provider": model.split("/", maxsplit=1)[0], "model": model,
        "started_at": "2026-03-01T12:00:00+00:00", "duration_ms": 2480.0, "ttft_ms": 410.0, "outcome": "succeeded",
        "error_class": None, "error_message": None, "status": 200,
        "usage": {"input_tokens": 640, "output_tokens": 118}, "cost_usd": cost_usd, "is_estimated": False,
    }  # fmt: skip
    refused = {
        **attempt, "attempt_id": f"{call_id}-0", "outcome": "failed", "status": 503, "error_class": "unavailable",
        "error_message": "503 Service Unavailable", "usage": None, "cost_usd": 0, "ttft_ms": None,
    }  # fmt: skip
    return {
        "call_id": call_id,
        "requested": alias,
        "alias": alias,
        "model": None if fails else model,
        "provider": None if fails else model.split("/", maxsplit=1)[0],
        "status": "failed" if fails else "succeeded",
        "cache": "miss",
        "started_at": "2026-03-01T12:00:00+00:00",
        "duration_ms": 2500.0,
        "cost_usd": cost_usd,
        "attempts": [refused, refused] if fails else [attempt],
        "decision": {
            "id": f"decision-{call_id}",
            "requested": alias,
            "alias": alias,
            "policy": alias,
            "task": "support-triage/draft",
            "seed": 7,
            "attempts": [model, "anthropic/claude-haiku", "local/smollm2"],
            "candidates": [
                candidate(
                    model, "cheapest whose quality bound is within 5 % of the best", score=0.86, propensity=0.94,
                    cost_usd=cost_usd, latency_s=2.4,
                ),
                candidate(
                    "anthropic/claude-haiku", "same quality, 4.1 times the price", score=0.71, propensity=0.06,
                    cost_usd=0.0088, latency_s=1.9,
                ),
                candidate("local/smollm2", "fallback of the alias", is_fallback=True, score=0.2, cost_usd=0.0,
                          latency_s=3.8),
                candidate("google/gemini-flash", "GOOGLE_API_KEY is not set", is_eligible=False),
            ],
            "snapshot": {},
        },
    }  # fmt: skip


CALLS = {
    "call-classify": call("call-classify", "local/smollm2", 0.000034, alias="cheapest"),
    "call-draft": call("call-draft", "openai/gpt-4o-mini", 0.00214),
    "call-judge": call("call-judge", "anthropic/claude-haiku", 0.0108, alias="best"),
    "call-failed": call("call-failed", "openai/gpt-4o-mini", 0.0009, fails=True),
}

FLOW_FACTS = (
    ("support-triage", "Classify a ticket, draft a reply, have it judged, send it or hand it over.", 7, 6400, 0.0129),
    ("invoice-extraction", "Read every invoice of a folder into rows, one step per document.", 3, 41_000, 0.0871),
    ("model-comparison", "Ask four models the same question and let a judge choose.", 2, 12_300, 0.0314),
    ("nightly-check", "Run the regression examples and score them.", 11, 252_000, 0.4021),
)


def history(now: datetime) -> list[Json]:
    """Sixty finished runs over the last two days, newest first: mostly succeeded, some not."""
    rows: list[Json] = []
    for index in range(60):
        name, _, version, usual_ms, usual_cost = FLOW_FACTS[(index * 7) % 4 if index % 3 else 0]
        status = {5: "failed", 13: "partial", 21: "cancelled", 34: "failed", 47: "failed"}.get(index, "succeeded")
        began = now - timedelta(minutes=12 + index * 43 + (index * index) % 17)
        duration = usual_ms * (0.7 + (index * 37 % 60) / 100)
        rows.append(
            {
                "run_id": f"0195a000-0000-7000-8000-{index:012x}",
                "flow": name,
                "version": version,
                "status": status,
                "trigger": ("api", "schedule", "manual")[index % 3],
                "engine": "prefect" if index % 4 == 0 else "inline",
                "created_at": began.isoformat(),
                "started_at": began.isoformat(),
                "finished_at": (began + timedelta(milliseconds=duration)).isoformat(),
                "duration_ms": duration,
                "cost_usd": None if index == 9 else round(usual_cost * (0.8 + index % 5 / 10), 6),
                "input_tokens": 1900 + index * 31,
                "output_tokens": 350 + index * 7,
            }
        )
    return rows
