from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.catalog.entries import PriceOverride

amounts = st.decimals(min_value=0, max_value=1000, places=6, allow_nan=False)


@given(amounts, amounts, st.none() | amounts, st.none() | amounts)
def test_an_override_is_rebuilt_from_its_row_id(
    given_input: Decimal, output: Decimal, read: Decimal | None, write: Decimal | None
) -> None:
    override = PriceOverride("acme/llama", "configuration", given_input, output, read, write)

    assert PriceOverride.from_row(override.row, "configuration") == override


@pytest.mark.parametrize("row", ["", "openai|gpt-4o-mini|-|0123", "override|x|1;2", "override|x|-;1;-;-"])
def test_other_rows_are_no_overrides(row: str) -> None:
    assert PriceOverride.from_row(row, "x") is None
