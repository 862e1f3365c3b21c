"""The studio's script under Streamlit's own test runner, against a fake platform that answers over HTTP."""

from collections.abc import Callable, Iterator

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from studio.server import ENTRY
from tests.support.studio_api import TOKEN, FakePlatform, fake_platform

OpenStudio = Callable[..., AppTest]


@pytest.fixture
def platform() -> Iterator[FakePlatform]:
    with fake_platform() as running:
        yield running


@pytest.fixture
def open_studio(platform: FakePlatform) -> OpenStudio:
    """Opens a page as a signed-in person (or as nobody) with the given query parameters."""

    def open_page(page: str | None = None, *, is_signed_in: bool = True, **query: str) -> AppTest:
        st.cache_data.clear()
        st.cache_resource.clear()
        studio = AppTest.from_file(str(ENTRY), default_timeout=30)
        studio.secrets["api_url"] = platform.url
        studio.session_state["token"] = TOKEN if is_signed_in else ""
        studio.run()
        if page is not None:
            studio.switch_page(f"pages_/{page}.py")
        for name, value in query.items():
            studio.query_params[name] = value
        return studio.run() if page is not None or query else studio

    return open_page
