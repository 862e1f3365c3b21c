import pytest

from platform_api.security.root_secret import Sealer, SealError, derive_key

ROOT = b"r" * 32


def test_each_purpose_gets_a_key_of_its_own() -> None:
    assert derive_key(ROOT, "a") == derive_key(ROOT, "a")
    assert len({derive_key(ROOT, "a"), derive_key(ROOT, "b"), derive_key(b"x" * 32, "a")}) == 3


def test_what_is_sealed_opens_in_its_place_under_its_root_only() -> None:
    sealed = Sealer(ROOT, "p").seal(b"secret", "row-1")

    assert Sealer(ROOT, "p").open(sealed, "row-1") == b"secret"
    assert b"secret" not in sealed
    assert sealed != Sealer(ROOT, "p").seal(b"secret", "row-1")
    for sealer, place in (
        (Sealer(ROOT, "p"), "row-2"),
        (Sealer(ROOT, "q"), "row-1"),
        (Sealer(b"x" * 32, "p"), "row-1"),
    ):
        with pytest.raises(SealError):
            sealer.open(sealed, place)


def test_altered_bytes_do_not_open() -> None:
    sealed = Sealer(ROOT, "p").seal(b"secret", "row-1")

    for altered in (b"", sealed[:5], sealed[:-1], b"\x02" + sealed[1:], sealed[:-1] + bytes([sealed[-1] ^ 1])):
        with pytest.raises(SealError):
            Sealer(ROOT, "p").open(altered, "row-1")
