"""Artifacts in this process: for tests of nodes and of the engine."""

import hashlib

from nodes.artifacts import MissingArtifactError


class MemoryArtifacts:
    """ArtifactStore in dictionaries. `contents` is what was stored, by organisation and handle."""

    def __init__(self) -> None:
        self.contents: dict[tuple[str, str], bytes] = {}
        self._names: dict[tuple[str, str], str] = {}

    async def put(self, org_id: str, content: bytes) -> str:
        handle = f"sha256:{hashlib.sha256(content).hexdigest()}"
        self.contents[org_id, handle] = content
        return handle

    async def get(self, org_id: str, handle: str) -> bytes:
        if (org_id, handle) not in self.contents:
            raise MissingArtifactError(f"there is no artifact {handle}")
        return self.contents[org_id, handle]

    async def set_name(self, org_id: str, name: str, handle: str) -> None:
        self._names[org_id, name] = handle

    async def named(self, org_id: str, name: str) -> str | None:
        return self._names.get((org_id, name))
