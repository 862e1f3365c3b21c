"""overrides.yaml as checked values: own facts about models, and short names."""

from datetime import date
from pathlib import Path

from pydantic import Field
from ruamel.yaml import YAML

from bridge.config import Frozen, ModelConfig


class OverrideRow(ModelConfig):
    """A model's own facts, with the place they were read."""

    source: str = Field(min_length=1)


class Overrides(Frozen):
    """The whole file. `checked` is the day on which its facts were last looked up."""

    checked: date
    models: dict[str, OverrideRow]
    nicknames: dict[str, str]
    """Short name -> the model it stands for."""


def load_overrides() -> Overrides:
    """The overrides that ship with the bridge."""
    text = Path(__file__).with_name("overrides.yaml").read_text(encoding="utf-8")
    return Overrides.model_validate(YAML(typ="safe").load(text))
