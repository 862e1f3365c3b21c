"""A plan as the graph the studio draws."""

from collections.abc import Iterator

from flows.plan import Block, Plan, PlanStep

Graph = dict[str, list[dict[str, object]]]


def graph_of(plan: Plan) -> Graph:
    """Nodes in walking order and edges with their reasons. Steps of bodies are nodes too; their parent lists them."""
    nodes = list(_nodes(plan.block, "main"))
    for section, steps in (("on_failure", plan.on_failure), ("finally", plan.finally_steps)):
        nodes += [_node(step, section) for step in steps]
    return {"nodes": nodes, "edges": list(_edges(plan.block))}


def _nodes(block: Block, section: str) -> Iterator[dict[str, object]]:
    for step in block.steps:
        yield _node(step, section)
        if step.body is not None:
            yield from _nodes(step.body, section)


def _edges(block: Block) -> Iterator[dict[str, object]]:
    for step in block.steps:
        for source in step.depends_on:
            yield {"source": source.step, "target": step.id, "why": source.why or source.reads}
        if step.body is not None:
            yield from _edges(step.body)


def _node(step: PlanStep, section: str) -> dict[str, object]:
    model = step.config.get("model")
    label = step.config.get("label")
    return {
        "id": step.id,
        "type": step.type,
        "label": label if isinstance(label, str) else step.id,
        "when": step.when is not None,
        "foreach": step.foreach is not None or step.type == "foreach",
        "model": model if isinstance(model, str) else None,
        "body": [] if step.body is None else [inner.id for inner in step.body.steps],
        "section": section,
    }
