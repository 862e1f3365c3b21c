"""A query over a database that the operator named, or whose address is a secret of the organisation."""

from typing import Annotated, ClassVar, Self

from pydantic import Field, field_validator, model_validator

from nodes.context import NodeContext
from nodes.durations import seconds
from nodes.node import AnyJson, Node, NodeOutput, node_type
from nodes.outside import SqlQuery
from nodes.sql_params import check_names

MAX_ROWS = 10_000
LONGEST_S = 600.0


class SqlOutput(NodeOutput):
    """What the query gave."""

    rows: list[dict[str, AnyJson]] = Field(description="Each row as a map by column.")
    count: int = Field(ge=0, description="How many rows it gave; of a statement that gives none, how many it changed.")


@node_type("sql")
class SqlNode(Node[SqlOutput]):
    """Run one SQL statement with bound values, in a transaction that can only read unless `write` says otherwise.

    SQLite and PostgreSQL. Dates and times come as ISO text, decimals and UUIDs as text (exact), binary as base64,
    JSON as it is, numbers that JSON lacks (NaN) as null. More than `max_rows` rows, or two columns of one name, fail
    the step: nothing is cut off silently.
    """

    output_type = SqlOutput
    is_replayable = False
    code_fields: ClassVar[frozenset[str]] = frozenset({"query"})
    secret_fields: ClassVar[frozenset[str]] = frozenset({"connection"})

    connection: Annotated[str, Field(min_length=1, max_length=2_000)] = Field(
        description="A name under `databases` in modelbridge.yaml, or a secret: `postgresql://user:password@host/name`."
    )
    query: Annotated[str, Field(min_length=1, max_length=100_000)] = Field(
        description="One statement; values stand in it as `:name`. A list becomes `(…)`: `WHERE id IN :ids`."
    )
    params: dict[str, AnyJson] = Field(default_factory=dict, description="The values, by name.")
    max_rows: int = Field(default=1_000, ge=1, le=MAX_ROWS, description="More rows fail the step.")
    write: bool = Field(default=False, description="Changes are kept. The operator's entry must allow it as well.")
    timeout: str = Field(default="30s", description="Longest time, connecting included; at most 10m.")

    @field_validator("timeout")
    @classmethod
    def _is_duration(cls, value: str) -> str:
        if not 0 < seconds(value) <= LONGEST_S:
            raise ValueError(f"the time must be longer than nothing and at most {LONGEST_S:g} s")
        return value

    @model_validator(mode="after")
    def _reads_its_params(self) -> Self:
        check_names(self.query, self.params)
        return self

    async def run(self, context: NodeContext) -> SqlOutput:
        """Run the statement once. Raises NodeError: a mistake in it is `invalid_request`."""
        found = await context.outside.databases.run(
            SqlQuery(
                connection=self.connection,
                text=self.query,
                params=self.params,
                max_rows=self.max_rows,
                may_write=self.write,
                timeout_s=seconds(self.timeout),
            )
        )
        return SqlOutput.model_validate({"rows": found.rows, "count": found.count})
