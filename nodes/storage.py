"""Keep a value under a name, and get it again: in this run, a later one, or another flow."""

import json
from typing import Self, cast

from pydantic import Field, model_validator

from bridge.json_types import JsonObject, JsonValue
from nodes.artifacts import HANDLE, MAX_ARTIFACT_BYTES, MissingArtifactError, name_problem
from nodes.context import NodeContext
from nodes.errors import InvalidInputError
from nodes.node import AnyJson, Node, NodeOutput, node_type


class StorageOutput(NodeOutput):
    """The value, and what it can be got by for ever."""

    value: AnyJson
    handle: str = Field(description="`sha256:...` of the value: `get` it and it is this very value.")


@node_type("storage")
class StorageNode(Node[StorageOutput]):
    """Keep any JSON value in the organisation's artifacts, or get it.

    `put` lets a name point at the value; what the name pointed at before stays under its handle. `get` takes a name
    or a handle. Names are paths as `reports/2026/may.json`; they begin at the organisation and cannot leave it.
    """

    output_type = StorageOutput
    is_replayable = False

    put: str | None = Field(default=None, description="The name to keep `value` under.")
    get: str | None = Field(default=None, description="A name or a handle.")
    value: AnyJson = Field(default=None, description="What is kept; at most 64 MiB as JSON.")

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.put is None) == (self.get is None):
            raise ValueError("give either put or get")
        if self.get is not None and "value" in self.model_fields_set:
            raise ValueError("value goes with put")
        name = self.put if self.put is not None else self.get
        problem = None if name is None or (self.get and HANDLE.fullmatch(name)) else name_problem(name)
        if problem:
            raise ValueError(problem)
        return self

    @classmethod
    def fake(cls, raw: JsonObject) -> JsonObject:
        """What is put comes back; what is got is null."""
        return {"value": raw.get("value") if "put" in raw else None, "handle": f"sha256:{'0' * 64}"}

    async def run(self, context: NodeContext) -> StorageOutput:
        """Keep or get.

        Raises:
            MissingArtifactError: Nothing has that name or handle.
            ArtifactsUnavailableError: The store does not answer.
            InvalidInputError: The value is too big.
        """
        artifacts, org_id = context.outside.artifacts, context.call.org_id
        if self.put is not None:
            content = json.dumps(self.value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
            if len(content) > MAX_ARTIFACT_BYTES:
                raise InvalidInputError(f"storage: the value has {len(content)} bytes, at most {MAX_ARTIFACT_BYTES}")
            handle = await artifacts.put(org_id, content)
            await artifacts.set_name(org_id, self.put, handle)
            return StorageOutput(value=self.value, handle=handle)
        wanted = self.get or ""
        found = wanted if HANDLE.fullmatch(wanted) else await artifacts.named(org_id, wanted)
        if found is None:
            raise MissingArtifactError(f"storage: nothing has the name {wanted}")
        return StorageOutput.model_validate(
            {"value": _parsed(await artifacts.get(org_id, found), wanted), "handle": found}
        )


def _parsed(content: bytes, wanted: str) -> JsonValue:
    try:
        return cast("JsonValue", json.loads(content))
    except ValueError as error:
        raise MissingArtifactError(f"storage: {wanted} is no JSON value") from error
