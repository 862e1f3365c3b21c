from dataclasses import replace

import pytest

from platform_api.security.encryption import Envelope, Place
from platform_api.security.root_secret import SealError

ROOT = b"r" * 32
PLACE = Place(org_id="org-1", table="secrets", row_id="row-1", field="sealed")


def test_what_was_sealed_opens_in_its_place() -> None:
    sealed = Envelope(ROOT).seal("schlüssel".encode(), PLACE)

    assert Envelope(ROOT).open(sealed, PLACE) == "schlüssel".encode()
    assert "schlüssel".encode() not in sealed


def test_the_same_value_is_never_sealed_twice_alike() -> None:
    envelope = Envelope(ROOT)

    assert envelope.seal(b"v", PLACE) != envelope.seal(b"v", PLACE)


@pytest.mark.parametrize("field", ["org_id", "table", "row_id", "field"])
def test_a_value_moved_to_another_place_does_not_open(field: str) -> None:
    sealed = Envelope(ROOT).seal(b"value", PLACE)

    with pytest.raises(SealError, match="another place"):
        Envelope(ROOT).open(sealed, replace(PLACE, **{field: "other"}))


def test_another_root_secret_is_told_apart_from_altered_bytes() -> None:
    sealed = Envelope(ROOT).seal(b"value", PLACE)

    with pytest.raises(SealError, match="another root secret"):
        Envelope(b"s" * 32).open(sealed, PLACE)
    for place in (20, 50, 80, len(sealed) - 1):
        altered = bytearray(sealed)
        altered[place] ^= 1
        with pytest.raises(SealError, match="altered"):
            Envelope(ROOT).open(bytes(altered), PLACE)


@pytest.mark.parametrize("sealed", [b"", b"\x01short", b"\x02" + b"0" * 120])
def test_what_is_no_sealed_value_is_refused(sealed: bytes) -> None:
    with pytest.raises(SealError, match="cut off"):
        Envelope(ROOT).open(sealed, PLACE)
