"""Code of the operator's or, where the operator allows it, of the flow's own, in a process of its own."""

import signal
from typing import Annotated, ClassVar, Self, cast

from pydantic import Field, field_validator, model_validator

from bridge.json_types import JsonObject, JsonValue
from bridge.structured_output import schema_problem
from nodes.context import NodeContext
from nodes.durations import seconds
from nodes.errors import NodeError
from nodes.node import AnyJson, Node, NodeOutput, node_type
from nodes.outside import PythonRules
from nodes.python_process import Finished, run_job
from nodes.schemas import literal_schema, with_inlined_refs, with_property

FUNCTION = r"^[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_]*$"
WAY_TO_ALLOW_SOURCE = "set `python.allow_source: true` in modelbridge.yaml where every author of flows is trusted"


class PythonOutput(NodeOutput):
    """What the code gave back and printed."""

    result: AnyJson = Field(description="What the function returned.")
    stdout: str = Field(description="What it printed, on either stream; the first 64 KiB.")


@node_type("python")
class PythonNode(Node[PythonOutput]):
    """Call a Python function with `inputs` as its named arguments; values go in and out as JSON.

    It runs in its own process without network, other processes, environment or capabilities, in an empty folder, with
    limits of time and memory; where the system cannot refuse the network (Linux on x86_64 and aarch64 can), the node
    refuses to run. Files that the platform's user may read can be read.
    """

    output_type = PythonOutput
    is_replayable = False
    code_fields: ClassVar[frozenset[str]] = frozenset({"source"})

    source: Annotated[str, Field(min_length=1, max_length=100_000)] | None = Field(
        default=None, description="Python that defines `main`; taken only where the operator allows it."
    )
    function: Annotated[str, Field(pattern=FUNCTION)] | None = Field(
        default=None, description="`module:function`, one that the operator named under `python.functions`."
    )
    inputs: dict[str, AnyJson] = Field(default_factory=dict, description="The arguments, by name.")
    result_schema: dict[str, AnyJson] | None = Field(
        default=None, alias="schema", description="JSON Schema that the result must fit."
    )
    timeout: str = Field(default="30s", description="Longest time: `500ms`, `30s`, `5m`.")
    memory_mb: int = Field(default=256, ge=64, description="Most address space of the process, in MB.")

    @field_validator("timeout")
    @classmethod
    def _is_duration(cls, value: str) -> str:
        if seconds(value) <= 0:
            raise ValueError("the time must be longer than nothing")
        return value

    @model_validator(mode="after")
    def _one_code(self) -> Self:
        if (self.source is None) == (self.function is None):
            raise ValueError("give either source or function")
        return self

    @classmethod
    def output_schema(cls, raw: JsonObject) -> JsonObject:
        """As always, with the node's own `schema` as that of `result`."""
        own = literal_schema(raw.get("schema"))
        base = super().output_schema(raw)
        return base if own is None else with_property(base, "result", with_inlined_refs(own))

    async def run(self, context: NodeContext) -> PythonOutput:
        """Run the code once. Raises NodeError: what the code raised is `user`, a result that does not fit
        `schema_violation`, too long `timeout`; what the operator does not allow is `invalid_request`.
        """
        rules = context.outside.python
        self._check(rules)
        job: dict[str, object] = {
            "source": self.source,
            "function": self.function,
            "inputs": self.inputs,
            "folders": list(rules.folders),
            "memory_mb": self.memory_mb,
        }
        ended = await run_job(job, timeout_s=seconds(self.timeout), rules=rules)
        return PythonOutput.model_validate({"result": self._result(ended), "stdout": ended.stdout})

    def _check(self, rules: PythonRules) -> None:
        problem = None
        if self.source is not None and not rules.allow_source:
            problem = f"code in flows is not allowed here; {WAY_TO_ALLOW_SOURCE}, or call a registered function"
        elif self.function is not None and not rules.allows(self.function):
            problem = f"{self.function} is not registered; add it to `python.functions` in modelbridge.yaml"
        elif self.memory_mb > rules.max_memory_mb:
            problem = f"memory_mb is above the {rules.max_memory_mb} that `python.max_memory_mb` allows"
        elif seconds(self.timeout) > rules.max_timeout_s:
            problem = f"timeout is above the {rules.max_timeout_s:g} s that `python.max_timeout_s` allows"
        if problem is not None:
            raise NodeError(f"python: {problem}", error_class="invalid_request")

    def _result(self, ended: Finished) -> JsonValue:
        answer = ended.answer
        if "refused" in answer:
            raise NodeError(f"python: refused to run: {answer['refused']}")
        if "failed" in answer:
            trace = f"\n{answer['trace']}" if answer.get("trace") else ""
            raise NodeError(f"python: {answer['failed']}{trace}", error_class="user")
        if "no_json" in answer:
            raise NodeError(f"python: the result is no JSON: {answer['no_json']}", error_class="schema_violation")
        if "result" not in answer:
            raise NodeError(f"python: {_death(ended.exit_code)} before it gave a result", error_class="user")
        result = answer["result"]
        problem = schema_problem(result, cast("JsonObject", self.result_schema)) if self.result_schema else None
        if problem is not None:
            raise NodeError(f"python: the result does not fit: {problem}", error_class="schema_violation")
        return result


def _death(exit_code: int) -> str:
    if exit_code >= 0:
        return f"the process ended with code {exit_code}"
    return f"the process was ended by {signal.Signals(-exit_code).name}"
