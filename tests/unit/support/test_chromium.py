from pathlib import Path

import pytest

from tests.support.chromium import VERSION, ChromiumMissingError, chromium_environment, chromium_executable


def program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o755)
    return path


def test_the_named_browser_goes_before_the_systems(tmp_path: Path) -> None:
    named, system = program(tmp_path / "mine"), program(tmp_path / "bin" / "chromium")
    environ = {"MODELBRIDGE_CHROMIUM": str(named), "PATH": str(system.parent)}

    assert chromium_executable(tmp_path / "cache", environ) == named
    assert chromium_executable(tmp_path / "cache", {"PATH": str(system.parent)}) == system


def test_a_name_that_leads_nowhere_is_an_error_and_not_passed_over(tmp_path: Path) -> None:
    with pytest.raises(ChromiumMissingError, match="does not exist"):
        chromium_executable(tmp_path, {"MODELBRIDGE_CHROMIUM": str(tmp_path / "none"), "PATH": ""})


def test_an_unpacked_browser_is_used_again_with_its_own_libraries(tmp_path: Path) -> None:
    unpacked = program(tmp_path / f"chromium-{VERSION}" / "chromium")
    (unpacked.parent / "lib").mkdir()
    found = chromium_executable(tmp_path, {"PATH": ""})

    assert found == unpacked
    environment = chromium_environment(found, {"LD_LIBRARY_PATH": "/opt/lib"})
    assert environment["LD_LIBRARY_PATH"] == f"{unpacked.parent / 'lib'}:/opt/lib"


def test_with_no_browser_and_no_npm_the_error_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ChromiumMissingError, match="MODELBRIDGE_CHROMIUM"):
        chromium_executable(tmp_path / "cache", {"PATH": ""})
