"""A table whose rows open something: real links, keyboard and screen readers included, text never read as markup."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NotRequired, TypedDict

from streamlit.components.v2 import component

from studio.component_assets import component_loader

Tone = Literal["green", "red", "blue", "yellow", "orange", "gray", "violet"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column. `width` is a CSS length."""

    key: str
    label: str
    align: Literal["left", "right", "wide"] = "left"
    is_sortable: bool = False
    width: str | None = None


class Bar(TypedDict):
    """One bar of a bar cell; `share` of the full height in [0, 1]."""

    share: float
    color: Tone
    title: str


class Cell(TypedDict):
    """What a cell shows. `kind` decides which of the others count; `sort` is what sorting compares."""

    kind: Literal["text", "status", "meter", "bars"]
    text: str
    title: NotRequired[str]
    note: NotRequired[str]
    muted: NotRequired[bool]
    mono: NotRequired[bool]
    icon: NotRequired[str]
    color: NotRequired[Tone]
    spin: NotRequired[bool]
    share: NotRequired[float]
    bars: NotRequired[list[Bar]]
    sort: NotRequired[float | str | None]


class Row(TypedDict):
    """One row; `href` makes it open. `tone` is `chosen` or `dropped`."""

    id: str
    href: NotRequired[str]
    tone: NotRequired[str]
    cells: dict[str, Cell]


# Streamlit wants a component registered once, when its module is imported.
_MOUNT = component("modelbridge_data_table", js=component_loader("data_table"))


def data_table(label: str, columns: Sequence[Column], rows: Sequence[Row], *, key: str) -> str | None:
    """Draw it. Answers the id of the row that was just opened."""
    heads = [
        {
            "key": column.key,
            "label": column.label,
            "align": column.align,
            "sortable": column.is_sortable,
            "width": column.width,
        }
        for column in columns
    ]
    result = _MOUNT(key=key, data={"label": label, "columns": heads, "rows": list(rows)}, on_open_change=lambda: None)
    opened = result.get("open")
    return opened if isinstance(opened, str) else None
