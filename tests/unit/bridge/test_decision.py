import json

from hypothesis import given
from hypothesis import strategies as st

from bridge.decision import Decision, RoutingQuestion, Snapshot
from bridge.routing.policy import decide
from tests.support.offers import offer, question, some_case


@given(some_case(), st.integers(0, 2**48))
def test_json_holds_all_of_a_decision(case: tuple[RoutingQuestion, Snapshot], seed: int) -> None:
    decision = decide(*case, seed=seed, decision_id="d")

    assert Decision.from_json(json.loads(json.dumps(decision.to_json()))) == decision


def test_dropped_names_each_deployment_that_is_no_candidate() -> None:
    decision = decide(question(offer("a"), offer("b", off_reason="off")), Snapshot(), seed=1)

    assert decision.dropped == {"p/b": "off"}
