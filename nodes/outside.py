"""What nodes may use beyond the engine, as the operator configured it: nothing of it is there unless it is named."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from bridge.json_types import JsonObject, JsonValue
from nodes.artifacts import ArtifactStore, NoArtifactStore
from nodes.channels import Channel, MailServer
from nodes.errors import NodeError
from nodes.mcp_servers import McpServer
from nodes.vector_index import NoVectorIndex, VectorIndex


class Secrets(Protocol):
    """Values that flows read as `secrets.NAME`; implemented over the settings and over the platform's database."""

    async def of(self, org_id: str, names: Collection[str]) -> Mapping[str, str]:
        """Those of the organisation's secrets that there are, by name."""
        ...


class NoSecrets:
    """Where there are none."""

    async def of(self, org_id: str, names: Collection[str]) -> Mapping[str, str]:
        del org_id, names
        return {}


@dataclass(frozen=True, slots=True)
class PythonRules:
    """What the python node may run. By default nothing."""

    allow_source: bool = False
    """Whether flows may bring code of their own."""
    functions: frozenset[str] = frozenset()
    """`module:function`, or `module` for all of its functions."""
    folders: tuple[str, ...] = ()
    """Where such modules are looked for before the installed ones."""
    max_memory_mb: int = 1024
    max_timeout_s: float = 600.0
    max_result_bytes: int = 10 * 1024 * 1024
    max_stdout_bytes: int = 64 * 1024
    """What is printed beyond is dropped."""

    def allows(self, function: str) -> bool:
        """May `module:function` be called?"""
        return function in self.functions or function.partition(":")[0] in self.functions


@dataclass(frozen=True, slots=True)
class SqlQuery:
    """One statement for one database. `connection` is a name of the operator's, or an address."""

    connection: str = field(repr=False)
    text: str
    params: Mapping[str, JsonValue]
    max_rows: int
    may_write: bool
    timeout_s: float


@dataclass(frozen=True, slots=True)
class SqlRows:
    """What a statement gave: rows as JSON, and how many, or how many it changed."""

    rows: list[JsonObject]
    count: int


class Databases(Protocol):
    """Runs statements; implemented over database drivers by the platform."""

    async def run(self, query: SqlQuery) -> SqlRows:
        """Raises NodeError."""
        ...


class NoDatabases:
    """Where none can be reached."""

    async def run(self, query: SqlQuery) -> SqlRows:
        raise NodeError("sql: this process reaches no databases", error_class="invalid_request")


@dataclass(frozen=True, slots=True)
class Outside:
    """Everything of that kind in one process."""

    python: PythonRules = field(default_factory=PythonRules)
    secrets: Secrets = field(default_factory=NoSecrets)
    databases: Databases = field(default_factory=NoDatabases)
    channels: Mapping[str, Channel] = field(default_factory=dict[str, Channel])
    mail: MailServer | None = None
    mcp_servers: Mapping[str, McpServer] = field(default_factory=dict[str, McpServer])
    vectors: VectorIndex = field(default_factory=NoVectorIndex)
    artifacts: ArtifactStore = field(default_factory=NoArtifactStore)
