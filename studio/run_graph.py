"""A flow's graph, and the steps of one run in it, as the DAG view draws them. Pure: no Streamlit inside."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TypedDict

from studio.api_shapes import Graph, GraphNode, StepView
from studio.dag_layout import Direction, Drawing, Metrics, lay_out
from studio.formatting import duration, money
from studio.node_kinds import icon
from studio.status import style

BAND_GAP = 54.0
"""Room between the main graph and a section below it; the section's name stands in it."""
SECTIONS = {"on_failure": "On failure", "finally": "Finally"}
METRICS = Metrics()
MAX_TIMELINE_ITEMS = 12


class DrawnNode(TypedDict):
    """One card. `status` picks the colour; every text is shown as is."""

    id: str
    x: float
    y: float
    title: str
    note: str
    icon: str
    status: str
    status_icon: str
    figures: str
    label: str
    is_stack: bool


class DrawnEdge(TypedDict):
    """One line; `state` is idle, done, live or off."""

    id: str
    path: str
    state: str
    why: str


class DrawnBand(TypedDict):
    """The name of a section, above its cards."""

    x: float
    y: float
    text: str


class DrawnGraph(TypedDict):
    """Everything the component needs, sizes in drawing units."""

    width: float
    height: float
    card_width: float
    card_height: float
    nodes: list[DrawnNode]
    edges: list[DrawnEdge]
    bands: list[DrawnBand]


@dataclass(frozen=True, slots=True)
class _Placed:
    drawing: Drawing
    section: str
    x: float
    y: float


def draw(graph: Graph, steps: Mapping[str, StepView] | None, *, direction: Direction = "right") -> DrawnGraph:
    """The drawing of `graph`; with `steps` each card tells how its step stands, without it is a plan."""
    inner = {step for node in graph.nodes for step in node.body}
    shown = {node.id: node for node in graph.nodes if node.id not in inner}
    bands, width, height = _placed(graph, shown, direction)
    nodes: list[DrawnNode] = []
    edges: list[DrawnEdge] = []
    names: list[DrawnBand] = []
    why = {(edge.source, edge.target): edge.why for edge in graph.edges}
    for band in bands:
        if band.section in SECTIONS:
            names.append({"x": 0.0, "y": round(band.y - 16, 1), "text": SECTIONS[band.section]})
        for node_id, (x, y) in band.drawing.corners.items():
            nodes.append(_card(shown[node_id], steps, x + band.x, y + band.y))
        for route in band.drawing.routes:
            edges.append(
                {
                    "id": f"{route.source}>{route.target}",
                    "path": route.path if not band.y else "",
                    "state": _edge_state(route.source, route.target, steps),
                    "why": why.get((route.source, route.target), ""),
                }
            )
    return {
        "width": width,
        "height": height,
        "card_width": METRICS.width,
        "card_height": METRICS.height,
        "nodes": nodes,
        "edges": [edge for edge in edges if edge["path"]],
        "bands": names,
    }


def card_of(path: str) -> str:
    """The card on which the step at `path` stands: `outer[2].inner` stands on `outer`."""
    return path.partition("[")[0].partition(".")[0]


def step_id(path: str) -> str:
    """The step's own id: `outer[2].inner` is a run of `inner`."""
    return path.rpartition(".")[2].partition("[")[0]


def item_paths(node_id: str, steps: Mapping[str, StepView]) -> list[str]:
    """Paths of the inner steps of a foreach or loop, in the order they were stored."""
    return [path for path in steps if path.startswith((f"{node_id}[", f"{node_id}."))]


def timeline_names(graph: Graph, steps: Mapping[str, StepView]) -> list[str]:
    """Rows of the timeline: every card in the order of the flow, each followed by its inner steps while they are few.

    A section that did not begin is left out; so is a card's inside when it has more than twelve steps.
    """
    inner = {step for node in graph.nodes for step in node.body}
    names: list[str] = []
    for node in graph.nodes:
        if node.id in inner or (node.section != "main" and node.id not in steps):
            continue
        items = item_paths(node.id, steps)
        names += [node.id, *(items if len(items) <= MAX_TIMELINE_ITEMS else [])]
    return names


def _placed(graph: Graph, shown: Mapping[str, GraphNode], direction: Direction) -> tuple[list[_Placed], float, float]:
    """Lay out each section on its own and stack them."""
    placed: list[_Placed] = []
    width = height = 0.0
    for section in ("main", *SECTIONS):
        ids = tuple(node.id for node in shown.values() if node.section == section)
        if not ids:
            continue
        pairs = tuple((edge.source, edge.target) for edge in graph.edges)
        drawing = _cached_layout(ids, pairs, direction) if section == "main" else _row(ids)
        top = height + BAND_GAP if placed else 0.0
        placed.append(_Placed(drawing, section, 0.0, top))
        width, height = max(width, drawing.width), top + drawing.height
    return placed, round(width, 1), round(height, 1)


@lru_cache(maxsize=128)
def _cached_layout(ids: tuple[str, ...], pairs: tuple[tuple[str, str], ...], direction: Direction) -> Drawing:
    return lay_out(ids, pairs, metrics=METRICS, direction=direction)


def _row(ids: tuple[str, ...]) -> Drawing:
    """Steps that run one after the other, side by side."""
    step = METRICS.width + METRICS.node_gap
    return Drawing(
        width=len(ids) * step - METRICS.node_gap,
        height=METRICS.height,
        corners={node: (index * step, 0.0) for index, node in enumerate(ids)},
        layers=(ids,),
        routes=(),
    )


def _card(node: GraphNode, steps: Mapping[str, StepView] | None, x: float, y: float) -> DrawnNode:
    step = steps.get(node.id) if steps is not None else None
    status = "plan" if steps is None else step.status if step else "pending"
    if step is not None and step.cached and status == "succeeded":
        status = "cached"
    look = style(status)
    note = _note(node, step)
    figures = _figures(node, step, steps)
    spoken = ["plan" if steps is None else look.word.lower(), *([figures] if figures else [])]
    return {
        "id": node.id,
        "x": round(x, 1),
        "y": round(y, 1),
        "title": node.label or node.id,
        "note": note,
        "icon": icon(node.type),
        "status": status,
        "status_icon": "" if steps is None else look.icon,
        "figures": figures,
        "label": f"{node.label or node.id}, {note}, {', '.join(spoken)}",
        "is_stack": node.foreach or bool(node.body),
    }


def _note(node: GraphNode, step: StepView | None) -> str:
    model = (step.model if step and step.model else None) or node.model
    parts = [node.type]
    if model:
        parts.append(model.rsplit("/", 1)[-1])
    elif node.when:
        parts.append("conditional")
    return " \N{MIDDLE DOT} ".join(parts)


def _figures(node: GraphNode, step: StepView | None, steps: Mapping[str, StepView] | None) -> str:
    if step is None or steps is None:
        return "conditional" if node.when and node.model else ""
    if step.status == "skipped":
        return _REASONS.get(step.reason or "", step.reason or "")
    parts = [duration(step.duration_ms)] if step.duration_ms is not None else []
    if step.cost_usd:
        parts.append(money(step.cost_usd))
    items = item_paths(node.id, steps) if node.foreach or node.body else []
    if items:
        done = sum(1 for path in items if steps[path].status in {"succeeded", "failed", "skipped", "cancelled"})
        parts.append(f"{done}/{len(items)}")
    if step.attempts and step.attempts > 1:
        parts.append(f"{step.attempts} tries")
    return " \N{MIDDLE DOT} ".join(parts)


_REASONS = {
    "when": "condition was false",
    "switch": "not chosen",
    "goto": "not gone to",
    "upstream_failed": "upstream failed",
    "upstream_skipped": "upstream skipped",
}


def _edge_state(source: str, target: str, steps: Mapping[str, StepView] | None) -> str:
    if steps is None:
        return "idle"
    before, after = steps.get(source), steps.get(target)
    if (before and before.status == "skipped") or (after and after.status in {"skipped", "cancelled"}):
        return "off"
    if after and after.status in {"running", "retrying", "waiting"}:
        return "live"
    if before and after and after.status in {"succeeded", "failed"}:
        return "done"
    return "idle"
