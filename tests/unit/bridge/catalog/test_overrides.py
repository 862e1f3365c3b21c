from bridge.catalog.overrides import load_overrides


def test_every_row_of_the_shipped_file_has_a_source_and_every_nickname_a_row() -> None:
    overrides = load_overrides()

    assert all(row.source for row in overrides.models.values())
    assert set(overrides.nicknames.values()) <= set(overrides.models)
