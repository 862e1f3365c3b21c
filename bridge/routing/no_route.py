"""Why a decision came out empty, as the error that tells the caller what to change."""

from bridge.decision import Decision
from bridge.errors import BridgeError, BudgetExceededError, NoRouteError, UnsupportedFeatureError
from bridge.routing.candidates import drop_of

MAX_NAMED = 6


def no_route_error(decision: Decision) -> BridgeError:
    """UnsupportedFeatureError when no model can do it, BudgetExceededError when none can be priced.

    Else NoRouteError.
    """
    question = decision.question
    kinds = set[str]()
    if question is not None:
        drops = (drop_of(offer, question, decision.snapshot) for offer in question.offers)
        kinds = {drop.kind for drop in drops if drop is not None}
    text = f"no deployment can serve {decision.requested!r}: {_reasons(decision.dropped)}"
    if kinds and kinds <= {"feature", "size"}:
        return UnsupportedFeatureError(text)
    if kinds == {"budget"}:
        hint = "; give it input_usd_per_mtok and output_usd_per_mtok under `models`"
        return BudgetExceededError(text + hint, scope="unknown price", limit_nano_usd=0, left_nano_usd=0)
    return NoRouteError(text, dropped=decision.dropped)


def _reasons(dropped: dict[str, str]) -> str:
    if not dropped:
        return "it has no candidates"
    shown = [f"{name}: {reason}" for name, reason in list(dropped.items())[:MAX_NAMED]]
    more = len(dropped) - len(shown)
    return "; ".join(shown) + (f"; and {more} more" if more else "")
