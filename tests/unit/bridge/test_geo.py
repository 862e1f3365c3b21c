import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.geo import AREAS, distance_km, is_within, located

NAMES = ["eu", "us", "de", "eu-west-1", "us-east-1", "westeurope", "asia-east1", "apac", "ap-southeast-2", "za"]


@pytest.mark.parametrize("name", ["eu-west-1", "EU-WEST-1", "eu_west_1", " eu west 1 "])
def test_a_region_is_found_in_any_spelling(name: str) -> None:
    place = located(name)

    assert place is not None
    assert place.countries == {"ie"}
    assert place.is_point


def test_azure_names_are_found_with_blanks_and_words_for_countries_too() -> None:
    assert located("West Europe") == located("westeurope")
    assert located("UK") == located("gb")
    assert located("atlantis") is None


def test_distances_are_those_of_the_map() -> None:
    assert distance_km("eu-west-1", "us-east-1") == pytest.approx(5470, rel=0.02)
    assert distance_km("eu-central-1", "ap-southeast-2") == pytest.approx(16480, rel=0.02)
    assert distance_km("us-east-1", "us-east4") == pytest.approx(0, abs=30)
    assert distance_km("eu-west-1", "atlantis") is None


def test_what_lies_inside_is_no_way_off() -> None:
    assert distance_km("eu", "eu-west-1") == 0
    assert distance_km("eu-west-1", "ie") == 0


@given(st.sampled_from(NAMES), st.sampled_from(NAMES))
def test_distance_is_the_same_both_ways_and_never_more_than_half_around(one: str, other: str) -> None:
    there, back = distance_km(one, other), distance_km(other, one)

    assert there is not None
    assert back == pytest.approx(there)
    assert 0 <= there <= 20_016


def test_areas_hold_their_countries_and_regions() -> None:
    assert is_within("eu-west-1", "eu")
    assert is_within("germanywestcentral", "de")
    assert is_within("eu", "europe")
    assert is_within("sa-east-1", "latam")


def test_residency_is_not_stretched() -> None:
    assert not is_within("eu-west-2", "eu"), "London is not in the EU"
    assert not is_within("eu-central-2", "eu"), "neither is Zurich"
    assert not is_within("eu", "eu-west-1")
    assert not is_within("us-gov-east-1", "us-east-2"), "one city, two clouds"
    assert not is_within("atlantis", "eu")


def test_a_name_nobody_knows_is_within_itself_alone() -> None:
    assert is_within("on-premises", "on-premises")
    assert not is_within("on-premises", "cellar")


@pytest.mark.parametrize("name", sorted(AREAS))
def test_every_area_has_a_place_inside_the_world(name: str) -> None:
    place = located(name)

    assert place is not None
    assert -90 <= place.latitude <= 90
    assert -180 <= place.longitude <= 180
