"""The index of the nodes' tests against the suite that every index must pass."""

import pytest

from tests.contract.vector_index_suite import VectorIndexSuite
from tests.support.memory_index import MemoryVectorIndex


class TestMemoryVectorIndex(VectorIndexSuite):
    @pytest.fixture
    def index(self) -> MemoryVectorIndex:
        return MemoryVectorIndex()

    @pytest.fixture
    def org_id(self) -> str:
        return "one"

    @pytest.fixture
    def other_org_id(self) -> str:
        return "two"
