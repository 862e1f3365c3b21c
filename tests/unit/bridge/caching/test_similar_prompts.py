import pytest

from bridge.caching.similar_prompts import difference


@pytest.mark.parametrize(
    ("one", "other", "reason"),
    [
        ("What is 15 % of 80?", "What is 18 % of 80?", "numbers"),
        ("Is it due on 2026-01-02?", "Is it due on 2026-01-03?", "numbers"),
        ("Translate 'cat' to French", "Translate 'dog' to French", "quotes"),
        ("Can I return it?", "Can I not return it?", "negation"),
        ("Which foods may I eat?", "Which foods mustn't I eat?", "negation"),
        ("What is the capital of France?", "What is the capital of Spain?", "names"),
        ("Convert this to JSON", "Convert this to XML", "names"),
        ("Sort the list ascending", "Sort the list descending", "opposites"),
        ("convert euros to dollars", "convert dollars to euros", "order"),
        ("did rome defeat carthage", "did carthage defeat rome", "order"),
        ("my red car does not start in the morning", "my blue car does not start in the morning", "words"),
        ("how do i reset my router", "how do i paint a wooden garden fence", "words"),
    ],
)
def test_what_turns_an_answer_around_is_told_apart(one: str, other: str, reason: str) -> None:
    assert difference(one, other) == reason
    assert difference(other, one) == reason


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("How do I reset my password?", "how do i reset my password"),
        ("How do I reset my password?", "Please, how can I reset my password?"),
        ("What are your opening hours?", "what's your opening hour"),
        ("Hello, where is my order 4711?", "where is my order 4711"),
    ],
)
def test_the_same_question_in_other_words_is_let_through(one: str, other: str) -> None:
    assert difference(one, other) is None
