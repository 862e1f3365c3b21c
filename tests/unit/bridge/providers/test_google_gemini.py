from dataclasses import replace

import pytest

from bridge.providers.google_gemini import GoogleGemini
from bridge.transport import url_of
from tests.support.wire import asking, deployment

API = "https://generativelanguage.googleapis.com"
VERTEX = "https://us-aiplatform.googleapis.com/v1/projects/p/locations/us/publishers/google"


@pytest.mark.parametrize(
    ("base_url", "model_id", "path"),
    [
        (API, "gemini-x", "/v1beta/models/gemini-x:generateContent"),
        (f"{API}/", "gemini-x", "/v1beta/models/gemini-x:generateContent"),
        (f"{API}/v1beta", "gemini-x", "/v1beta/models/gemini-x:generateContent"),
        (f"{API}/v1", "tunedModels/mine", "/v1/tunedModels/mine:generateContent"),
        (
            VERTEX,
            "gemini-x",
            "/v1/projects/p/locations/us/publishers/google/models/gemini-x:generateContent",
        ),
    ],
)
def test_the_model_and_the_version_are_in_the_path(base_url: str, model_id: str, path: str) -> None:
    target = replace(deployment(dialect="gemini", base_url=base_url), model_id=model_id)

    assert url_of(target, GoogleGemini().build(asking(), target, stream=False).path).path == path


def test_a_stream_is_another_operation_as_server_sent_events() -> None:
    sent = GoogleGemini().build(asking(), deployment(dialect="gemini", base_url=API), stream=True)

    assert sent.path.endswith(":streamGenerateContent")
    assert sent.query == {"alt": "sse"}


def test_the_gemini_api_takes_a_key_and_vertex_a_token() -> None:
    api = deployment(dialect="gemini", base_url=API, api_key="k", headers={"x-team": "a"})
    vertex = deployment(dialect="gemini", base_url=VERTEX, api_key="k")
    free = deployment(dialect="gemini", base_url=API, api_key=None)

    assert GoogleGemini().build(asking(), api, stream=False).headers == {"x-goog-api-key": "k", "x-team": "a"}
    assert GoogleGemini().build(asking(), vertex, stream=False).headers == {"authorization": "Bearer k"}
    assert GoogleGemini().build(asking(), free, stream=False).headers == {}
