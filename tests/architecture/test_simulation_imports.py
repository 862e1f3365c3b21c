"""The simulator drives the product: what decides, retries and breaks is imported through the gateway, never remade."""

import ast
from pathlib import Path

from tests.architecture.sources import ROOT, tracked

SIMULATION = ROOT / "bridge" / "simulation"
DRIVEN = {"bridge.gateway", "bridge.chat", "bridge.config", "bridge.config_problems", "bridge.errors"}
"""The product as any caller uses it."""
REPLACED = {
    "bridge.clock",
    "bridge.transport",
    "bridge.providers.mock_answer",
    "bridge.providers.mock_script",
    "bridge.providers.mock_wire",
}
"""What differs in a simulation: time, and who answers. Randomness is the standard library's."""
READ = {
    "bridge.call_record",
    "bridge.catalog.aliases",
    "bridge.catalog.deployments",
    "bridge.catalog.entries",
    "bridge.catalog.prices",
    "bridge.learning.quality",
}
"""What is handed in or read from results: records of calls, names, price lists, scores."""
DECIDES = (
    "bridge.routing",
    "bridge.reliability",
    "bridge.dispatcher",
    "bridge.attempt",
    "bridge.caching",
    "bridge.snap",
)


def imported(path: Path) -> set[str]:
    """Modules of the bridge that a file imports, the simulator's own left out."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            found.add(node.module)
        elif isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
    return {name for name in found if name.startswith("bridge.") and not name.startswith("bridge.simulation")}


def test_the_simulator_imports_the_product_and_nothing_that_decides() -> None:
    files = [path for path in tracked(".py") if path.is_relative_to(SIMULATION)]
    found = {name for path in files for name in imported(path)}

    assert len(files) > 10
    assert found == DRIVEN | REPLACED | READ
    assert [name for name in found if name.startswith(DECIDES)] == []


def test_a_day_is_lived_by_a_bridge() -> None:
    assert "bridge.gateway" in imported(SIMULATION / "runner.py")
