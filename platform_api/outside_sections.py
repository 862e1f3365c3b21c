"""Sections of modelbridge.yaml that say what flows may use: databases, channels."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints

EntryName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]


class Entry(BaseModel):
    """Base of entries: immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


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
