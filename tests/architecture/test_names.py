"""Names say what a thing is; folders stay shallow; tests are never switched off."""

import re

import pytest

from tests.architecture.sources import PACKAGES, ROOT, tracked

VAGUE = {"utils", "util", "helpers", "helper", "common", "manager", "core", "misc"}
TWO_DEEP = {("platform_api", "database", "tables"), ("platform_api", "migrations", "versions")}
SWITCHED_OFF = re.compile(r"pytest\.(skip|importorskip)|mark\.(skip|skipif)|mark\.xfail(?!\(.*#\d+)")
REGISTRY_HOSTS = re.compile(r"pypi\.org|pythonhosted\.org|registry\.npmjs\.org|deb\.debian\.org")


def sources() -> list[tuple[str, ...]]:
    """Every Python file of our packages, as path parts."""
    parts = [path.relative_to(ROOT).parts for path in tracked(".py")]
    return [part for part in parts if part[0] in PACKAGES]


def test_no_file_or_folder_has_a_vague_name() -> None:
    vague = [part for part in sources() if VAGUE & {name.removesuffix(".py") for name in part}]

    assert vague == []


def test_packages_are_one_folder_deep() -> None:
    deep = [part for part in sources() if len(part) > 3 and part[:3] not in TWO_DEEP and part[1] != "components"]

    assert deep == []


def test_package_inits_hold_no_code() -> None:
    filled = [
        str(path.relative_to(ROOT))
        for path in tracked(".py")
        if path.name == "__init__.py" and len(path.relative_to(ROOT).parts) > 2 and path.read_text(encoding="utf-8")
    ]

    assert filled == []


@pytest.mark.parametrize("package", PACKAGES)
def test_what_a_package_exports_is_sorted(package: str) -> None:
    text = (ROOT / package / "__init__.py").read_text(encoding="utf-8")
    found = re.search(r"__all__ = \[(.*?)\]", text, re.DOTALL)
    names = re.findall(r'"(\w+)"', found.group(1)) if found else []

    assert names == sorted(names)


def test_no_test_is_switched_off() -> None:
    off = [
        str(path.relative_to(ROOT))
        for path in tracked(".py")
        if "tests" in path.parts and path.name != "test_names.py" and SWITCHED_OFF.search(path.read_text("utf-8"))
    ]

    assert off == []


def test_no_file_names_a_package_registry() -> None:
    named = [
        str(path.relative_to(ROOT))
        for path in tracked(".py", ".txt", ".in", ".toml", ".yml", ".yaml", ".md", ".sh", ".json", ".lock", "")
        if path.name != "test_names.py" and REGISTRY_HOSTS.search(path.read_text(encoding="utf-8", errors="ignore"))
    ]

    assert named == []
