"""Flow versions: what makes two documents equal, and what changed between two plans."""

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from bridge.json_types import JsonValue
from flows.plan import Block, Plan, PlanStep

_REFERENCE = re.compile(r"([a-z][a-z0-9_-]{0,62})(?:@([1-9][0-9]*))?")


def content_hash(text: str) -> str:
    """SHA-256 of a document, line endings and white space at line ends aside: equal content is the same version."""
    lines = [line.rstrip() for line in text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n")]
    return hashlib.sha256("\n".join(lines).strip("\n").encode("utf-8", "surrogatepass")).hexdigest()


def fingerprint(*parts: JsonValue) -> str:
    """A short hash of JSON values, the same in every process."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def parse_reference(reference: str) -> tuple[str, int | None]:
    """`name@3` as name and version; the version is None when left out. ValueError when it is neither."""
    match = _REFERENCE.fullmatch(reference)
    if match is None:
        raise ValueError(f"{reference!r} is no flow reference; write name or name@version")
    return match[1], int(match[2]) if match[2] else None


@dataclass(frozen=True, slots=True)
class StepChange:
    """A step that differs between two versions."""

    path: str
    change: Literal["added", "removed", "changed"]


def diff(before: Plan, after: Plan) -> tuple[StepChange, ...]:
    """Steps added, removed or changed, by path, in the order of the newer plan; removed ones last."""
    old, new = dict(_fingerprints(before)), dict(_fingerprints(after))
    changes = [StepChange(path, "changed" if path in old else "added") for path in new if old.get(path) != new[path]]
    return (*changes, *(StepChange(path, "removed") for path in old if path not in new))


def _fingerprints(plan: Plan) -> Iterator[tuple[str, str]]:
    for block in (plan.block, Block(plan.on_failure), Block(plan.finally_steps)):
        yield from _of_steps(block.steps, "")


def _of_steps(steps: tuple[PlanStep, ...], prefix: str) -> Iterator[tuple[str, str]]:
    for step in steps:
        yield prefix + step.id, step.fingerprint
        if step.body is not None:
            yield from _of_steps(step.body.steps, f"{prefix}{step.id}.")
