"""The artifacts of the engine's tests against the suite that every store must pass."""

import pytest

from tests.contract.artifact_store_suite import ArtifactStoreSuite
from tests.support.memory_artifacts import MemoryArtifacts


class TestMemoryArtifacts(ArtifactStoreSuite):
    @pytest.fixture
    def artifacts(self) -> MemoryArtifacts:
        return MemoryArtifacts()
