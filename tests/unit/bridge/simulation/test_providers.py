import itertools
import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from bridge.errors import NotReachedError, UnavailableError
from bridge.json_types import JsonValue
from bridge.simulation.conditions import Conditions
from bridge.simulation.providers import CALL, SimulatedAnswer, SimulatedProviders
from bridge.simulation.traffic import Arrival
from bridge.simulation.virtual_time import VirtualClock, VirtualTimeLoop, run_virtual
from bridge.transport import Timeouts, WireReply, WireRequest
from tests.support.scenarios import scenario

LIMITS = Timeouts()
STEADY = {"quality": 0.8, "ttft_ms": {"median": 500, "spread": 0}, "tokens_per_s": {"median": 10, "spread": 0}}


@dataclass(frozen=True)
class Place:
    name: str = "near/a"
    provider: str = "near"
    base_url: str = "http://near.simulated/v1"


@dataclass
class Sent:
    """What came back, and when."""

    replies: list[WireReply]
    pieces: list[tuple[float, bytes]]
    took_s: float = 0.0


def call(*, luck: float = 0.5, doubt: float = 0.9, output_tokens: int = 20) -> Arrival:
    return Arrival(
        7, 0.0, "talk", 7, "hello", 10, output_tokens, is_stream=False, luck=luck, doubt=doubt, is_scored=False
    )


def asked(
    *events: Mapping[str, object], model: Mapping[str, object] = STEADY, times: int = 1, stream: bool = False,
    made: Arrival | None = None, body: Mapping[str, JsonValue] | None = None,
) -> Sent:  # fmt: skip
    """Ask the provider `times` times, one after the other."""
    world = scenario(world={"models": {"near/a": model, "far/b": STEADY}, "events": list(events)}).world
    sent = Sent([], [])
    request = WireRequest("/chat/completions", {"model": "a", **(body or {})})

    async def main(loop: VirtualTimeLoop) -> None:
        CALL.set(made or call())
        clock = VirtualClock(loop, datetime(2026, 1, 1, tzinfo=UTC))
        providers = SimulatedProviders(Conditions(world), clock, random.Random(1))
        for _ in range(times):
            if stream:
                async with providers.open_stream(request, Place(), limits=LIMITS) as reply:
                    sent.replies.append(WireReply(reply.status, reply.headers, b""))
                    async for piece in reply:
                        sent.pieces.append((loop.time(), piece))
            else:
                sent.replies.append(await providers.send(request, Place(), limits=LIMITS))
        sent.took_s = loop.time()

    run_virtual(main)
    return sent


def test_an_answer_takes_the_models_time_and_says_what_it_answers() -> None:
    sent = asked()

    assert sent.took_s == pytest.approx(0.5 + 20 / 10)
    assert b'"content": "talk/7 good"' in sent.replies[0].body
    assert b'"completion_tokens": 20' in sent.replies[0].body


def test_luck_decides_with_the_models_true_quality() -> None:
    assert b"talk/7 good" in asked(made=call(luck=0.79)).replies[0].body
    assert b"talk/7 poor" in asked(made=call(luck=0.80)).replies[0].body


def test_some_poor_answers_say_so() -> None:
    honest = {**STEADY, "doubt_share": 0.5}

    assert b"talk/7 good" in asked(model=honest, made=call(luck=0.79, doubt=0.1)).replies[0].body
    assert b"talk/7 poor, but I am not sure" in asked(model=honest, made=call(luck=0.9, doubt=0.49)).replies[0].body
    assert b'"talk/7 poor"' in asked(model=honest, made=call(luck=0.9, doubt=0.5)).replies[0].body


def test_the_output_limit_cuts_the_answer() -> None:
    body = asked(body={"max_tokens": 5}).replies[0].body

    assert b'"completion_tokens": 5' in body
    assert b'"finish_reason": "length"' in body


def test_an_answer_that_was_begun_is_continued() -> None:
    begun: list[JsonValue] = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "talk/7 "}]

    assert b'"content": "good"' in asked(body={"messages": begun}).replies[0].body
    assert b'"content": "talk/7 good"' in asked(body={"messages": begun[:1]}).replies[0].body


def test_a_slow_down_slows() -> None:
    sent = asked({"kind": "slow_down", "where": "near", "at_h": 0, "factor": 4})

    assert sent.took_s == pytest.approx(4 * 2.5)


def test_an_outage_answers_with_its_status_at_once() -> None:
    sent = asked({"kind": "outage", "where": "near", "at_h": 0, "status": 502})

    assert sent.replies[0].status == 502
    assert sent.took_s < 0.1


def test_a_refused_connection_is_not_reached() -> None:
    with pytest.raises(NotReachedError):
        asked({"kind": "refused", "where": "near", "at_h": 0})


def test_a_silent_route_never_answers() -> None:
    assert asked({"kind": "silent", "where": "near", "at_h": 0}).took_s > 86_400


def test_a_brown_out_hits_its_share() -> None:
    sent = asked({"kind": "brown_out", "where": "near", "at_h": 0, "share": 0.3, "status": 500}, times=200)

    failed = sum(reply.status == 500 for reply in sent.replies)
    assert failed / 200 == pytest.approx(0.3, abs=0.1)


def test_a_rate_limit_says_when_to_come_back() -> None:
    sent = asked({"kind": "rate_limit", "where": "near", "at_h": 0, "requests_per_minute": 6}, times=2)

    assert [reply.status for reply in sent.replies] == [200, 429]
    assert 1 <= float(sent.replies[1].headers["retry-after"]) <= 10


def test_a_stream_begins_at_the_first_token_and_is_never_silent_for_long() -> None:
    sent = asked(stream=True, made=call(output_tokens=300))

    moments = [0.0, *(at_s for at_s, _ in sent.pieces)]
    assert moments[1] == pytest.approx(0.5)
    assert sent.took_s == pytest.approx(0.5 + 30)
    assert max(later - sooner for sooner, later in itertools.pairwise(moments)) <= 5.01
    assert sent.pieces[-1][1].endswith(b"data: [DONE]\n\n")


def test_a_cut_stream_ends_before_its_answer_does() -> None:
    with pytest.raises(UnavailableError, match="cut"):
        asked({"kind": "cut_streams", "where": "near", "at_h": 0, "share": 1}, stream=True)


def test_a_stream_may_be_refused() -> None:
    sent = asked({"kind": "outage", "where": "near", "at_h": 0}, stream=True)

    assert sent.replies[0].status == 503
    assert b"error" in sent.pieces[0][1]


def test_an_answer_is_read_as_it_was_sent() -> None:
    for answer in (
        SimulatedAnswer("order status", 12, is_good=False),
        SimulatedAnswer("order status", 12, is_good=False, is_doubtful=True),
        SimulatedAnswer("a/b", 0, is_good=True),
    ):
        assert SimulatedAnswer.read(answer.text) == answer
    assert SimulatedAnswer.read("something else") is None
    assert SimulatedAnswer.read("") is None
