"""What every page has in common: the title row, status badges, empty states."""

import streamlit as st

from studio.formatting import plain
from studio.palette import Scheme
from studio.status import style


def scheme() -> Scheme:
    """The theme that is on in this browser."""
    return "dark" if st.context.theme.type == "dark" else "light"


def page_title(title: str, *, note: str | None = None) -> None:
    """A page's name and one line about it, both shown as they are."""
    st.title(plain(title), anchor=False)
    if note:
        st.markdown(f":gray[{plain(note)}]")


def status_badge(status: str) -> None:
    """Word, icon and colour of a status."""
    look = style(status)
    st.badge(look.word, icon=f":material/{look.icon}:", color=look.badge)


def empty_state(sentence: str, *, icon: str = "inbox") -> None:
    """Nothing here, and what to do about it."""
    with st.container(border=True, horizontal_alignment="center", key=f"empty_{icon}"):
        st.space("small")
        st.markdown(f":gray[:material/{icon}:] {sentence}", text_alignment="center")
        st.space("small")
