"""Flows of other systems as flows: Dify DSL, promptflow `flow.dag.yaml`, Argo `WorkflowTemplate`.

What has no counterpart is in the report with its place, never dropped in silence.
"""

from collections.abc import Callable

from flows.diagnostics import Diagnostics
from flows.errors import InvalidFlowError
from flows.import_argo import import_argo
from flows.import_dify import import_dify
from flows.import_promptflow import import_promptflow
from flows.import_report import Family, Imported, get, items_at, text_at
from flows.plan import Position
from flows.validate_nodes import ModelNames
from flows.yaml_nodes import MapNode, YamlNode
from flows.yaml_source import parse_yaml


def import_document(
    text: str, *, file: str, catalog: ModelNames, read_beside: Callable[[str], str], name: str | None = None
) -> Imported:
    """The flow that does what a foreign document says, and the report of what it cannot.

    `read_beside` gives the text of a file that the document refers to (OSError when there is none); `name` is for
    documents that have none of their own.

    Raises:
        InvalidFlowError: It is no YAML map, or of no family known here.
        ValueError: It is of a family, and has nothing in it that could be a flow.
    """
    problems = Diagnostics(file)
    root = parse_yaml(text, problems)
    family = family_of(root)
    if problems.has_errors or root is None or family is None:
        if not problems.has_errors:
            message = "this is neither a Dify app, a promptflow flow.dag.yaml nor an Argo Workflow(Template)"
            problems.error(root or Position(1, 1), "unknown_format", message, "these three can be imported")
        raise InvalidFlowError(problems.sorted())
    if family == "promptflow":
        return import_promptflow(root, catalog, read_beside, name=name)
    return import_argo(root, catalog) if family == "argo" else import_dify(root, catalog)


def family_of(root: YamlNode | None) -> Family | None:
    """What wrote the document, by its marks; None when nobody known did."""
    if not isinstance(root, MapNode):
        return None
    if text_at(root, "kind") == "app" or get(root, "workflow", "graph") is not None:
        return "dify"
    if text_at(root, "apiVersion").startswith("argoproj.io/") and get(root, "spec") is not None:
        return "argo"
    if items_at(root, "nodes") and get(root, "flow") is None:
        return "promptflow"
    return None
