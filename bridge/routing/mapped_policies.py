"""Policies that map a request to candidates of the alias: by what it means, or by the arm of an experiment."""

from collections.abc import Sequence

from bridge.decision import Experiment, Intent, RoutingQuestion, Snapshot
from bridge.routing.assignment import assigned_arm, shares_of
from bridge.routing.draws import Draws
from bridge.routing.ranking import Ranking, Scored
from bridge.routing.simple_policies import as_listed, priority


def semantic(offers: Sequence[Scored], question: RoutingQuestion, snapshot: Snapshot, rng: Draws) -> Ranking:
    """The candidates of the intent that the prompt is nearest to, then the others; none near enough: as listed."""
    del rng
    listed = as_listed(offers)
    intent = nearest_intent(question, snapshot)
    if intent is None:
        reason = _no_intent(question, snapshot)
        return Ranking(listed, {listed[0].name: 1.0}, {one.name: reason for one in listed})
    wanted = {name: place for place, name in enumerate(intent.candidates)}
    last = len(wanted)
    order = tuple(sorted(listed, key=lambda one: wanted.get(one.offer.listed_as, last)))
    found = f"intent {intent.name} (similarity {snapshot.similarity[intent.name]:.2f})"
    reasons = {
        one.name: f"answers {found}" if one.offer.listed_as in wanted else f"not named for {found}" for one in order
    }
    scores = {one.name: snapshot.similarity[intent.name] for one in order if one.offer.listed_as in wanted}
    return Ranking(order, {order[0].name: 1.0}, reasons, scores)


def nearest_intent(question: RoutingQuestion, snapshot: Snapshot) -> Intent | None:
    """The most similar of the intents whose threshold is met."""
    near = [one for one in question.intents if snapshot.similarity.get(one.name, -1.0) >= one.threshold]
    return max(near, key=lambda one: snapshot.similarity.get(one.name, -1.0), default=None)


def experiment(offers: Sequence[Scored], question: RoutingQuestion, snapshot: Snapshot, rng: Draws) -> Ranking:
    """The unit's arm first, the others as listed. Propensities are those over all units."""
    if question.experiment is None:
        return priority(offers, question, snapshot, rng)
    listed = as_listed(offers)
    asked = question.experiment
    arm = arm_of(asked, rng)
    order = _arm_first(listed, arm)
    shares = shares_of(asked.arms)
    first: dict[str, float] = {}
    for name, share in shares.items():
        ahead = _arm_first(listed, name)[0].name
        first[ahead] = first.get(ahead, 0.0) + share
    reasons = {one.name: _arm_reason(one, asked, arm, shares) for one in order}
    return Ranking(order, first, reasons, arm=arm)


def arm_of(asked: Experiment, rng: Draws) -> str:
    """The arm of the question's unit. A request that is its own unit is named by the next random number."""
    unit = asked.unit if asked.unit is not None else str(rng.getrandbits(64))
    return assigned_arm(asked.name, unit, asked.arms)


def _arm_first(listed: Sequence[Scored], arm: str) -> tuple[Scored, ...]:
    return tuple(sorted(listed, key=lambda one: one.offer.listed_as != arm))


def _arm_reason(one: Scored, asked: Experiment, arm: str, shares: dict[str, float]) -> str:
    if one.offer.listed_as == arm:
        return f"arm of this {'request' if asked.unit is None else 'unit'} in {asked.name} ({shares[arm]:.0%} of all)"
    return f"another arm of {asked.name}" if one.offer.listed_as in shares else f"no arm of {asked.name}"


def _no_intent(question: RoutingQuestion, snapshot: Snapshot) -> str:
    if not question.intents:
        return "as listed: no intents are configured"
    best = max(question.intents, key=lambda one: snapshot.similarity.get(one.name, -1.0))
    likeness = snapshot.similarity.get(best.name)
    if likeness is None:
        return "as listed: the prompt was not compared with any intent"
    return f"as listed: no intent is near enough ({best.name} at {likeness:.2f}, {best.threshold:.2f} needed)"
