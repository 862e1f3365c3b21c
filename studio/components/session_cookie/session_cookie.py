"""Sets or clears the session cookie through the studio's own routes, then reloads the page."""

from typing import Literal
from uuid import uuid4

from streamlit.components.v2 import component

from studio.component_assets import component_loader

# Streamlit wants a component registered once, when its module is imported.
_MOUNT = component("modelbridge_session_cookie", js=component_loader("session_cookie"))


def session_cookie(action: Literal["start", "end"], *, code: str | None = None) -> str | None:
    """Do it. Answers why it was refused; on success the page reloads instead."""
    result = _MOUNT(
        key=f"session_{action}",
        data={"action": action, "code": code, "nonce": code or uuid4().hex},
        on_refused_change=lambda: None,
    )
    refused = result.get("refused")
    return refused if isinstance(refused, str) else None
