"""How a text is cut: within the size, at breaks, with overlap, losing no word."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodes.chunking import pieces


def cut(text: str, size: int = 20, overlap: int = 0) -> list[str]:
    return list(pieces(text, size=size, overlap=overlap))


def test_a_short_text_is_one_piece_and_an_empty_one_none() -> None:
    assert cut("  short \n") == ["short"]
    assert cut("") == cut("   \n ") == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("First words.\n\nSecond words.", ["First words.", "Second words."]),
        ("One two three. Four five.", ["One two three.", "Four five."]),
        ("alpha beta gamma delta", ["alpha beta gamma", "delta"]),
        ("x" * 45, ["x" * 20, "x" * 20, "x" * 5]),
    ],
)
def test_a_piece_ends_at_the_best_break_near_its_size(text: str, expected: list[str]) -> None:
    assert cut(text) == expected


def test_neighbours_share_whole_words_up_to_the_overlap() -> None:
    assert cut("alpha beta gamma delta epsilon", overlap=8) == ["alpha beta gamma", "gamma delta epsilon"]


texts = st.text(alphabet=st.sampled_from("ab \n.,"), max_size=400)


@given(texts, st.integers(10, 60), st.integers(0, 29))
def test_pieces_fit_the_size_and_hold_every_character_that_is_no_space_in_order(
    drawn: str, size: int, overlap: int
) -> None:
    text = "".join(chr(0x4E00 + n) if letter in "ab" else letter for n, letter in enumerate(drawn))
    found = cut(text, size, min(overlap, (size - 1) // 2))

    assert all(piece and len(piece) <= size and piece == piece.strip() for piece in found)
    letters = [letter for letter in text if letter >= "\u4e00"]
    seen = [letter for piece in found for letter in piece if letter >= "\u4e00"]
    assert list(dict.fromkeys(seen)) == letters
    assert all(sorted(piece_letters(piece)) == piece_letters(piece) for piece in found)


def piece_letters(piece: str) -> list[str]:
    return [letter for letter in piece if letter >= "\u4e00"]


def test_a_long_text_is_cut_in_linear_time() -> None:
    assert len(cut("word " * 200_000, size=1_000, overlap=150)) > 1_000
