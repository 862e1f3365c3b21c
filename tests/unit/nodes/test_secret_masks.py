from nodes.secret_masks import Masks


def test_a_secret_is_hidden_wherever_it_stands_even_in_keys_and_escaped() -> None:
    masks = Masks(['sesame "open"', "s3cr3t/key"])
    given = {
        "s3cr3t/key": [1, None, "Bearer s3cr3t/key!"],
        "url": "https://x.example/?k=s3cr3t%2Fkey",
        "body": '{"word": "sesame \\"open\\""}',
    }

    assert masks.value(given) == {
        "***": [1, None, "Bearer ***!"],
        "url": "https://x.example/?k=***",
        "body": '{"word": "***"}',
    }


def test_the_longer_of_two_secrets_is_hidden_whole() -> None:
    assert Masks(["abcd", "abcdefgh"]).text("abcdefgh abcd") == "*** ***"


def test_what_is_too_short_to_be_a_secret_hides_nothing() -> None:
    assert Masks(["1", ""]).value({"n": "1 of 11"}) == {"n": "1 of 11"}
