"""Where cloud regions are: coordinates, distances, and whether one lies inside another.

A name is a cloud region (`eu-west-1`, `europe-west4`, `westeurope`), a country (`de`) or an area (`eu`, `us`, `apac`).
Sources: the region lists of AWS, Google Cloud and Azure; coordinates of the named city, good to some 50 km.
"""

import math
from dataclasses import dataclass
from functools import cache, lru_cache

EARTH_RADIUS_KM = 6371.0

EU_CODES = "at be bg hr cy cz dk ee fi fr de gr hu ie it lv lt lu mt nl pl pt ro sk si es se"
EU = frozenset(EU_CODES.split())
EUROPE = EU | {"gb", "ch", "no"}
NORTH_AMERICA = frozenset({"us", "ca", "mx"})
SOUTH_AMERICA = frozenset({"br", "cl"})
ASIA = frozenset({"jp", "kr", "in", "sg", "hk", "tw", "id", "my", "th", "cn"})
OCEANIA = frozenset({"au", "nz"})
MIDDLE_EAST = frozenset({"ae", "bh", "il", "qa", "sa"})
AFRICA = frozenset({"za"})

AREAS: dict[str, tuple[frozenset[str], float, float]] = {
    "eu": (EU, 50.1, 8.7),
    "europe": (EUROPE, 50.1, 8.7),
    "emea": (EUROPE | MIDDLE_EAST | AFRICA, 50.1, 8.7),
    "na": (NORTH_AMERICA, 39.1, -94.6),
    "america": (NORTH_AMERICA | SOUTH_AMERICA, 39.1, -94.6),
    "latam": (SOUTH_AMERICA | {"mx"}, -23.5, -46.6),
    "asia": (ASIA, 1.3, 103.8),
    "apac": (ASIA | OCEANIA, 1.3, 103.8),
    "ap": (ASIA | OCEANIA, 1.3, 103.8),
    "oceania": (OCEANIA, -33.9, 151.2),
    "me": (MIDDLE_EAST, 25.2, 55.3),
    "africa": (AFRICA, -26.2, 28.0),
}
"""Name -> its countries and the place that distances count from. `sa`, the country, is not South America here."""

COUNTRIES = """
us 39.1 -94.6, ca 45.5 -73.6, mx 20.6 -100.4, br -23.5 -46.6, cl -33.4 -70.7, gb 51.5 -0.1, ie 53.3 -6.3,
fr 48.9 2.4, de 50.1 8.7, nl 52.4 4.9, be 50.4 3.8, ch 47.4 8.5, at 48.2 16.4, it 45.5 9.2, es 40.4 -3.7,
pt 38.7 -9.1, pl 52.2 21.0, cz 50.1 14.4, se 59.3 18.1, no 59.9 10.8, dk 55.7 12.6, fi 60.2 24.9, gr 38.0 23.7,
hu 47.5 19.0, ro 44.4 26.1, bg 42.7 23.3, hr 45.8 16.0, sk 48.1 17.1, si 46.1 14.5, ee 59.4 24.8, lv 56.9 24.1,
lt 54.7 25.3, lu 49.6 6.1, mt 35.9 14.5, cy 35.2 33.4, jp 35.7 139.7, kr 37.6 127.0, in 19.1 72.9, sg 1.3 103.8,
hk 22.3 114.2, tw 25.0 121.5, id -6.2 106.8, my 3.1 101.7, th 13.8 100.5, cn 39.9 116.4, au -33.9 151.2,
nz -36.8 174.8, ae 25.2 55.3, bh 26.2 50.6, il 32.1 34.8, qa 25.3 51.5, sa 24.7 46.7, za -26.2 28.0
"""
REGIONS = """
us-east-1 us 38.9 -77.5, us-east-2 us 40.0 -83.0, us-west-1 us 37.4 -121.9, us-west-2 us 45.8 -119.7,
us-gov-east-1 us 40.0 -83.0, us-gov-west-1 us 45.8 -119.7, ca-central-1 ca 45.5 -73.6, ca-west-1 ca 51.0 -114.1,
mx-central-1 mx 20.6 -100.4, sa-east-1 br -23.5 -46.6, eu-west-1 ie 53.3 -6.3, eu-west-2 gb 51.5 -0.1,
eu-west-3 fr 48.9 2.4, eu-central-1 de 50.1 8.7, eu-central-2 ch 47.4 8.5, eu-north-1 se 59.3 18.1,
eu-south-1 it 45.5 9.2, eu-south-2 es 41.6 -0.9, af-south-1 za -33.9 18.4, me-south-1 bh 26.2 50.6,
me-central-1 ae 25.2 55.3, il-central-1 il 32.1 34.8, ap-south-1 in 19.1 72.9, ap-south-2 in 17.4 78.5,
ap-southeast-1 sg 1.3 103.8, ap-southeast-2 au -33.9 151.2, ap-southeast-3 id -6.2 106.8,
ap-southeast-4 au -37.8 145.0, ap-southeast-5 my 3.1 101.7, ap-southeast-7 th 13.8 100.5,
ap-northeast-1 jp 35.7 139.7, ap-northeast-2 kr 37.6 127.0, ap-northeast-3 jp 34.7 135.5, ap-east-1 hk 22.3 114.2,
cn-north-1 cn 39.9 116.4, cn-northwest-1 cn 37.5 105.2,
us-central1 us 41.3 -95.9, us-east1 us 33.2 -80.0, us-east4 us 39.0 -77.5, us-east5 us 40.0 -83.0,
us-south1 us 32.8 -96.8, us-west1 us 45.6 -121.2, us-west2 us 34.1 -118.2, us-west3 us 40.8 -111.9,
us-west4 us 36.2 -115.1, northamerica-northeast1 ca 45.5 -73.6, northamerica-northeast2 ca 43.7 -79.4,
northamerica-south1 mx 20.6 -100.4, southamerica-east1 br -23.5 -46.6, southamerica-west1 cl -33.4 -70.7,
europe-west1 be 50.4 3.8, europe-west2 gb 51.5 -0.1, europe-west3 de 50.1 8.7, europe-west4 nl 53.4 6.8,
europe-west6 ch 47.4 8.5, europe-west8 it 45.5 9.2, europe-west9 fr 48.9 2.4, europe-west10 de 52.5 13.4,
europe-west12 it 45.1 7.7, europe-north1 fi 60.6 27.2, europe-north2 se 59.3 18.1, europe-central2 pl 52.2 21.0,
europe-southwest1 es 40.4 -3.7, asia-east1 tw 24.1 120.5, asia-east2 hk 22.3 114.2, asia-northeast1 jp 35.7 139.7,
asia-northeast2 jp 34.7 135.5, asia-northeast3 kr 37.6 127.0, asia-south1 in 19.1 72.9, asia-south2 in 28.6 77.2,
asia-southeast1 sg 1.3 103.8, asia-southeast2 id -6.2 106.8, australia-southeast1 au -33.9 151.2,
australia-southeast2 au -37.8 145.0, me-west1 il 32.1 34.8, me-central1 qa 25.3 51.5, me-central2 sa 26.4 50.1,
africa-south1 za -26.2 28.0,
eastus us 37.4 -79.8, eastus2 us 36.7 -78.4, centralus us 41.6 -93.6, northcentralus us 41.9 -87.6,
southcentralus us 29.4 -98.5, westcentralus us 41.1 -104.8, westus us 37.8 -122.4, westus2 us 47.2 -119.9,
westus3 us 33.4 -112.1, canadacentral ca 43.7 -79.4, canadaeast ca 46.8 -71.2, mexicocentral mx 20.6 -100.4,
brazilsouth br -23.5 -46.6, northeurope ie 53.3 -6.3, westeurope nl 52.4 4.9, uksouth gb 51.5 -0.1,
ukwest gb 51.5 -3.2, francecentral fr 48.9 2.4, francesouth fr 43.8 2.1, germanywestcentral de 50.1 8.7,
germanynorth de 53.1 8.8, switzerlandnorth ch 47.4 8.5, switzerlandwest ch 46.2 6.1, swedencentral se 60.7 17.1,
norwayeast no 59.9 10.8, italynorth it 45.5 9.2, spaincentral es 40.4 -3.7, polandcentral pl 52.2 21.0,
austriaeast at 48.2 16.4, southafricanorth za -26.2 28.0, uaenorth ae 25.2 55.3, qatarcentral qa 25.3 51.5,
israelcentral il 32.1 34.8, centralindia in 18.5 73.9, southindia in 13.1 80.3, westindia in 19.1 72.9,
eastasia hk 22.3 114.2, southeastasia sg 1.3 103.8, japaneast jp 35.7 139.7, japanwest jp 34.7 135.5,
koreacentral kr 37.6 127.0, koreasouth kr 35.2 129.1, australiaeast au -33.9 151.2, australiasoutheast au -37.8 145.0,
australiacentral au -35.3 149.1, newzealandnorth nz -36.8 174.8, indonesiacentral id -6.2 106.8,
malaysiawest my 3.1 101.7
"""
OTHER_WORDS = {"uk": "gb", "usa": "us", "australia": "au", "northamerica": "na", "southamerica": "latam"}


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is. An area has several countries, everything else one."""

    countries: frozenset[str]
    latitude: float
    longitude: float
    is_point: bool
    """One data centre's region, not a whole country or area."""


def located(name: str) -> Place | None:
    """The place called `name`, in any case and with `_` or blanks for `-`; None when nobody knows it."""
    plain = name.strip().lower().replace("_", "-").replace(" ", "-")
    plain = OTHER_WORDS.get(plain, plain)
    return _places().get(plain) or _places().get(plain.replace("-", ""))


@lru_cache(maxsize=10_000)
def distance_km(one: str, other: str) -> float | None:
    """Along the great circle, 0 inside one another; None when a place is unknown.

    Source: Sinnott, "Virtues of the Haversine" (1984).
    """
    if one == other:
        return 0.0
    here, there = located(one), located(other)
    if here is None or there is None:
        return None
    if is_within(one, other) or is_within(other, one):
        return 0.0
    up = math.radians(there.latitude - here.latitude)
    along = math.radians(there.longitude - here.longitude)
    shrunk = math.cos(math.radians(here.latitude)) * math.cos(math.radians(there.latitude))
    half_chord = math.sin(up / 2) ** 2 + shrunk * math.sin(along / 2) ** 2
    return 2 * EARTH_RADIUS_KM * math.asin(min(1.0, math.sqrt(half_chord)))


@lru_cache(maxsize=10_000)
def is_within(name: str, area: str) -> bool:
    """Does everything in `name` lie in `area`? The same name does, known or not; of two regions neither does, not
    even in one city: a government's cloud shares its city with the public one.
    """
    if name.strip().lower() == area.strip().lower():
        return True
    inner, outer = located(name), located(area)
    if inner is None or outer is None or outer.is_point:
        return False
    return inner.countries <= outer.countries


@cache
def _places() -> dict[str, Place]:
    found: dict[str, Place] = {}
    for line in REGIONS.split(","):
        name, country, latitude, longitude = line.split()
        found[name] = Place(frozenset({country}), float(latitude), float(longitude), is_point=True)
    for line in COUNTRIES.split(","):
        name, latitude, longitude = line.split()
        found[name] = Place(frozenset({name}), float(latitude), float(longitude), is_point=False)
    for name, (countries, latitude, longitude) in AREAS.items():
        found[name] = Place(countries, latitude, longitude, is_point=False)
    return found
