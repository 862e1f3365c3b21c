from hypothesis import given, settings
from hypothesis import strategies as st

from studio.dag_layout import Direction, Drawing, Edge, Metrics, lay_out

SIZES = Metrics()
TRIAGE = ["classify", "similar", "draft", "judge", "route", "reply", "escalate"]
TRIAGE_EDGES = [
    ("classify", "draft"),
    ("similar", "draft"),
    ("draft", "judge"),
    ("judge", "route"),
    ("classify", "route"),
    ("route", "reply"),
    ("route", "escalate"),
    ("draft", "reply"),
]


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[str], list[Edge]]:
    """Acyclic graphs: edges go from a lower number to a higher one."""
    count = draw(st.integers(1, 18))
    nodes = [f"n{index}" for index in range(count)]
    pairs = draw(st.lists(st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)), max_size=30))
    return nodes, [(nodes[min(pair)], nodes[max(pair)]) for pair in pairs]


def depth(drawing: Drawing) -> dict[str, int]:
    return {node: level for level, layer in enumerate(drawing.layers) for node in layer}


@given(graphs())
@settings(max_examples=60, deadline=None)
def test_every_edge_points_in_the_direction_of_reading(graph: tuple[list[str], list[Edge]]) -> None:
    drawing = lay_out(*graph)
    level = depth(drawing)

    assert set(level) == set(graph[0])
    assert all(level[source] < level[target] for source, target in graph[1] if source != target)


@given(graphs(), st.sampled_from(["right", "down"]))
@settings(max_examples=60, deadline=None)
def test_cards_never_overlap_and_stay_on_the_canvas(graph: tuple[list[str], list[Edge]], direction: Direction) -> None:
    drawing = lay_out(*graph, direction=direction)
    corners = list(drawing.corners.values())

    for index, (x, y) in enumerate(corners):
        assert -0.11 <= x <= drawing.width - SIZES.width + 0.11
        assert -0.11 <= y <= drawing.height - SIZES.height + 0.11
        for other_x, other_y in corners[index + 1 :]:
            assert abs(x - other_x) >= SIZES.width or abs(y - other_y) >= SIZES.height


def test_the_layers_are_the_longest_paths() -> None:
    drawing = lay_out(TRIAGE, TRIAGE_EDGES)

    assert [set(layer) for layer in drawing.layers] == [
        {"classify", "similar"},
        {"draft"},
        {"judge"},
        {"route"},
        {"reply", "escalate"},
    ]


def test_a_source_stands_right_before_its_first_reader() -> None:
    drawing = lay_out(["a", "b", "c", "late"], [("a", "b"), ("b", "c"), ("late", "c")])

    assert depth(drawing)["late"] == depth(drawing)["c"] - 1


def test_a_pair_of_crossing_edges_is_uncrossed() -> None:
    drawing = lay_out(["a", "b", "x", "y"], [("a", "y"), ("b", "x")])
    top = [node for node in ("a", "b") if drawing.corners[node][1] == min(drawing.corners[n][1] for n in "ab")]

    reads = {"a": "y", "b": "x"}[top[0]]
    assert drawing.corners[reads][1] == min(drawing.corners[n][1] for n in "xy")


def test_a_long_edge_passes_beside_the_cards_of_the_layers_it_crosses() -> None:
    drawing = lay_out(["a", "b", "c"], [("a", "b"), ("b", "c"), ("a", "c")])
    path = next(route.path for route in drawing.routes if (route.source, route.target) == ("a", "c"))
    (b_x, b_y), pairs = drawing.corners["b"], path.replace("M", " ").replace("C", " ").split()
    crossing = [(float(x), float(y)) for x, y in (pair.split(",") for pair in pairs) if b_x <= float(x) <= b_x + 196]

    assert crossing
    assert all(not b_y < y < b_y + SIZES.height for _, y in crossing)


def test_a_cycle_is_drawn_instead_of_hanging() -> None:
    drawing = lay_out(["a", "b", "c"], [("a", "b"), ("b", "c"), ("c", "b")])

    assert set(drawing.corners) == {"a", "b", "c"}


def test_top_down_swaps_the_axes() -> None:
    right, down = lay_out(TRIAGE, TRIAGE_EDGES), lay_out(TRIAGE, TRIAGE_EDGES, direction="down")

    assert right.width > right.height
    assert down.height > right.height
    assert [set(layer) for layer in down.layers] == [set(layer) for layer in right.layers]


def test_nothing_makes_an_empty_drawing() -> None:
    drawing = lay_out([], [])

    assert (drawing.width, drawing.height, drawing.routes) == (0.0, 0.0, ())
