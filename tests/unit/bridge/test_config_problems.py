from bridge.config_problems import nearest


def test_a_name_close_to_a_known_one_is_suggested() -> None:
    assert nearest("gpt-4o-mni", ["gpt-4o-mini", "claude-haiku"]) == "gpt-4o-mini"


def test_a_name_far_from_all_known_ones_suggests_nothing() -> None:
    assert nearest("zzz", ["gpt-4o-mini"]) is None
