from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from platform_api.errors import InvalidError
from platform_api.paging import read_cursor, write_cursor


@given(st.uuids())
def test_a_cursor_reads_back_as_the_id_it_was_made_from(identifier: UUID) -> None:
    assert read_cursor(write_cursor(identifier)) == identifier


@pytest.mark.parametrize("cursor", ["", "x", "é", "AAAA", "'; drop table runs --", "A" * 64])
def test_what_is_no_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidError):
        read_cursor(cursor)
