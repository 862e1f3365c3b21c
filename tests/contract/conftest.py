"""Options of the contract tests."""

import pytest


@pytest.fixture(scope="session")
def split_seed(request: pytest.FixtureRequest) -> int:
    """Where recorded streams are cut; `--split-bytes SEED` changes it."""
    seed: int = request.config.getoption("--split-bytes")  # pyright: ignore[reportAssignmentType]  # has a default
    return seed
