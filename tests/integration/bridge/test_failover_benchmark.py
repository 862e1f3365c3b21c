"""The failover benchmark over real HTTP: its quick scenarios pass, and it notices what is switched off."""

import pytest

from benchmarks.failover_run import run_scenario
from benchmarks.failover_scenarios import SCENARIOS
from bridge.providers.mock_dialects import MOCK_DIALECTS

pytestmark = pytest.mark.peer
BY_ID = {scenario.id: scenario for scenario in SCENARIOS}


@pytest.mark.parametrize("dialect", sorted(MOCK_DIALECTS))
@pytest.mark.parametrize("scenario", ["S05", "S08", "S08c", "S10", "S10b", "S11", "S12", "S13", "S14"])
async def test_a_quick_scenario_passes(dialect: str, scenario: str) -> None:
    seen, verdict = await run_scenario(dialect, BY_ID[scenario])

    assert verdict.word == "pass", (verdict, seen)


@pytest.mark.parametrize("scenario", ["S08", "S08c", "S10"])
async def test_without_rescue_a_cut_answer_is_a_clean_error(scenario: str) -> None:
    seen, verdict = await run_scenario("openai", BY_ID[scenario], {"streams": {"rescue": "off"}})

    assert verdict.word == "safe", (verdict, seen)
    assert seen.text
    assert seen.error is not None
    assert seen.error.startswith("StreamInterruptedError")


async def test_without_a_second_try_a_passing_fault_is_survived_elsewhere() -> None:
    seen, verdict = await run_scenario("openai", BY_ID["S03"], {"retry": {"max_per_target": 1}})

    assert (verdict.word, verdict.problems) == ("partial", ("retried",))
    assert seen.model == "two/m"
