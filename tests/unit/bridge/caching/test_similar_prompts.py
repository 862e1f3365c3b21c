import pytest

from bridge.caching.similar_prompts import difference, meaning_of, plain_of


@pytest.mark.parametrize(
    ("one", "other", "reason"),
    [
        ("What is 15 % of 80?", "What is 18 % of 80?", "numbers"),
        ("Is it due on 2026-01-02?", "Is it due on 2026-01-03?", "numbers"),
        ("Translate 'cat' to French", "Translate 'dog' to French", "quotes"),
        ("Can I return it?", "Can I not return it?", "negations"),
        ("Which foods may I eat?", "Which foods mustn't I eat?", "negations"),
        ("What is the capital of France?", "What is the capital of Spain?", "names"),
        ("Convert this to JSON", "Convert this to XML", "names"),
        ("Sort the list ascending", "Sort the list descending", "words"),
        ("Delete the file", "Delete the files", "words"),
        ("Summarise the article", "Summarise the sarcastic article", "words"),
        ("When was Siemens founded?", "Where was Siemens founded?", "asking"),
        ("Who is the president?", "Who was the president?", "asking"),
        ("Must I file a tax return?", "May I file a tax return?", "asking"),
        ("When was it built and where was it sold?", "Where was it built and when was it sold?", "asking"),
        ("Is a < b when both are null?", "Is a > b when both are null?", "symbols"),
        ("Sort a list in C", "Sort a list in C++", "symbols"),
        ("What is 5 - 3?", "What is 5, 3?", "symbols"),
        ("What is -5 degrees in Fahrenheit?", "What is 5 degrees in Fahrenheit?", "numbers"),
        ("Subtract 3 from 5", "Subtract 5 from 3", "numbers"),
        ("Give my cat medicine", "Give her cat medicine", "words"),
        ("convert euros to dollars", "convert dollars to euros", "order"),
        ("did rome defeat carthage", "did carthage defeat rome", "order"),
        ("my red car does not start in the morning", "my blue car does not start in the morning", "words"),
        ("how do i reset my router", "how do i paint a wooden garden fence", "words"),
    ],
)
def test_what_turns_an_answer_around_is_told_apart(one: str, other: str, reason: str) -> None:
    assert difference(meaning_of(one), meaning_of(other)) == reason
    assert difference(meaning_of(other), meaning_of(one)) == reason


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("How do I reset my password?", "how do i reset my password"),
        ("How do I reset my password?", "Please, how can I reset my password?"),
        ("What are your opening hours?", "what're your opening hours?"),
        ("What is the capital of France?", "Tell me the capital of France, please."),
        ("How do I export a file?", "Can you tell me how to export a file? Thanks!"),
        ("My laptop doesn't charge", "my laptop does not charge."),
        ("Hello, where is my order 4711?", "where is my order 4711"),
    ],
)
def test_the_same_question_in_other_words_is_let_through(one: str, other: str) -> None:
    assert difference(meaning_of(one), meaning_of(other)) is None


def test_case_punctuation_and_politeness_do_not_weigh_in_vectors() -> None:
    assert plain_of("Please, can you tell me: What's 3.5 + C++?  Thanks!") == "what is 3.5 + c++"
    assert plain_of("Thanks!") == ""
