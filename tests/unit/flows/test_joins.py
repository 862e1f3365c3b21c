"""Join decisions, as a table and as properties."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.joins import can_no_longer_start, decide
from flows.plan import Dependency, PlanStep
from flows.runs import StepRun

ENDS = {
    "ok": StepRun("x", "x", "t", "succeeded"),
    "handled": StepRun("x", "x", "t", "failed", is_error_handled=True),
    "bad": StepRun("x", "x", "t", "failed"),
    "skip": StepRun("x", "x", "t", "skipped"),
    "stop": StepRun("x", "x", "t", "cancelled"),
}
JOINS = ("all_succeeded", "none_failed", "all_done", "any_succeeded", "first")
UPSTREAM = ("a", "b", "c")


def a_step(join: str, **kinds: str) -> PlanStep:
    reads = tuple(Dependency(name, kinds.get(name, "needs")) for name in UPSTREAM)  # pyright: ignore[reportArgumentType]  # kinds of reads
    return PlanStep(id="me", type="noop", config={}, depends_on=reads, join=join)  # pyright: ignore[reportArgumentType]  # a Join


def ends(words: str) -> dict[str, StepRun]:
    """`ok bad -`: how a, b, c ended; `-` has not."""
    return {name: ENDS[word] for name, word in zip(UPSTREAM, words.split(), strict=True) if word != "-"}


@pytest.mark.parametrize(
    ("join", "words", "verdict"),
    [
        ("all_succeeded", "ok handled ok", "start"),
        ("all_succeeded", "ok ok -", "wait"),
        ("all_succeeded", "bad ok -", "wait"),
        ("all_succeeded", "bad skip ok", "skip:upstream_failed"),
        ("all_succeeded", "skip ok ok", "skip:upstream_skipped"),
        ("all_succeeded", "stop ok ok", "skip:upstream_failed"),
        ("none_failed", "skip skip ok", "start"),
        ("none_failed", "skip handled ok", "start"),
        ("none_failed", "stop ok ok", "skip:upstream_failed"),
        ("all_done", "bad skip stop", "start"),
        ("all_done", "bad skip -", "wait"),
        ("any_succeeded", "bad ok -", "wait"),
        ("any_succeeded", "bad ok skip", "start"),
        ("any_succeeded", "bad skip stop", "skip:upstream_failed"),
        ("any_succeeded", "skip skip skip", "skip:upstream_skipped"),
        ("first", "- ok -", "start"),
        ("first", "bad skip -", "wait"),
        ("first", "bad skip skip", "skip:upstream_failed"),
    ],
)
def test_joins(join: str, words: str, verdict: str) -> None:
    decision = decide(a_step(join), ends(words))

    assert ":".join(filter(None, (decision.verdict, decision.reason))) == verdict


def test_a_skipped_upstream_that_is_only_read_in_coalesce_does_not_skip() -> None:
    step = PlanStep(id="me", type="noop", config={}, depends_on=(Dependency("a", "output", is_coalesced=True),))

    assert decide(step, {"a": ENDS["skip"]}).verdict == "start"
    assert decide(step, {"a": ENDS["bad"]}).reason == "upstream_failed"


def test_reading_a_state_waits_for_the_end_and_takes_any() -> None:
    step = a_step("all_succeeded", a="state")

    assert decide(step, ends("- ok ok")).verdict == "wait"
    assert decide(step, ends("bad ok ok")).verdict == "start"


def test_a_switch_that_did_not_take_the_step_skips_it_under_every_join() -> None:
    other = StepRun("x", "x", "switch", "succeeded", taken=("other",))
    taken = StepRun("x", "x", "switch", "succeeded", taken=("me",))

    for join in JOINS:
        step = a_step(join, a="switch")
        assert decide(step, {**ends("- ok ok"), "a": other}).reason == "switch"
        assert decide(step, {**ends("- ok ok"), "a": taken}).verdict == "start"
        assert decide(step, ends("bad ok ok")).reason == "upstream_failed"


def test_a_goto_target_waits_until_somebody_goes_there_or_nobody_can() -> None:
    target = PlanStep(id="me", type="noop", config={}, goto_only=True)
    going = StepRun("x", "x", "t", "failed", is_error_handled=True, taken=("me",))

    assert decide(target, {}, ["a", "b"]).verdict == "wait"
    assert decide(target, {"a": going}, ["a", "b"]).verdict == "start"
    assert decide(target, {"a": ENDS["ok"], "b": ENDS["bad"]}, ["a", "b"]).reason == "goto"


@given(join=st.sampled_from(JOINS), words=st.lists(st.sampled_from(sorted(ENDS)), min_size=3, max_size=3))
def test_once_everybody_has_ended_a_step_starts_or_is_skipped(join: str, words: list[str]) -> None:
    assert decide(a_step(join), ends(" ".join(words))).verdict in ("start", "skip")


@given(join=st.sampled_from(JOINS[:4]), words=st.lists(st.sampled_from(sorted(ENDS)), min_size=3, max_size=3))
def test_a_decision_does_not_depend_on_who_ended_first(join: str, words: list[str]) -> None:
    step = a_step(join)
    full = ends(" ".join(words))

    for order in itertools.permutations(UPSTREAM):
        partial = [decide(step, {name: full[name] for name in order[:count]}).verdict for count in (1, 2)]
        assert partial == ["wait", "wait"]


@given(join=st.sampled_from(JOINS), words=st.lists(st.sampled_from([*ENDS, "-"]), min_size=3, max_size=3))
def test_what_is_ruled_out_early_is_never_started_later(join: str, words: list[str]) -> None:
    step = a_step(join)
    if can_no_longer_start(step, ends(" ".join(words))) is None:
        return
    for rest in itertools.product(ENDS, repeat=words.count("-")):
        filler = iter(rest)
        full = [next(filler) if word == "-" else word for word in words]
        assert decide(step, ends(" ".join(full))).verdict == "skip"
