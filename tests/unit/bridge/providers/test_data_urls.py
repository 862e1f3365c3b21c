from bridge.providers.data_urls import InlineData, inline_data


def test_base64_stays_as_it_is_and_percent_encoding_becomes_base64() -> None:
    assert inline_data("data:image/png;base64,aGk=") == InlineData("image/png", "aGk=")
    assert inline_data("data:text/plain;charset=utf-8,h%69") == InlineData("text/plain", "aGk=")
    assert inline_data("data:,hi") == InlineData("text/plain", "aGk=")


def test_any_other_url_holds_nothing() -> None:
    assert inline_data("https://x.test/a.png") is None
