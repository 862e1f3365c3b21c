"""A file that grows past a screenful of ideas is split by concern."""

from tests.architecture.sources import PACKAGES, ROOT, lines_of, tracked

MAX_SOURCE_LINES = 400
MAX_TEST_LINES = 600


def test_source_files_stay_under_400_lines() -> None:
    sources = [path for path in tracked(".py") if path.relative_to(ROOT).parts[0] in PACKAGES]

    too_long = {str(path.relative_to(ROOT)): lines_of(path) for path in sources if lines_of(path) > MAX_SOURCE_LINES}

    assert sources
    assert too_long == {}


def test_test_files_stay_under_600_lines() -> None:
    tests = [path for path in tracked(".py") if path.relative_to(ROOT).parts[0] == "tests"]

    assert {str(path) for path in tests if lines_of(path) > MAX_TEST_LINES} == set()
