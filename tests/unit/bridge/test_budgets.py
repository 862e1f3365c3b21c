from bridge.budgets import granted_nano_usd, scopes_of, taken_nano_usd
from bridge.call_record import BudgetScope, CallContext

USD = 1_000_000_000


def test_a_call_belongs_to_every_scope_it_names_in_id_order() -> None:
    context = CallContext(org_id="acme", key_id="k", flow="f", run_id="r")

    assert scopes_of(context, "fast") == tuple(
        sorted(
            [
                BudgetScope("org", "acme"),
                BudgetScope("key", "k"),
                BudgetScope("alias", "fast"),
                BudgetScope("flow", "f"),
                BudgetScope("run", "r"),
            ]
        )
    )


def test_a_lease_runs_ahead_while_much_is_left_and_shrinks_to_what_is_needed() -> None:
    assert granted_nano_usd(1, 1000 * USD) == USD // 2
    assert granted_nano_usd(1, USD) == USD // 50
    assert granted_nano_usd(USD, USD) == USD
    assert granted_nano_usd(USD // 40, USD) == USD // 40
    assert granted_nano_usd(0, USD) == 0


def test_a_call_takes_what_it_cost_and_never_more_than_it_held() -> None:
    assert [taken_nano_usd(100, cost) for cost in (0, 30, 100, 130, None)] == [0, 30, 100, 100, 100]
