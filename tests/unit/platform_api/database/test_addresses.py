import pytest

from platform_api.database.addresses import DatabaseUrlError, async_url, is_sqlite, masked


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("postgresql://u:p@h:5433/d", "postgresql+asyncpg://u:p@h:5433/d"),
        ("postgres://u@h/d", "postgresql+asyncpg://u@h/d"),
        ("postgresql+psycopg://u@h/d?sslmode=require", "postgresql+asyncpg://u@h/d?ssl=require"),
        ("postgresql://u@/d?host=/run/pg", "postgresql+asyncpg://u@/d?host=%2Frun%2Fpg"),
        ("postgresql://u@h/d?application_name=x&channel_binding=prefer", "postgresql+asyncpg://u@h/d"),
        ("sqlite:///relative.db", "sqlite+aiosqlite:///relative.db"),
        ("sqlite:////absolute.db", "sqlite+aiosqlite:////absolute.db"),
    ],
)
def test_addresses_as_people_write_them_reach_the_async_drivers(address: str, expected: str) -> None:
    assert async_url(address).render_as_string(hide_password=False) == expected


@pytest.mark.parametrize("address", ["mysql://h/d", "nonsense", "", "sqlite://", "sqlite:///:memory:"])
def test_an_address_we_do_not_serve_is_refused_in_words(address: str) -> None:
    with pytest.raises(DatabaseUrlError, match="DATABASE_URL"):
        async_url(address)


def test_messages_show_no_password() -> None:
    assert masked("postgresql://u:hunter2@h/d") == "postgresql://u:***@h/d"
    assert is_sqlite("sqlite:///x.db")
    assert not is_sqlite("postgresql://h/d")
