import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from platform_api.security.credentials import (
    BASE62,
    KEY_PATTERN,
    Passwords,
    is_api_key,
    make_api_key,
    make_token,
    password_problem,
    secret_hash,
    successor_token,
)

KEY = make_api_key().text


def test_a_new_key_has_its_form_and_its_checksum() -> None:
    for kind in ("live", "test"):
        made = make_api_key(kind)
        assert KEY_PATTERN.fullmatch(made.text)
        assert is_api_key(made.text)
        assert made.key_hash == secret_hash(made.text)
        assert made.text.startswith(made.prefix)
        assert made.text.endswith(made.last_four)


@given(st.integers(min_value=8, max_value=len(KEY) - 1), st.sampled_from(BASE62))
def test_one_wrong_character_is_noticed(place: int, character: str) -> None:
    changed = KEY[:place] + character + KEY[place + 1 :]

    assert is_api_key(changed) == (changed == KEY)


@given(st.text(alphabet=string.printable, max_size=80))
def test_other_text_is_no_key(text: str) -> None:
    assert not is_api_key(text)


@pytest.mark.parametrize(
    "text",
    [KEY + "\n", f" {KEY}", KEY.upper(), KEY.replace("live", "demo"), KEY[:-1]],
    ids=["line end", "space", "capitals", "another kind", "too short"],
)
def test_a_key_with_anything_around_it_is_no_key(text: str) -> None:
    assert not is_api_key(text)


def test_a_successor_can_be_made_again_by_who_has_parent_and_secret_only() -> None:
    parent = make_token("mbr")

    child = successor_token(parent, b"k" * 32)

    assert child == successor_token(parent, b"k" * 32)
    assert child != successor_token(parent, b"x" * 32)
    assert child != successor_token(child, b"k" * 32)


@pytest.mark.parametrize(
    ("password", "is_taken"),
    [
        ("correct horse", True),
        ("1234567", False),
        ("12345678", False),
        ("Password", False),
        ("x" * 128, True),
        ("x" * 129, False),
        ("ﷺ" * 100, False),
        ("with\x00nul inside", False),
        ("ann@example.com", False),
        ("        x", True),
    ],
)
def test_passwords_are_judged_by_length_and_the_obvious_only(password: str, is_taken: bool) -> None:
    assert (password_problem(password, email="Ann@Example.com") is None) == is_taken


async def test_a_hash_verifies_its_password_and_no_other_and_weak_parameters_are_raised() -> None:
    weak, strong = Passwords(memory_kib=64), Passwords(memory_kib=128)
    stored = await weak.hash("correct horse")

    assert await weak.verify("correct horse", stored) == (True, None)
    assert await weak.verify("wrong horse", stored) == (False, None)
    assert await weak.verify("correct horse", None) == (False, None)
    is_right, better = await strong.verify("correct horse", stored)
    assert is_right
    assert better is not None
    assert "m=128" in better
