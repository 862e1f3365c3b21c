"""Places a graph in layers, for drawing: no crossing that ordering can avoid, no long bends.

Longest-path layers; virtual nodes on long edges; barycentre sweeps against crossings; then each layer takes the
positions nearest to its neighbours' mean that keep its order and spacing (isotonic regression).
Source: Sugiyama, Tagawa, Toda, "Methods for Visual Understanding of Hierarchical System Structures" (1981).
"""

from bisect import bisect_right, insort
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

Direction = Literal["right", "down"]
Edge = tuple[str, str]
Point = tuple[float, float]

SWEEPS = 8
SMOOTHING_PASSES = 12
VIRTUAL_BREADTH = 14.0


@dataclass(frozen=True, slots=True)
class Metrics:
    """Sizes in drawing units. `layer_gap` lies between layers, `node_gap` between neighbours of one layer."""

    width: float = 196.0
    height: float = 64.0
    layer_gap: float = 56.0
    node_gap: float = 22.0


@dataclass(frozen=True, slots=True)
class Route:
    """An edge as an SVG path."""

    source: str
    target: str
    path: str


@dataclass(frozen=True, slots=True)
class Drawing:
    """Where everything goes. `corners` holds each node's top left corner; all coordinates are >= 0."""

    width: float
    height: float
    corners: dict[str, Point]
    layers: tuple[tuple[str, ...], ...]
    routes: tuple[Route, ...]


@dataclass(frozen=True, slots=True)
class _Slot:
    """A place in a layer: a node, or the point where a long edge passes."""

    node: str
    edge: Edge | None = None

    @property
    def is_virtual(self) -> bool:
        return self.edge is not None


def lay_out(
    nodes: Sequence[str], edges: Iterable[Edge], *, metrics: Metrics | None = None, direction: Direction = "right"
) -> Drawing:
    """Place `nodes` so that every edge points in `direction`. Edges to unknown nodes and to itself are left out."""
    sizes = metrics or Metrics()
    known = set(nodes)
    clean = list(dict.fromkeys((a, b) for a, b in edges if a in known and b in known and a != b))
    depth = _depths(nodes, clean)
    layers, links = _with_virtual_slots(nodes, clean, depth)
    layers = _ordered(layers, links)
    breadth = sizes.height if direction == "right" else sizes.width
    across = _smoothed(layers, links, breadth, sizes.node_gap)
    return _drawing(layers, clean, across, sizes, direction)


def _depths(nodes: Sequence[str], edges: Sequence[Edge]) -> dict[str, int]:
    """Longest distance from a source; then sources move next to their first reader. A cycle's nodes come last."""
    targets, waiting_for = defaultdict[str, list[str]](list), dict.fromkeys(nodes, 0)
    for source, target in edges:
        targets[source].append(target)
        waiting_for[target] += 1
    depth = dict.fromkeys(nodes, 0)
    is_source = {node for node, count in waiting_for.items() if count == 0}
    ready = [node for node in nodes if node in is_source]
    for node in ready:
        for target in targets[node]:
            depth[target] = max(depth[target], depth[node] + 1)
            waiting_for[target] -= 1
            if waiting_for[target] == 0:
                ready.append(target)
    last = max(depth.values(), default=0)
    for node in nodes:
        if waiting_for[node] > 0:
            depth[node] = last + 1
        elif node in is_source and targets[node]:
            depth[node] = max(0, min(depth[target] for target in targets[node]) - 1)
    return depth


def _with_virtual_slots(
    nodes: Sequence[str], edges: Sequence[Edge], depth: Mapping[str, int]
) -> tuple[list[list[_Slot]], list[tuple[_Slot, _Slot]]]:
    layers: list[list[_Slot]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for node in nodes:
        layers[depth[node]].append(_Slot(node))
    links: list[tuple[_Slot, _Slot]] = []
    for source, target in edges:
        previous = _Slot(source)
        for level in range(depth[source] + 1, depth[target]):
            passing = _Slot(f"{source}>{target}@{level}", edge=(source, target))
            layers[level].append(passing)
            links.append((previous, passing))
            previous = passing
        links.append((previous, _Slot(target)))
    return layers, links


def _ordered(layers: list[list[_Slot]], links: Sequence[tuple[_Slot, _Slot]]) -> list[list[_Slot]]:
    """Sweep to and fro, sorting each layer by the mean place of its neighbours; keep the order with least crossings."""
    before, after = defaultdict[_Slot, list[_Slot]](list), defaultdict[_Slot, list[_Slot]](list)
    for source, target in links:
        before[target].append(source)
        after[source].append(target)
    current = best = [list(layer) for layer in layers]
    fewest = _crossings(best, after)
    for sweep in range(SWEEPS):
        if fewest == 0:
            break
        forward = sweep % 2 == 0
        neighbours = before if forward else after
        current = [list(layer) for layer in current]
        for level in range(1, len(current)) if forward else range(len(current) - 2, -1, -1):
            fixed = {slot: place for place, slot in enumerate(current[level - 1 if forward else level + 1])}
            _sort_by_neighbours(current[level], fixed, neighbours)
        crossings = _crossings(current, after)
        if crossings < fewest:
            best, fewest = current, crossings
    return best


def _sort_by_neighbours(
    layer: list[_Slot], fixed: Mapping[_Slot, int], neighbours: Mapping[_Slot, Sequence[_Slot]]
) -> None:
    places = {slot: index for index, slot in enumerate(layer)}

    def barycentre(slot: _Slot) -> float:
        around = [fixed[other] for other in neighbours.get(slot, ()) if other in fixed]
        return sum(around) / len(around) if around else float(places[slot])

    layer.sort(key=barycentre)


def _crossings(layers: Sequence[Sequence[_Slot]], after: Mapping[_Slot, Sequence[_Slot]]) -> int:
    """Pairs of edges between neighbouring layers that cross."""
    total = 0
    for near, far in pairwise(layers):
        place = {slot: index for index, slot in enumerate(far)}
        seen: list[int] = []
        for slot in near:
            ends = sorted(place[other] for other in after.get(slot, ()) if other in place)
            total += sum(len(seen) - bisect_right(seen, end) for end in ends)
            for end in ends:
                insort(seen, end)
    return total


def _smoothed(
    layers: Sequence[Sequence[_Slot]], links: Sequence[tuple[_Slot, _Slot]], breadth: float, gap: float
) -> dict[_Slot, float]:
    """The centre of every slot across the layers."""
    around = defaultdict[_Slot, list[_Slot]](list)
    for source, target in links:
        around[source].append(target)
        around[target].append(source)
    spacings = [_spacing(layer, breadth, gap) for layer in layers]
    across: dict[_Slot, float] = {}
    for layer, spacing in zip(layers, spacings, strict=True):
        middle = spacing[-1] / 2 if spacing else 0.0
        across.update((slot, offset - middle) for slot, offset in zip(layer, spacing, strict=True))
    for turn in range(SMOOTHING_PASSES):
        levels = range(len(layers)) if turn % 2 == 0 else range(len(layers) - 1, -1, -1)
        for level in levels:
            wanted = [_pull(slot, around[slot], across) for slot in layers[level]]
            across.update(zip(layers[level], _nearest_spaced(wanted, spacings[level]), strict=True))
    return across


def _spacing(layer: Sequence[_Slot], breadth: float, gap: float) -> list[float]:
    """Smallest allowed offsets of the slots' centres from the first one's."""
    sizes = [VIRTUAL_BREADTH if slot.is_virtual else breadth for slot in layer]
    offsets: list[float] = []
    for index, size in enumerate(sizes):
        offsets.append(0.0 if index == 0 else offsets[-1] + (sizes[index - 1] + size) / 2 + gap)
    return offsets


def _nearest_spaced(wanted: Sequence[float], spacing: Sequence[float]) -> list[float]:
    """The places nearest to `wanted` in the least-squares sense whose distances are at least those of `spacing`."""
    blocks: list[tuple[float, int]] = []
    for target, offset in zip(wanted, spacing, strict=True):
        mean, size = target - offset, 1
        while blocks and blocks[-1][0] > mean:
            other, count = blocks.pop()
            mean, size = (mean * size + other * count) / (size + count), size + count
        blocks.append((mean, size))
    flat = [mean for mean, size in blocks for _ in range(size)]
    return [value + offset for value, offset in zip(flat, spacing, strict=True)]


def _pull(slot: _Slot, neighbours: Sequence[_Slot], across: Mapping[_Slot, float]) -> float:
    """Where its neighbours want `slot`. Virtual ones pull each other hard, which straightens long edges."""
    if not neighbours:
        return across[slot]
    weights = [(1.0, 2.0, 8.0)[slot.is_virtual + other.is_virtual] for other in neighbours]
    return sum(weight * across[other] for weight, other in zip(weights, neighbours, strict=True)) / sum(weights)


def _drawing(
    layers: Sequence[Sequence[_Slot]],
    edges: Sequence[Edge],
    across: Mapping[_Slot, float],
    sizes: Metrics,
    direction: Direction,
) -> Drawing:
    length, breadth = (sizes.width, sizes.height) if direction == "right" else (sizes.height, sizes.width)
    origin = min((across[slot] - _half(slot, breadth) for slot in across), default=0.0)
    far = max((across[slot] + _half(slot, breadth) for slot in across), default=0.0) - origin
    step = length + sizes.layer_gap
    corners: dict[str, Point] = {}
    passing = defaultdict[Edge, list[Point]](list)
    for level, layer in enumerate(layers):
        for slot in layer:
            middle = across[slot] - origin
            if slot.edge is None:
                corners[slot.node] = (level * step, middle - breadth / 2)
            else:
                passing[slot.edge].extend([(level * step, middle), (level * step + length, middle)])
    routes: list[Route] = []
    for source, target in edges:
        leaves = (corners[source][0] + length, corners[source][1] + breadth / 2)
        enters = (corners[target][0], corners[target][1] + breadth / 2)
        points = [leaves, *passing[source, target], enters]
        routes.append(Route(source, target, _path([_turned(point, direction) for point in points], direction)))
    total = max(len(layers) * step - sizes.layer_gap, 0.0)
    width, height = _turned((total, far), direction)
    return Drawing(
        width=width,
        height=height,
        corners={node: _turned(corner, direction) for node, corner in corners.items()},
        layers=tuple(tuple(slot.node for slot in layer if not slot.is_virtual) for layer in layers),
        routes=tuple(routes),
    )


def _half(slot: _Slot, breadth: float) -> float:
    return (VIRTUAL_BREADTH if slot.is_virtual else breadth) / 2


def _path(points: Sequence[Point], direction: Direction) -> str:
    """A smooth line that leaves and enters along `direction`, and runs straight where it passes a layer."""
    parts = [f"M{points[0][0]:g},{points[0][1]:g}"]
    for (x, y), (next_x, next_y) in pairwise(points):
        if direction == "right":
            middle = (x + next_x) / 2
            bends = f"{middle:g},{y:g} {middle:g},{next_y:g}"
        else:
            middle = (y + next_y) / 2
            bends = f"{x:g},{middle:g} {next_x:g},{middle:g}"
        parts.append(f"C{bends} {next_x:g},{next_y:g}")
    return "".join(parts)


def _turned(point: Point, direction: Direction) -> Point:
    """From (along, across) to (x, y), to a tenth of a unit."""
    along, across = round(point[0], 1), round(point[1], 1)
    return (along, across) if direction == "right" else (across, along)
