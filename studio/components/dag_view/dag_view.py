"""The graph of a flow or a run: cards, live edges, keyboard, selection that survives refreshes."""

from collections.abc import Callable, Mapping

import streamlit as st
from streamlit.components.v2 import component

from studio.api_shapes import Graph, StepView
from studio.component_assets import component_loader
from studio.dag_layout import Direction
from studio.run_graph import draw

# Streamlit wants a component registered once, when its module is imported.
_MOUNT = component("modelbridge_dag_view", js=component_loader("dag_view"))
HEIGHTS = {"min_height": 150, "max_height": 440}
"""Pixels; within them the frame is as high as the drawing."""


def dag_view(
    graph: Graph,
    steps: Mapping[str, StepView] | None,
    *,
    key: str,
    selected: str | None,
    label: str,
    on_select: Callable[[str | None], None] | None = None,
) -> None:
    """Draw `graph` with `selected` marked; `on_select` is told the card chosen by click or key, None for no card."""
    state = st.session_state.get(key)
    direction: Direction = "down" if state is not None and state.get("direction") == "down" else "right"
    drawn = draw(graph, steps, direction=direction)

    def tell() -> None:
        chosen = st.session_state[key].get("selected")
        if on_select is not None:
            on_select(chosen if isinstance(chosen, str) else None)

    _MOUNT(
        key=key,
        data={**drawn, "direction": direction, "selected": selected, "label": label, **HEIGHTS},
        default={"selected": selected, "direction": "right"},
        on_selected_change=tell,
        on_direction_change=lambda: None,
    )
