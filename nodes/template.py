"""Text from a sandboxed template."""

from typing import ClassVar

from pydantic import Field

from nodes.context import NodeContext
from nodes.node import AnyJson, Node, NodeOutput, node_type
from nodes.template_text import render_off_loop


class TemplateOutput(NodeOutput):
    """The rendered text."""

    text: str


@node_type("template")
class TemplateNode(Node[TemplateOutput]):
    """Make text from a Jinja template over `vars`."""

    output_type = TemplateOutput
    template_fields: ClassVar[frozenset[str]] = frozenset({"template"})

    template: str = Field(description="Jinja text over `vars`: variables, if, for, set, filters.")
    vars: dict[str, AnyJson] = Field(default_factory=dict, description="Values for the template.")

    async def run(self, context: NodeContext) -> TemplateOutput:
        """Render once. Raises TemplateTextError."""
        del context
        return TemplateOutput(text=await render_off_loop(self.template, self.vars))
