"""Another flow as a step. The walker runs it; this holds its schema."""

from typing import ClassVar

from pydantic import Field

from nodes.node import AnyJson, Node, NodeOutput, node_type

FLOW_REF = r"^(\./\S+\.ya?ml|\.\./\S+\.ya?ml|[a-z][a-z0-9_-]{0,62}(@[1-9][0-9]*)?)$"


class FlowOutput(NodeOutput):
    """What the child flow gave."""

    outputs: dict[str, AnyJson]
    run_id: str
    cost_usd: float | None = Field(description="Null when a price is unknown.")


@node_type("flow")
class FlowNode(Node[FlowOutput]):
    """Run a flow and wait for its outputs; a failed child fails the step with the class of its first error."""

    output_type = FlowOutput
    is_control = True
    is_replayable: ClassVar[bool] = False

    ref: str = Field(pattern=FLOW_REF, description="`./child.yaml` beside this file, or `name@version`.")
    inputs: dict[str, AnyJson] = Field(default_factory=dict, description="Inputs of the child flow.")
