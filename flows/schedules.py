"""The triggers of a flow as rules of its plan: here those by the clock, in `triggers` those that something pulls."""

import re
from typing import Literal, cast
from zoneinfo import ZoneInfo, available_timezones

from bridge.json_types import JsonObject
from flows import unsupported
from flows.diagnostics import Diagnostics
from flows.plan import ScheduleRule, TriggerRule
from flows.schema_reader import SchemaReader
from flows.suggestions import did_you_mean
from flows.triggers import KEYS as TRIGGER_KEYS
from flows.triggers import read_trigger
from flows.yaml_nodes import ListNode, MapNode, ScalarNode, YamlNode

_FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day of month", 1, 31), ("month", 1, 12), ("day of week", 0, 7))
_NAMES = {
    "month": ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
    "day of week": ["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
}
_PART = re.compile(r"(\*|[0-9a-z]+(?:-[0-9a-z]+)?)(?:/([0-9]+))?")
_SCHEDULE_KEYS = frozenset({"id", "type", "cron", "timezone", "misfire", "overlap", "inputs"})


def read_triggers(
    node: YamlNode | None, flow: str, inputs: JsonObject, problems: Diagnostics
) -> tuple[tuple[ScheduleRule, ...], tuple[TriggerRule, ...]]:
    """The schedules, and the other triggers, of the flow of that name."""
    rules: list[ScheduleRule] = []
    others: list[TriggerRule] = []
    seen: set[str] = set()
    for item in node.items if isinstance(node, ListNode) else ():
        if not isinstance(item, MapNode):
            continue
        trigger_id = _text(item, "id")
        if trigger_id in seen:
            problems.error(item.get("id") or item, "duplicate_key", f"the trigger id `{trigger_id}` stands twice")
        seen.add(trigger_id)
        kind = _text(item, "type")
        if kind in unsupported.TRIGGER_TYPES:
            at = item.get("type") or item
            problems.error(at, "not_supported_yet", unsupported.message(f"a trigger of type `{kind}`"))
        elif kind == "schedule":
            rules.append(_read_schedule(item, trigger_id, inputs, problems))
        elif kind in TRIGGER_KEYS:
            others.append(read_trigger(item, trigger_id, flow, inputs, problems))
    return tuple(rules), tuple(others)


def cron_problem(text: str) -> str | None:
    """What is wrong with a cron text of five fields, None when nothing is."""
    fields = text.split()
    if len(fields) != len(_FIELDS):
        return f"a cron has 5 fields (minute hour day month weekday), got {len(fields)}"
    for value, (name, least, most) in zip(fields, _FIELDS, strict=True):
        for part in value.lower().split(","):
            problem = _part_problem(part, name, least, most)
            if problem:
                return problem
    return None


def _part_problem(part: str, name: str, least: int, most: int) -> str | None:
    match = _PART.fullmatch(part)
    if match is None:
        return f"`{part}` is no {name}"
    if match[2] is not None and int(match[2]) == 0:
        return f"`{part}`: a step of 0 never comes"
    if match[1] == "*":
        return None
    numbers: list[int] = []
    for bound in match[1].split("-"):
        names = _NAMES.get(name, [])
        number = names.index(bound) + (least if name == "month" else 0) if bound in names else _number(bound)
        if number is None or not least <= number <= most:
            return f"`{bound}` is no {name} ({least} to {most})"
        numbers.append(number)
    return f"`{part}`: the range runs backwards" if numbers != sorted(numbers) else None


def _read_schedule(item: MapNode, trigger_id: str, inputs: JsonObject, problems: Diagnostics) -> ScheduleRule:
    for name, (key, _) in item.entries.items():
        if name not in _SCHEDULE_KEYS:
            problems.error(key, "unknown_key", f"a schedule has no `{name}`", did_you_mean(name, _SCHEDULE_KEYS))
    cron, timezone = _text(item, "cron"), _text(item, "timezone") or "UTC"
    cron_node, timezone_node = item.get("cron"), item.get("timezone")
    if cron_node is None:
        problems.error(item, "missing_key", "`cron` is missing", 'add `cron: "0 7 * * 1-5"`')
    elif cron and (problem := cron_problem(cron)):
        problems.error(cron_node, "bad_schedule", problem, 'for example "0 7 * * 1-5": weekdays at 07:00')
    if timezone_node is not None and not _is_timezone(timezone):
        hint = did_you_mean(timezone, available_timezones()) or "for example Europe/Berlin"
        problems.error(timezone_node, "bad_schedule", f"unknown time zone `{timezone}`", hint)
    return ScheduleRule(
        id=trigger_id,
        cron=cron,
        timezone=timezone,
        inputs=_read_inputs(item, inputs, problems),
        overlap=cast("Literal['skip', 'queue', 'allow']", _text(item, "overlap") or "skip"),
        misfire=cast("Literal['last', 'all', 'none']", _text(item, "misfire") or "last"),
    )


def _read_inputs(item: MapNode, inputs: JsonObject, problems: Diagnostics) -> JsonObject:
    given = item.get("inputs") or MapNode(item.line, item.column)
    at = item.key("inputs") or item
    reader = SchemaReader(problems, inputs, what="input")
    value = reader.read(given, inputs, at)
    return cast("JsonObject", value) if isinstance(given, MapNode) else {}


def _text(item: MapNode, key: str) -> str:
    node = item.get(key)
    return node.text if isinstance(node, ScalarNode) else ""


def _number(text: str) -> int | None:
    return int(text) if text.isdigit() else None


def _is_timezone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        return False
    return True
