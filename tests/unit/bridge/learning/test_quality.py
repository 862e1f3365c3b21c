from bridge.catalog.entries import ModelEntry
from bridge.learning.quality import PriorQuality


def test_the_prior_is_the_catalogues_tier_for_every_task() -> None:
    entry = ModelEntry("p/m", "p", "m", quality=0.7)
    estimate = PriorQuality().estimate("org", "task", entry)

    assert estimate is not None
    assert (estimate.lower_bound, estimate.n_scores, estimate.source) == (0.7, 0, "prior")


def test_what_nobody_rated_is_unknown() -> None:
    assert PriorQuality().estimate("org", "task", ModelEntry("p/m", "p", "m")) is None
