"""What every ArtifactStore must do. A test file gives `artifacts`, and inherits the suite."""

import hashlib

import pytest

from bridge.identifiers import new_id
from nodes.artifacts import ArtifactStore, MissingArtifactError


class ArtifactStoreSuite:
    """Inherit, and provide the fixture `artifacts`."""

    async def test_content_comes_back_by_its_hash(self, artifacts: ArtifactStore) -> None:
        org_id, content = new_id(), b"\x00\xff" * 50_000

        handle = await artifacts.put(org_id, content)

        assert handle == f"sha256:{hashlib.sha256(content).hexdigest()}"
        assert await artifacts.put(org_id, content) == handle
        assert await artifacts.get(org_id, handle) == content
        assert await artifacts.get(org_id, await artifacts.put(org_id, b"")) == b""

    async def test_a_name_points_at_the_last_artifact(self, artifacts: ArtifactStore) -> None:
        org_id = new_id()
        assert await artifacts.named(org_id, "a") is None

        for name in ("a", "a/b", "a/b/c.json", "a"):
            await artifacts.set_name(org_id, name, await artifacts.put(org_id, name.encode()))
        await artifacts.set_name(org_id, "a", await artifacts.put(org_id, b"second"))

        found = {name: await artifacts.named(org_id, name) for name in ("a", "a/b", "a/b/c.json", "b")}
        contents = {name: await artifacts.get(org_id, handle) for name, handle in found.items() if handle}
        assert contents == {"a": b"second", "a/b": b"a/b", "a/b/c.json": b"a/b/c.json"}

    async def test_an_organisation_reaches_only_its_own(self, artifacts: ArtifactStore) -> None:
        one, other = new_id(), new_id()
        handle = await artifacts.put(one, b"secret")
        await artifacts.set_name(one, "a", handle)

        assert await artifacts.named(other, "a") is None
        with pytest.raises(MissingArtifactError):
            await artifacts.get(other, handle)

    @pytest.mark.parametrize("handle", ["sha256:" + "0" * 64, "sha256:../x", "names/a", ""])
    async def test_what_is_not_there_is_told(self, artifacts: ArtifactStore, handle: str) -> None:
        with pytest.raises(MissingArtifactError):
            await artifacts.get(new_id(), handle)
