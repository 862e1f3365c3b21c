"""Sections of modelbridge.yaml that say what flows may use: databases, channels, MCP servers."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints, model_validator

EntryName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]


class Entry(BaseModel):
    """Base of entries: immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ArtifactsSection(Entry):
    """Where big outputs of steps and what `storage` keeps lie. All processes of a platform need the same place."""

    url: str | None = Field(
        default=None, description="file:///folder, or s3://bucket/prefix; None: a folder of MODELBRIDGE_HOME."
    )
    options: dict[str, SecretStr] = Field(
        default_factory=dict[str, SecretStr],
        description="For S3: aws_access_key_id, aws_secret_access_key, aws_region, aws_endpoint, ...",
    )


class DatabaseEntry(Entry):
    """A database that `sql` steps of every organisation may name."""

    url: SecretStr = Field(description="postgresql://user:password@host/name, or sqlite:///file.db beside this file.")
    write: bool = Field(default=False, description="Steps that say `write: true` may change it.")


Address = Annotated[str, StringConstraints(pattern=r"^[^\s@<>,;]+@[^\s@<>,;]+$", max_length=320)]


class EmailEntry(Entry):
    """Mail to fixed people, through MODELBRIDGE_SMTP_URL."""

    type: Literal["email"]
    to: tuple[Address, ...] = Field(min_length=1, max_length=50)
    subject: str = Field(default="A message from a flow", min_length=1, max_length=200)


class WebEntry(Entry):
    """A Slack-compatible webhook, or one that takes `{id, text, flow, run_id, step}`. It may be anywhere."""

    type: Literal["slack", "webhook"]
    url: SecretStr
    headers: dict[str, SecretStr] = Field(default_factory=dict[str, SecretStr])


ChannelEntry = Annotated[EmailEntry | WebEntry, Field(discriminator="type")]


class McpEntry(Entry):
    """An MCP server that `mcp` and `agent` steps of every organisation may use. It may be anywhere."""

    command: tuple[str, ...] = Field(default=(), description="A program and its arguments, started for each session.")
    env: dict[str, SecretStr] = Field(default_factory=dict[str, SecretStr], description="Its environment, beside PATH.")
    folder: str | None = Field(default=None, description="Where the program starts.")
    url: str | None = Field(default=None, pattern=r"^https?://[^\s]+$", description="Or: its streamable HTTP address.")
    headers: dict[str, SecretStr] = Field(default_factory=dict[str, SecretStr])

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if bool(self.command) == (self.url is not None):
            raise ValueError("give either command or url")
        return self
