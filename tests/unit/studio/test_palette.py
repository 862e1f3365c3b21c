from studio.palette import SERIES, series_color


def test_a_model_keeps_its_colour_in_every_process() -> None:
    assert series_color("openai/gpt-4o-mini") == series_color("openai/gpt-4o-mini")
    assert series_color("openai/gpt-4o-mini") == "#0284c7"


def test_models_spread_over_the_palette() -> None:
    used = {series_color(f"provider/model-{number}") for number in range(60)}

    assert used == set(SERIES)
