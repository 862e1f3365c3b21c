"""Personal data and secrets in a text, by their form and, where they have one, their check digits.

Sources: IBAN lengths and modulo 97 from the SWIFT IBAN Registry (ISO 13616); card ranges and Luhn from ISO/IEC 7812;
the forms of keys from each issuer's documentation. What is written without its usual form is not found.
"""

import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal, get_args

from nodes.findings import Finding, PlainText, without_overlaps

PersonalKind = Literal["api_key", "email", "iban", "card", "ssn", "ip", "phone"]
KINDS: tuple[PersonalKind, ...] = get_args(PersonalKind)
"""In the order in which they claim a place: what has check digits before what only looks alike."""

_KEYS = (
    r"sk-(?:ant-|proj-|svcacct-)?[A-Za-z0-9_-]{20,200}",  # OpenAI, Anthropic
    r"(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{16,120}",  # Stripe
    r"mb_(?:live|test)_[0-9A-Za-z]{46}",  # ours
    r"(?:AKIA|ASIA)[0-9A-Z]{16}",  # AWS
    r"gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9_]{22,255}",
    r"glpat-[A-Za-z0-9_-]{20,64}",
    r"xox[abeoprs]-[A-Za-z0-9-]{10,250}",  # Slack
    r"AIza[0-9A-Za-z_-]{35}",  # Google
    r"hf_[A-Za-z0-9]{30,64}|gsk_[A-Za-z0-9]{40,64}|r8_[A-Za-z0-9]{36,40}",
    r"eyJ[A-Za-z0-9_-]{8,2000}\.eyJ[A-Za-z0-9_-]{8,4000}\.[A-Za-z0-9_-]{8,1000}",  # JSON Web Tokens
    r"-----BEGIN (?:[A-Z]{2,12} ){0,2}PRIVATE KEY-----(?:[A-Za-z0-9+/=\s\\]{0,8000}-----END [A-Z ]{0,30}KEY-----)?",
)
_API_KEY = re.compile(rf"(?<![A-Za-z0-9_-])(?:{'|'.join(_KEYS)})")
_EMAIL = re.compile(r"(?<![\w.%+-])[A-Za-z0-9_.%+'-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}(?![\w-])")
_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}[0-9]{2}(?:[ -]?[A-Za-z0-9]){11,30}")
_CARD = re.compile(r"(?<![\w-])[2-6](?:[ -]?[0-9]){12,18}(?![\w-])")
_SSN = re.compile(r"(?<![\w-])(?!000|666|9)[0-9]{3}([- ])(?!00)[0-9]{2}\1(?!0000)[0-9]{4}(?![\w-])")
_IP4 = re.compile(r"(?<![\w.])[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?![\w]|\.[0-9])")
_IP6 = re.compile(r"(?<![\w:.])[0-9A-Fa-f:]{3,39}(?:\.[0-9]{1,3}){0,3}(?![\w:])")
_PHONE = re.compile(
    r"(?<![\w.+-])(?<![0-9] )(?:"
    r"(?:\+|00)[1-9](?:[ ./()-]{0,2}[0-9]){7,13}"  # with the code of its country
    r"|(?:\([0-9]{3}\) ?|[2-9][0-9]{2}[-. ])[0-9]{3}[-. ][0-9]{4}"  # North America
    r"|\(?0[1-9][0-9]{1,4}\)?[ /-][0-9]{2,8}(?:[ -][0-9]{2,5}){0,3}"  # with the area's zero
    r")(?![\w]|[-.][0-9])"
)
_IBAN_LENGTHS: Mapping[str, int] = {
    code: int(length)
    for length, codes in {
        "15": "NO", "16": "BE", "18": "DK FI FO GL NL SD", "19": "MK SI", "20": "AT BA EE KZ LT LU MN XK",
        "21": "CH HR LI LV", "22": "BG BH CR DE GB GE IE ME RS VA", "23": "AE GI IL IQ OM SO TL",
        "24": "AD CZ ES MD PK RO SA SE SK TN VG", "25": "LY PT ST", "26": "IS TR", "27": "BI DJ FR GR IT MC MR SM",
        "28": "AL AZ BY CY DO GT HU LB NI PL SV", "29": "BR EG PS QA UA", "30": "JO KW MU YE", "31": "MT SC",
        "32": "LC", "33": "RU",
    }.items()
    for code in codes.split()
}  # fmt: skip
_CARD_FORMS = re.compile(
    r"4[0-9]{12}(?:[0-9]{3}){0,2}|5[1-5][0-9]{14}|2(?:22[1-9]|2[3-9][0-9]|[3-6][0-9]{2}|7[01][0-9]|720)[0-9]{12}"
    r"|3[47][0-9]{13}|3(?:0[0-5]|[68][0-9])[0-9]{11}|35[0-9]{14}|6(?:011|5[0-9]{2}|4[4-9][0-9])[0-9]{12,15}"
)
MIN_PHONE_DIGITS = 8


def personal_data(text: PlainText, kinds: Sequence[PersonalKind] = KINDS) -> list[Finding]:
    """Every place of these kinds, none overlapping another, in the order of the text."""
    found = [
        Finding("pii", kind, *text.span(start, end))
        for kind in KINDS
        if kind in kinds
        for start, end in _FINDERS[kind](text.text)
    ]
    return without_overlaps(found)


def is_luhn(digits: str) -> bool:
    """Does the last digit check the others, by Luhn's rule?"""
    doubled = [int(digit) * 2 for digit in digits[-2::-2]]
    return (sum(map(int, digits[-1::-2])) + sum(value - 9 * (value > 9) for value in doubled)) % 10 == 0


def is_iban(letters: str) -> bool:
    """Has it its country's length, and do its check digits hold? Without spaces, in capitals."""
    if _IBAN_LENGTHS.get(letters[:2]) != len(letters):
        return False
    moved = letters[4:] + letters[:4]
    return int("".join(str(int(character, 36)) for character in moved)) % 97 == 1


Spans = Iterator[tuple[int, int]]


def _matches(pattern: re.Pattern[str], text: str) -> Spans:
    return (found.span() for found in pattern.finditer(text))


def _ibans(text: str) -> Spans:
    """As many characters as the country's IBANs have; what follows them is not part of it."""
    for found in _IBAN.finditer(text):
        places = [place for place in range(*found.span()) if text[place].isalnum()]
        length = _IBAN_LENGTHS.get(found[0][:2].upper(), 0)
        if 0 < length <= len(places):
            letters = "".join(text[place] for place in places[:length]).upper()
            end = places[length - 1] + 1
            if letters.isascii() and is_iban(letters) and not text[end : end + 1].isalnum():
                yield found.start(), end


def _cards(text: str) -> Spans:
    for found in _CARD.finditer(text):
        digits = re.sub(r"[ -]", "", found[0])
        if _CARD_FORMS.fullmatch(digits) and is_luhn(digits):
            yield found.span()


def _addresses(text: str) -> Spans:
    for pattern in (_IP4, _IP6):
        for found in pattern.finditer(text):
            if pattern is _IP6 and (found[0].count(":") < 2 or not any(map(str.isdigit, found[0]))):
                continue  # as in `a::b`, which is code
            try:
                ipaddress.ip_address(found[0])
            except ValueError:
                continue
            yield found.span()


def _phones(text: str) -> Spans:
    for found in _PHONE.finditer(text):
        if sum(character.isdigit() for character in found[0]) >= MIN_PHONE_DIGITS:
            yield found.span()


_FINDERS: Mapping[PersonalKind, Callable[[str], Spans]] = {
    "api_key": lambda text: _matches(_API_KEY, text),
    "email": lambda text: _matches(_EMAIL, text),
    "iban": _ibans,
    "card": _cards,
    "ssn": lambda text: _matches(_SSN, text),
    "ip": _addresses,
    "phone": _phones,
}
