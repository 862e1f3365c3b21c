from bridge.chat import Policy
from bridge.decision import Constraints, Offer, Snapshot
from bridge.errors import BudgetExceededError, NoRouteError, UnsupportedFeatureError
from bridge.routing.no_route import no_route_error
from bridge.routing.policy import decide
from tests.support.offers import offer, question


def error_of(*offers: Offer, policy: Policy = "priority", **facts: object) -> Exception:
    return no_route_error(decide(question(*offers, policy=policy, **facts), Snapshot(), seed=1))


def test_what_no_model_can_do_is_the_callers_to_change() -> None:
    assert isinstance(error_of(offer("a"), needs=("chat", "tools")), UnsupportedFeatureError)


def test_what_cannot_be_priced_under_a_budget_is_a_budget_error() -> None:
    error = error_of(offer("a"), constraints=Constraints(needs_known_price=True))

    assert isinstance(error, BudgetExceededError)
    assert "input_usd_per_mtok" in str(error)


def test_everything_else_lists_every_reason() -> None:
    error = error_of(offer("a", off_reason="off: KEY is not set"), offer("b"), needs=("chat", "tools"))

    assert isinstance(error, NoRouteError)
    assert error.dropped == {"p/a": "off: KEY is not set", "p/b": "lacks tools"}


def test_no_candidate_at_all_is_said_so_and_long_lists_are_cut() -> None:
    assert "no candidates" in str(error_of())
    assert "and 4 more" in str(error_of(*(offer(str(n), off_reason="off") for n in range(10))))
