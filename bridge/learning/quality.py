"""How good a model is at a task: the port that own scores come through, and the catalogue's priors."""

from typing import Protocol

from bridge.catalog.entries import ModelEntry
from bridge.decision import QualityEstimate


class QualitySource(Protocol):
    """Who knows the scores of a tenant. Called on the hot path: answers from memory."""

    def estimate(self, org_id: str, task: str, entry: ModelEntry) -> QualityEstimate | None:
        """None: nothing is known, not even a prior."""
        ...


class PriorQuality:
    """The catalogue's tier for every task, until there are scores."""

    def estimate(self, org_id: str, task: str, entry: ModelEntry) -> QualityEstimate | None:
        del org_id, task
        return None if entry.quality is None else QualityEstimate(entry.quality, entry.quality)
