from flows.plan import Block, Dependency, ForeachRule, Plan, PlanStep
from platform_api.flow_api.graph import graph_of


def test_bodies_and_sections_are_nodes_and_edges_say_why() -> None:
    body = Block((PlanStep("inner", "llm", {"model": "balanced"}),), final="inner")
    each = PlanStep("each", "foreach", {}, foreach=ForeachRule("${{ inputs.items }}"), body=body)
    last = PlanStep("last", "template", {}, (Dependency("each", "output", why="reads it"),), when="${{ true }}")
    audit = PlanStep("audit", "noop", {})
    plan = Plan("f", "h", Block((each, last)), {}, {}, finally_steps=(audit,))
    graph = graph_of(plan)

    assert [(node["id"], node["section"]) for node in graph["nodes"]] == [
        ("each", "main"),
        ("inner", "main"),
        ("last", "main"),
        ("audit", "finally"),
    ]
    nodes = {node["id"]: node for node in graph["nodes"]}
    assert (nodes["each"]["foreach"], nodes["each"]["body"]) == (True, ["inner"])
    assert (nodes["inner"]["model"], nodes["last"]["when"]) == ("balanced", True)
    assert graph["edges"] == [{"source": "each", "target": "last", "why": "reads it"}]
