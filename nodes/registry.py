"""Loads node types by module name, so that a node file may import the base without a cycle.

Packages add types through the entry point group `modelbridge.nodes`: the entry names a module, or a class, whose
import runs `@node_type`.
"""

from functools import cache
from importlib import import_module
from importlib.metadata import entry_points

ENTRY_POINT_GROUP = "modelbridge.nodes"

BUILT_IN = (
    "nodes.agent",
    "nodes.approve",
    "nodes.classify",
    "nodes.compare",
    "nodes.embed",
    "nodes.evaluate",
    "nodes.extract",
    "nodes.fail",
    "nodes.flow",
    "nodes.foreach",
    "nodes.guard",
    "nodes.http",
    "nodes.ingest",
    "nodes.llm",
    "nodes.loop",
    "nodes.mcp",
    "nodes.notify",
    "nodes.python",
    "nodes.retrieve",
    "nodes.sql",
    "nodes.storage",
    "nodes.switch",
    "nodes.template",
    "nodes.transform",
    "nodes.wait",
)


class NodePackageError(ImportError):
    """An installed package announces a node type that cannot be loaded; names the entry point."""


@cache
def load_all() -> None:
    """Import every built-in node file and every announced one, once per process.

    Raises:
        NodePackageError: An entry point cannot be loaded.
    """
    for module in BUILT_IN:
        import_module(module)
    for entry in entry_points(group=ENTRY_POINT_GROUP):
        try:
            entry.load()
        except (ImportError, AttributeError, ValueError) as error:
            raise NodePackageError(f"node package {entry.name} = {entry.value}: {error}") from error
