"""What the documentation shows works: flows validate, configurations parse, links lead somewhere."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.config import BridgeConfig
from bridge.gateway import Bridge
from flows.validate import check
from platform_api.model_names import BridgeNames
from platform_api.settings import Settings

ROOT = Path(__file__).resolve().parents[3]
CONFIGURATION = ROOT / "docs/guides/configuration.md"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

_FENCED_YAML = re.compile(r"^```yaml\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_FENCED = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
_FLOW = re.compile(r"\A(?:#[^\n]*\n)*flow:")
_LINK = re.compile(r"\]\(([^)\s]+)\)")


def _snippets(page: Path) -> Iterator[tuple[str, str]]:
    """YAML blocks of a page: where they start, and their text."""
    text = page.read_text(encoding="utf-8")
    for found in _FENCED_YAML.finditer(text):
        yield f"{page.relative_to(ROOT)}:{text.count(chr(10), 0, found.start()) + 1}", found[1]


FLOWS = [one for page in PAGES for one in _snippets(page) if _FLOW.match(one[1])]
CONFIGURATIONS = [one for one in _snippets(CONFIGURATION) if not _FLOW.match(one[1])]


def _published_elsewhere(reference: str) -> str:
    raise NotImplementedError(reference)


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> BridgeNames:
    """The catalogue of a machine without a configuration file."""
    folder = tmp_path_factory.mktemp("no_configuration")
    config = BridgeConfig.parse(Settings.from_environment({"MODELBRIDGE_HOME": str(folder)}, folder=folder).bridge)
    return BridgeNames(Bridge(config), tries=config.retry.max_per_target)


def test_there_are_snippets_on_the_pages_that_promise_them() -> None:
    pages = {place.partition(":")[0] for place, _ in FLOWS}

    assert {"README.md", "docs/guides/flows.md"} <= pages
    assert CONFIGURATIONS


@pytest.mark.parametrize(("place", "text"), FLOWS, ids=[place for place, _ in FLOWS])
def test_a_flow_of_the_documentation_validates(place: str, text: str, names: BridgeNames) -> None:
    checked = check(text, file=place, catalog=names, read_ref=_published_elsewhere)

    assert [f"{one.line}:{one.column} {one.code}: {one.message}" for one in checked.diagnostics] == []
    assert checked.plan is not None


@pytest.mark.parametrize(("place", "text"), CONFIGURATIONS, ids=[place for place, _ in CONFIGURATIONS])
def test_a_configuration_of_the_documentation_parses(place: str, text: str, tmp_path: Path) -> None:
    (tmp_path / "modelbridge.yaml").write_text(text, encoding="utf-8")

    settings = Settings.from_environment({"MODELBRIDGE_HOME": str(tmp_path)}, folder=tmp_path)
    bridge = Bridge(BridgeConfig.parse(settings.bridge))

    assert settings.config_file == tmp_path / "modelbridge.yaml", place
    assert bridge.aliases()


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_every_relative_link_leads_to_a_file(page: Path) -> None:
    links: list[str] = _LINK.findall(_FENCED.sub("", page.read_text(encoding="utf-8")))
    targets = [link.partition("#")[0] for link in links if "://" not in link and not link.startswith(("#", "mailto:"))]

    assert [target for target in targets if not (page.parent / target).exists()] == []
