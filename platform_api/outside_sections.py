"""Sections of modelbridge.yaml that say what flows may use: databases."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints

EntryName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]


class Entry(BaseModel):
    """Base of entries: immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class DatabaseEntry(Entry):
    """A database that `sql` steps of every organisation may name."""

    url: SecretStr = Field(description="postgresql://user:password@host/name, or sqlite:///file.db beside this file.")
    write: bool = Field(default=False, description="Steps that say `write: true` may change it.")
