from pathlib import Path

import pytest

from nodes.channels import EmailChannel, WebChannel
from nodes.mcp_servers import McpServer
from nodes.outside import NoSecrets, Outside
from platform_api.outside import outside_of
from platform_api.settings import SettingsError
from tests.support.api import settings_for

SECTIONS = """
python: {allow_source: true, functions: ["acme.money", "acme.dates:next_day"], folders: [lib], max_memory_mb: 512}
channels:
  ops: {type: email, to: [ops@example.com]}
  sales: {type: slack, url: "${env:HOOK}"}
mcp_servers:
  crm: {command: [crm-mcp, --read-only], env: {TOKEN: "${env:HOOK}"}}
  search: {url: "https://search.example/mcp", headers: {x: y}}
"""


def outside(folder: Path, sections: str, **environment: str) -> Outside:
    (folder / "modelbridge.yaml").write_text(sections)
    return outside_of(settings_for(f"sqlite:///{folder}/m.db", folder, **environment), NoSecrets())


def test_by_default_flows_may_use_nothing(tmp_path: Path) -> None:
    found = outside(tmp_path, "{}")

    assert not found.python.allow_source
    assert not found.python.allows("os:system")
    assert (dict(found.channels), dict(found.mcp_servers), found.mail) == ({}, {}, None)


def test_the_operators_sections_become_what_nodes_take(tmp_path: Path) -> None:
    found = outside(tmp_path, SECTIONS, HOOK="https://hooks.example/T/canary", MODELBRIDGE_SMTP_URL="smtp://mail:25")

    assert found.python.allows("acme.money:total")
    assert found.python.allows("acme.dates:next_day")
    assert not found.python.allows("acme.dates:other")
    assert found.python.folders == (str(tmp_path / "lib"),)
    assert found.channels == {
        "ops": EmailChannel(("ops@example.com",)),
        "sales": WebChannel("slack", "https://hooks.example/T/canary"),
    }
    assert found.mcp_servers == {
        "crm": McpServer(("crm-mcp", "--read-only"), {"TOKEN": "https://hooks.example/T/canary"}),
        "search": McpServer(url="https://search.example/mcp", headers={"x": "y"}),
    }
    assert found.mail is not None
    assert "canary" not in repr(found)


@pytest.mark.parametrize(
    "sections",
    [
        "channels: {ops: {type: email, to: []}}",
        'channels: {ops: {type: email, to: ["a@x\\nBcc: b@x"]}}',
        "channels: {ops: {type: pigeon, url: x}}",
        "mcp_servers: {a: {}}",
        "mcp_servers: {a: {command: [x], url: 'https://x'}}",
        "databases: {Bad-Name: {url: 'sqlite:///x'}}",
        "secrets: {lower: x}",
        "python: {allow_sources: true}",
    ],
)
def test_an_entry_that_makes_no_sense_is_refused_by_name(tmp_path: Path, sections: str) -> None:
    with pytest.raises(SettingsError, match=sections.partition(":")[0]):
        outside(tmp_path, sections)
