import pytest
from pydantic import BaseModel, ConfigDict, ValidationError

from bridge.config_problems import nearest, problems_of


def test_a_name_close_to_a_known_one_is_suggested() -> None:
    assert nearest("gpt-4o-mni", ["gpt-4o-mini", "claude-haiku"]) == "gpt-4o-mini"


def test_a_name_far_from_all_known_ones_suggests_nothing() -> None:
    assert nearest("zzz", ["gpt-4o-mini"]) is None


class Wheel(BaseModel):
    model_config = ConfigDict(extra="forbid")
    radius: float = 1.0


class Wagon(BaseModel):
    model_config = ConfigDict(extra="forbid")
    wheels: tuple[Wheel, ...] = ()
    spare: Wheel | None = None


@pytest.mark.parametrize("raw", [{"wheels": [{"radiuss": 2}]}, {"spare": {"radiuss": 2}}])
def test_the_key_that_was_meant_is_found_in_lists_and_optional_sections(raw: dict[str, object]) -> None:
    with pytest.raises(ValidationError) as caught:
        Wagon.model_validate(raw)

    assert "did you mean 'radius'?" in problems_of(caught.value, Wagon)[0]
