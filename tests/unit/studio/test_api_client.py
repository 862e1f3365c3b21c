from collections.abc import Callable
from decimal import Decimal

import httpx
import pytest

from studio.api_client import ApiError, SignedOutError, StudioApi, open_http

Answer = Callable[[httpx.Request], httpx.Response]


def api(answer: Answer, token: str | None = "t") -> StudioApi:
    return StudioApi(open_http("http://platform", transport=httpx.MockTransport(answer)), token)


def test_the_token_goes_with_every_call_and_no_token_sends_no_header() -> None:
    seen: list[str | None] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers.get("authorization"))
        return httpx.Response(200, json={"items": []})

    api(answer).runs()
    api(answer, token=None).runs()

    assert seen == ["Bearer t", None]


def test_filters_that_are_not_set_are_not_sent() -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.query.decode())
        return httpx.Response(200, json={"items": []})

    api(answer).runs(status="failed")

    assert asked == ["status=failed&limit=100"]


def test_money_keeps_every_digit() -> None:
    body = b'{"items": [{"run_id": "r", "flow": "f", "status": "succeeded", "cost_usd": 0.000000001}]}'

    assert api(lambda _: httpx.Response(200, content=body)).runs().items[0].cost_usd == Decimal("1E-9")


@pytest.mark.parametrize("name", ["../../admin", "a/b", "a?x=1", "a#b", ".."])
def test_a_name_from_the_address_bar_stays_one_path_segment(name: str) -> None:
    asked: list[bytes] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.raw_path)
        return httpx.Response(404, json={"detail": "no"})

    with pytest.raises(ApiError):
        api(answer).run(name)

    assert asked[0].startswith(b"/api/runs/")
    assert asked[0].count(b"/") == 3
    assert b"?" not in asked[0]


def test_an_ended_session_is_told_apart() -> None:
    with pytest.raises(SignedOutError, match="Sign in first"):
        api(lambda _: httpx.Response(401, json={"detail": "Sign in first."})).flows()


def test_a_refusal_carries_the_problems_of_single_fields() -> None:
    body = {"title": "Invalid", "detail": "The inputs are not valid.", "errors": [{"pointer": "/x", "message": "bad"}]}

    with pytest.raises(ApiError) as caught:
        api(lambda _: httpx.Response(422, json=body)).start_run("f", {}, version=1, idempotency_key="k")

    assert str(caught.value) == "The inputs are not valid."
    assert [(each.pointer, each.message) for each in caught.value.problems] == [("/x", "bad")]


def test_a_platform_that_is_down_is_one_sentence() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    with pytest.raises(ApiError, match="cannot be reached"):
        api(answer).flows()


def test_an_answer_in_another_shape_names_the_place() -> None:
    with pytest.raises(ApiError, match="items/0/name"):
        api(lambda _: httpx.Response(200, json={"items": [{}]})).flows()


def test_an_html_error_page_still_gives_a_sentence() -> None:
    with pytest.raises(ApiError, match="status 502"):
        api(lambda _: httpx.Response(502, text="<html>")).flows()
