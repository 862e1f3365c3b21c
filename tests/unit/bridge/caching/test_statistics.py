from bridge.caching.fingerprint import RequestKey, key_of
from bridge.caching.statistics import CacheReport, CacheStatistics
from bridge.chat import ChatRequest, Message


def key(text: str, system: str = "Be kind.") -> RequestKey:
    return key_of("o", ChatRequest("m", (Message.of("system", system), Message.of("user", text))), "m")


def missed(statistics: CacheStatistics, text: str, system: str, now_s: float = 0.0) -> None:
    one = key(text, system)
    statistics.looked_up("o", "fast", one, now_s, ttl_s=3600)
    statistics.missed("o", "fast", one, system)


def after_repeats(every_s: float, ttl_s: float = 3600) -> CacheReport:
    statistics = CacheStatistics()
    for n in range(60):
        statistics.looked_up("o", "fast", key("hi"), n * every_s, ttl_s=ttl_s)
    return statistics.report("o", "fast")


def test_a_clock_in_the_system_prompt_is_named() -> None:
    statistics = CacheStatistics()
    for minute in range(40):
        missed(statistics, "hi", f"Today is 2026-11-24, 10:{minute:02d}.")

    report = statistics.report("o", "fast")

    assert report.misses_by_part["system"] == 39
    assert report.advice[0].startswith("39 of 40 misses differ from an earlier request only in numbers of the system")


def test_a_system_prompt_that_differs_in_words_is_named_as_a_part() -> None:
    statistics = CacheStatistics()
    for n in range(40):
        missed(statistics, "hi", f"You serve {'abcdefghij'[n % 10] * (n + 1)}.")

    assert statistics.report("o", "fast").advice == (
        "39 of 40 misses differ from an earlier request in the system only",
    )


def test_prompts_that_all_differ_give_no_advice() -> None:
    statistics = CacheStatistics()
    for n in range(40):
        missed(statistics, f"question {n}", "Be kind.")

    report = statistics.report("o", "fast")

    assert set(report.misses_by_part) == {"new", "prompt"}
    assert report.advice == ()


def test_repeats_every_hour_or_so_ask_for_a_longer_life() -> None:
    report = after_repeats(4_000)

    assert report.repeats == 59
    assert [(one.ttl_s, round(one.share, 2), one.repeats_within) for one in report.ttl_shares] == [
        (300, 0, 0),
        (900, 0, 0),
        (3_600, 0, 0),
        (7_200, 0.51, 59),
        (21_600, 0.85, 59),
        (86_400, 0.97, 59),
        (604_800, 1, 59),
    ]
    assert report.advice == ("answers that live 1 d would catch 97% of repeats; 1 h catches 0%",)


def test_a_life_that_already_catches_them_needs_no_advice() -> None:
    assert after_repeats(4_000, ttl_s=86_400).advice == ()


def test_repeats_within_minutes_ask_for_no_longer_life_than_they_need() -> None:
    (advice,) = after_repeats(1).advice

    assert advice == "answers that live 5 min would catch 100% of repeats; 1 h catches 100%"


def test_the_keys_that_are_remembered_are_bounded() -> None:
    statistics = CacheStatistics()
    for n in range(50_001):
        statistics.looked_up("o", "fast", RequestKey(str(n), (), "", ""), 0.0, ttl_s=3600)
    for n in (0, 50_000):
        statistics.looked_up("o", "fast", RequestKey(str(n), (), "", ""), 1.0, ttl_s=3600)

    assert statistics.report("o", "fast").repeats == 1


def test_few_repeats_give_no_advice_and_nobody_has_an_empty_report() -> None:
    statistics = CacheStatistics()
    statistics.looked_up("o", "fast", key("hi"), 0.0, ttl_s=3600)

    assert statistics.report("o", "fast").advice == ()
    assert statistics.report("p", "fast").hit_rate == 0.0
    assert statistics.aliases("o") == ("fast",)


def test_memory_is_bounded_by_the_number_of_aliases() -> None:
    statistics = CacheStatistics()
    for n in range(2_500):
        statistics.looked_up("o", f"alias-{n}", key("hi"), 0.0, ttl_s=3600)

    assert len(statistics.aliases("o")) == 2_000
