import io

import pytest
from rich.console import Console

from bridge.decision import Decision, DeploymentState, Experiment, Snapshot
from bridge.routing.policy import decide
from platform_api.cli.decision_card import show_call, show_decision
from tests.support.bridge_calls import CONTEXT, asking, bench
from tests.support.offers import offer, quality, question, states


def decision() -> Decision:
    off = "openai is off: OPENAI_API_KEY is not set"
    asked = question(
        offer("dear", cost_usd=0.2),
        offer("cheap", cost_usd=0.001),
        *(offer(f"off-{number}", off_reason=off) for number in range(8)),
        offer("mute", capabilities=("embeddings",)),
        policy="balanced",
        needs=("chat",),
    )
    return decide(asked, Snapshot(states(cheap=DeploymentState(ttft_s=0.3)), quality(cheap=0.8, dear=0.85)), seed=1)


def card(shown: Decision, width: int = 100) -> str:
    text = io.StringIO()
    show_decision(shown, Console(file=text, width=width, no_color=True))
    return text.getvalue()


def test_the_chosen_one_and_why_is_the_first_sentence() -> None:
    lines = card(decision()).split("\n")

    assert lines[1].startswith("p/cheap goes first: good enough (quality bound 0.77), $0.001000 expected")
    assert lines[1].strip()


def test_candidates_follow_in_order_with_price_time_quality_and_reason() -> None:
    text = card(decision())

    assert " 1 p/cheap  $0.0010 · 2.3 s · quality 0.80" in text
    assert " 2 p/dear  $0.2000 · 3.0 s · quality 0.85" in text
    assert text.index("1 p/cheap") < text.index("2 p/dear")


def test_the_dropped_ones_are_grouped_by_reason_the_most_common_first() -> None:
    text = card(decision(), width=200)

    assert text.count("OPENAI_API_KEY is not set") == 1
    assert "p/off-5 and 2 more" in text
    assert text.index("OPENAI_API_KEY") < text.index("lacks chat: p/mute")


@pytest.mark.parametrize("width", [30, 60, 200])
def test_a_card_fits_any_terminal_and_needs_no_colour(width: int) -> None:
    text = card(decision(), width)

    assert all(len(line) <= width for line in text.split("\n"))
    assert "\x1b" not in text
    assert "quality" in text


def test_nobody_left_is_said_first() -> None:
    none = decide(question(offer("a", off_reason="its key is not set")), Snapshot(), seed=1)

    assert card(none).strip().startswith("No model can answer 'alias': all were left out.")


def test_the_arm_of_an_experiment_is_told() -> None:
    asked = question(offer("a"), policy="experiment", experiment=Experiment("trial", {"p/a": 1.0}, "ada"))

    assert "arm p/a" in card(decide(asked, Snapshot(), seed=1))


async def test_attempts_are_told_as_they_went_with_what_they_cost() -> None:
    prices = {
        f"mock/{name}": {"input_usd_per_mtok": usd, "output_usd_per_mtok": usd}
        for name, usd in (("small", 1), ("large", 9))
    }
    alias = {"policy": "cascade", "candidates": ["mock/small", "mock/large"], "cascade": {"min_chars": 9}}
    one = bench(
        replies=[
            {"match": {"model": "small"}, "text": "No."},
            {"match": {"model": "large"}, "text": "Certainly, sir."},
        ],
        sections={"models": prices, "aliases": {"ladder": alias}},
    )
    result = await one.bridge.chat(asking("ladder"), CONTEXT)
    text = io.StringIO()
    show_call(result.record, Console(file=text, width=100, no_color=True))
    story = text.getvalue()[text.getvalue().index("what happened") :]

    assert story.index("1 mock/") < story.index("passed over: 3 characters, at least 9 wanted") < story.index("2 mock/")
    assert "answered (stop)" in story
    assert "together $" in story


async def test_a_failed_attempt_says_what_happened() -> None:
    sections = {"aliases": {"x": {"candidates": ["mock/a", "mock/b"]}}}
    one = bench(faults=[{"kind": "status", "status": 500, "match": {"model": "a"}, "times": 9}], sections=sections)
    result = await one.bridge.chat(asking("x"), CONTEXT)
    text = io.StringIO()
    show_call(result.record, Console(file=text, width=100, no_color=True))

    assert "mock/b answered in the end." in text.getvalue()
    assert "mock/a  unavailable" in text.getvalue()
    assert "500" in text.getvalue()
