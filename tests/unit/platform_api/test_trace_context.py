"""W3C trace context: what is accepted, what is made, and which share of traces is recorded."""

import pytest

from platform_api.trace_context import TraceContext, child_of, is_in_sample, new_trace, parsed, trace_id_of_run

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"


def test_what_a_header_says_is_read_and_said_again() -> None:
    assert parsed(PARENT) == TraceContext(TRACE, SPAN, is_sampled=True)
    assert TraceContext(TRACE, SPAN, is_sampled=True).traceparent == PARENT
    assert TraceContext(TRACE, SPAN, is_sampled=False).traceparent == f"00-{TRACE}-{SPAN}-00"


def test_of_the_flags_only_the_first_bit_decides() -> None:
    assert [one.is_sampled for flags in ("00", "02", "01", "ff") if (one := parsed(f"{PARENT[:-2]}{flags}"))] == [
        False,
        False,
        True,
        True,
    ]


def test_a_later_version_may_say_more_and_is_read_as_far_as_it_is_known() -> None:
    assert parsed(f"01-{TRACE}-{SPAN}-01-more") == TraceContext(TRACE, SPAN, is_sampled=True)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "hello",
        PARENT.upper(),
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE[:-1]}-{SPAN}-01",
        f"{PARENT}\n",
    ],
    ids=["nothing", "words", "capitals", "no version", "no trace", "no span", "too much", "too little", "line end"],
)
def test_a_header_that_says_nothing_useful_is_passed_over(header: str) -> None:
    assert parsed(header) is None


def test_a_child_stays_in_its_trace_with_a_span_of_its_own() -> None:
    parent = TraceContext(TRACE, SPAN, is_sampled=False)

    child = child_of(parent)

    assert (child.trace_id, child.is_sampled) == (TRACE, False)
    assert child.span_id != SPAN
    assert parsed(child.traceparent) == child


def test_the_share_of_recorded_traces_is_the_wanted_one_and_the_same_everywhere() -> None:
    ids = [f"{number * 0x9E3779B97F4A7C15 % 2**56:032x}" for number in range(1, 4001)]

    n_recorded = sum(is_in_sample(trace_id, 0.25) for trace_id in ids)

    assert 900 < n_recorded < 1100
    assert not any(is_in_sample(trace_id, 0.0) for trace_id in ids)
    assert all(is_in_sample(trace_id, 1.0) for trace_id in ids)
    assert new_trace(1.0, trace_id=TRACE).is_sampled


def test_a_runs_trace_follows_from_its_id() -> None:
    assert trace_id_of_run("0197a2b4-0000-7000-8000-00000000000a") == "0197a2b4000070008000" + "00000000000a"
