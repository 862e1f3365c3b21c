"""The port to an organisation's artifacts: bytes known by their content, and names that point at them."""

import re
from typing import Protocol

from nodes.errors import NodeError

MAX_ARTIFACT_BYTES = 64 * 1024 * 1024
HANDLE = re.compile(r"sha256:[0-9a-f]{64}")
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(?:/[A-Za-z0-9_][A-Za-z0-9._-]*)*")
MAX_NAME_CHARS = 512


class MissingArtifactError(NodeError):
    """There is no such artifact of this organisation, or what is there is not what was stored."""

    def __init__(self, message: str) -> None:
        super().__init__(message, error_class="invalid_request")


class ArtifactsUnavailableError(NodeError):
    """The store could not be reached, or refused; trying again may help."""

    def __init__(self, message: str) -> None:
        super().__init__(message, error_class="unavailable")


class ArtifactStore(Protocol):
    """Artifacts of all organisations; an organisation reaches only its own.

    Every method may raise ArtifactsUnavailableError.
    """

    async def put(self, org_id: str, content: bytes) -> str:
        """Keep the content; its handle `sha256:HEX`. Equal content is kept once. At most MAX_ARTIFACT_BYTES."""
        ...

    async def get(self, org_id: str, handle: str) -> bytes:
        """The content, unchanged. Raises MissingArtifactError."""
        ...

    async def set_name(self, org_id: str, name: str, handle: str) -> None:
        """Let `name` point at the artifact, whatever it pointed at before."""
        ...

    async def named(self, org_id: str, name: str) -> str | None:
        """The handle that `name` points at; None when nothing has that name."""
        ...


class NoArtifactStore:
    """Where there is none: everything says so."""

    async def put(self, org_id: str, content: bytes) -> str:
        del org_id, content
        raise _none()

    async def get(self, org_id: str, handle: str) -> bytes:
        del org_id, handle
        raise _none()

    async def set_name(self, org_id: str, name: str, handle: str) -> None:
        del org_id, name, handle
        raise _none()

    async def named(self, org_id: str, name: str) -> str | None:
        del org_id, name
        raise _none()


def name_problem(name: str) -> str | None:
    """Why this is no name of an artifact; None when it is one. No name leads out of its organisation."""
    if len(name) > MAX_NAME_CHARS:
        return f"a name has at most {MAX_NAME_CHARS} characters"
    if NAME.fullmatch(name) is None:
        return (
            f"{name[:80]!r} is no name: letters, digits, `.`, `_`, `-` in parts joined by `/`, each beginning with a "
            "letter, a digit or `_`"
        )
    return None


def _none() -> NodeError:
    return NodeError("this process was given no artifact store", error_class="invalid_request")
