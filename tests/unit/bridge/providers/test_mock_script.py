import pytest

from bridge.errors import ConfigurationError
from bridge.providers.mock_script import Asked, MockMatch, MockOptions, MockScript

ASKED = Asked("fast-1", "My Invoice is wrong", "be kind\nMy Invoice is wrong", is_stream=False, has_tools=True)


@pytest.mark.parametrize(
    ("match", "fits"),
    [
        ({}, True),
        ({"model": "fast-*"}, True),
        ({"model": "slow-*"}, False),
        ({"text": "invoice"}, True),
        ({"text": "be kind"}, False),
        ({"pattern": r"^be \w+"}, True),
        ({"pattern": r"nothing"}, False),
        ({"stream": False}, True),
        ({"stream": True}, False),
        ({"tools": True}, True),
        ({"tools": False, "text": "invoice"}, False),
    ],
)
def test_every_given_field_of_a_match_must_fit(match: dict[str, object], fits: bool) -> None:
    assert ASKED.fits(MockMatch.model_validate(match)) is fits


def test_a_fault_skips_strikes_and_ends() -> None:
    script = MockScript(MockOptions.parse({"faults": [{"kind": "status", "skip": 1, "times": 2}]}))
    kinds = [found.kind if (found := script.fault(ASKED)) else None for _ in range(5)]

    assert kinds == [None, "status", "status", None, None]


def test_a_fault_without_end_strikes_for_ever() -> None:
    script = MockScript(MockOptions.parse({"faults": [{"kind": "hang", "times": None}]}))

    assert all(script.fault(ASKED) for _ in range(50))


def test_while_one_fault_skips_the_next_one_may_strike() -> None:
    script = MockScript(MockOptions.parse({"faults": [{"kind": "status", "skip": 1}, {"kind": "reset"}]}))
    kinds = [found.kind if (found := script.fault(ASKED)) else None for _ in range(3)]

    assert kinds == ["reset", "status", None]


def test_replies_are_used_up_in_order() -> None:
    script = MockScript(MockOptions.parse({"replies": [{"text": "once", "times": 1}, {"text": "then"}]}))
    texts = [found.text if (found := script.reply(ASKED)) else None for _ in range(3)]

    assert texts == ["once", "then", "then"]


@pytest.mark.parametrize(
    ("options", "place"),
    [
        ({"faultz": []}, "faultz"),
        ({"faults": [{"kind": "explode"}]}, "faults.0.kind"),
        ({"replies": [{"txt": "a"}]}, "replies.0.txt"),
    ],
)
def test_unknown_options_are_refused_with_their_place(options: dict[str, object], place: str) -> None:
    with pytest.raises(ConfigurationError, match=place):
        MockOptions.parse(options)
