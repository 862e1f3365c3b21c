"""What counts as personal data, what only looks like it, and where it stands."""

import pytest

from nodes.findings import PlainText, masked
from nodes.personal_data import PersonalKind, is_iban, is_luhn, personal_data


def shown(text: str, *kinds: PersonalKind) -> str:
    plain = PlainText.of(text)
    return masked(text, personal_data(plain, kinds) if kinds else personal_data(plain))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mail ann.o'neil+x@sub.example.co.uk.", "mail [EMAIL]."),
        ("<ann@example.com>, bob@example.org", "<[EMAIL]>, [EMAIL]"),
        ("call +49 (0)30 1234-5678 today", "call [PHONE] today"),
        ("(212) 555-0199 or 212-555-0199", "[PHONE] or [PHONE]"),
        ("Tel. 030/12345678", "Tel. [PHONE]"),
        ("IBAN DE89 3704 0044 0532 0130 00 please", "IBAN [IBAN] please"),
        ("gb82west12345698765432", "[IBAN]"),
        ("4111 1111 1111 1111, 378282246310005", "[CARD], [CARD]"),
        ("ssn 123-45-6789.", "ssn [SSN]."),
        ("from 10.0.0.1, 2001:db8::8a2e:370:7334", "from [IP], [IP]"),
        ("key sk-ant-api03-abcdefghijklmnopqrstuvwxyz", "key [API_KEY]"),
        ("AKIAIOSFODNN7EXAMPLE and ghp_" + "a1" * 18, "[API_KEY] and [API_KEY]"),
        ("sk_" + "live_" + "4eC39HqLyjWDarjtT1zdp7dc", "[API_KEY]"),
        ("mb_live_" + "a" * 46, "[API_KEY]"),
        ("Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmN", "Bearer [API_KEY]"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIEow==\n-----END RSA PRIVATE KEY-----", "[API_KEY]"),
    ],
)
def test_personal_data_is_found_where_it_stands(text: str, expected: str) -> None:
    assert shown(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "on 2026-11-30 at 12:30:15, version 1.2.3, order 20261130-4711",
        "DE88 3704 0044 0532 0130 00",  # the check digits are wrong
        "4111 1111 1111 1112",  # Luhn
        "9111 1111 1111 1111",  # nobody issues it
        "000-12-3456 and 666-12-3456",
        "999.1.1.1 and std::vector a::b",
        "user@localhost, @handle, a@b",
        "sk-short, AKIA1234",
        "1,234,567.89 of 1234567890123 items",
    ],
)
def test_what_only_looks_like_it_is_left_alone(text: str) -> None:
    assert shown(text) == text


def test_full_width_digits_and_invisible_characters_hide_nothing() -> None:
    text = "karte \uff14\uff11\uff11\uff11\u200b1111 1111\u2060 1111!"
    [found] = personal_data(PlainText.of(text))

    assert (found.kind, text[found.start : found.end]) == ("card", text[6:-1])


def test_only_the_kinds_asked_for_are_found() -> None:
    assert shown("ann@example.com 10.0.0.1", "ip") == "ann@example.com [IP]"


def test_a_place_is_claimed_once_by_what_has_check_digits_first() -> None:
    [found] = personal_data(PlainText.of("4111-1111-1111-1111"))

    assert found.kind == "card"


@pytest.mark.parametrize(
    ("digits", "is_right"),
    [("4111111111111111", True), ("4111111111111112", False), ("0", True), ("79927398713", True)],
)
def test_luhn(digits: str, is_right: bool) -> None:
    assert is_luhn(digits) is is_right


@pytest.mark.parametrize(
    ("letters", "is_right"),
    [("DE89370400440532013000", True), ("DE8937040044053201300", False), ("NO9386011117947", True), ("XX00", False)],
)
def test_an_iban_has_its_countrys_length_and_check_digits(letters: str, is_right: bool) -> None:
    assert is_iban(letters) is is_right


@pytest.mark.parametrize(
    "text", ["a" * 100_000, "1" * 100_000, "1 " * 50_000, "a." * 50_000, "eyJ" * 30_000, ":" * 99_999]
)
def test_long_monotonous_texts_hold_nothing_and_take_no_quadratic_time(text: str) -> None:
    assert personal_data(PlainText.of(text)) == []
