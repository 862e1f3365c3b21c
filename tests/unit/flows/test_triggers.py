import pytest

from flows.expressions import CelExpressions
from flows.plan import TriggerRule
from flows.triggers import call_of
from flows.validate import check
from nodes.errors import ExpressionError
from tests.support.conformance import EveryModel

HEAD = (
    "flow: f\ninputs:\n  ticket: {type: string}\n  n: {type: integer, default: 1}\nnodes:\n"
    "  a: {type: transform, with: {map: {t: inputs.ticket, n: inputs.n}}}\ntriggers:\n"
)
HOOK = (
    "{id: made, type: webhook, verify: hmac, dedupe_key: '${{ body.id }}', when: body.kind == 'new', "
    "inputs: {ticket: '${{ body.text }}', n: 2}}"
)


def rule_of(text: str) -> TriggerRule:
    checked = check(HEAD + f"  - {text}\n", file="f", catalog=EveryModel())
    assert checked.plan is not None, [one.to_text() for one in checked.diagnostics]
    return checked.plan.triggers[0]


def test_a_webhook_becomes_a_rule_of_the_plan() -> None:
    rule = rule_of(HOOK)

    assert rule == TriggerRule(
        "made", "webhook", "", "body.kind == 'new'", "${{ body.id }}", {"ticket": "${{ body.text }}", "n": 2}
    )


def test_a_delivery_is_filtered_mapped_and_known_by_its_key() -> None:
    rule, cel = rule_of(HOOK), CelExpressions()

    first = call_of(rule, {"id": 7, "kind": "new", "text": "hi"}, {}, "m1", cel)
    same = call_of(rule, {"id": 7, "kind": "new", "text": "other"}, {}, "m2", cel)
    other = call_of(rule, {"id": 8, "kind": "new", "text": "hi"}, {}, "m1", cel)

    assert first is not None
    assert same is not None
    assert other is not None
    assert first.inputs == {"ticket": "hi", "n": 2}
    assert first.key == same.key != other.key
    assert call_of(rule, {"id": 7, "kind": "old"}, {}, "m1", cel) is None


def test_without_a_key_the_delivery_id_tells_deliveries_apart() -> None:
    rule = rule_of("{id: made, type: webhook, inputs: {ticket: '${{ headers[\"x-who\"] }}'}}")

    calls = [call_of(rule, None, {"x-who": "ann"}, one, CelExpressions()) for one in ("m1", "m1", "m2")]

    assert [call.inputs for call in calls if call] == [{"ticket": "ann"}] * 3
    assert len({call.key for call in calls if call}) == 2


def test_an_expression_that_the_delivery_does_not_bear_is_an_error() -> None:
    with pytest.raises(ExpressionError):
        call_of(rule_of(HOOK), {"kind": "new", "id": 1}, {}, "m1", CelExpressions())
    with pytest.raises(ExpressionError, match="true or false"):
        call_of(rule_of(HOOK.replace("body.kind == 'new'", "body.kind")), {"kind": "x"}, {}, "m1", CelExpressions())


@pytest.mark.parametrize(
    ("trigger", "code", "said"),
    [
        (HOOK.replace("body.text", "nodes.a.output.text"), "unknown_name", "nodes"),
        (HOOK.replace("body.kind ==", "bodi.kind =="), "unknown_name", "bodi"),
        (HOOK.replace("verify: hmac", "verify: none"), "invalid_value", "no way to verify"),
        (HOOK.replace("dedupe_key", "cron"), "unknown_key", "no `cron`"),
        (HOOK.replace("ticket:", "tickt:"), "missing_key", "tickt"),
        (HOOK.replace("ticket: '${{ body.text }}', ", ""), "missing_key", "ticket"),
        (HOOK.replace("'${{ body.text }}'", "'${{ body.text'"), "expression_syntax", ""),
        (HOOK.replace("n: 2", "n: two"), "wrong_type", "whole number"),
        ("{id: a1, type: run_completed, inputs: {ticket: x}}", "missing_key", "`flow` is missing"),
        ("{id: a1, type: run_completed, flow: f, inputs: {ticket: x}}", "cycle", "for ever"),
        ("{id: a1, type: event, event: x}", "not_supported_yet", "event"),
    ],
)
def test_mistakes_of_triggers_are_told_with_their_place(trigger: str, code: str, said: str) -> None:
    checked = check(HEAD + f"  - {trigger}\n", file="f", catalog=EveryModel())

    found = [one for one in checked.diagnostics if one.severity == "error"]
    assert found[0].code == code, [one.to_text() for one in found]
    assert any(said in f"{one.message} {one.suggestion}" for one in found), [one.to_text() for one in found]
    assert all(one.line == 8 for one in found)
