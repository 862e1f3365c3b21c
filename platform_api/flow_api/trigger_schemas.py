"""What triggers look like over HTTP."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel

from platform_api.flow_api.schemas import Input


class TriggerItem(BaseModel):
    """A trigger of a published flow."""

    id: str
    flow: str
    trigger: str
    kind: str
    url: str | None
    """Where deliveries go, below the platform's address; null for ends of runs."""
    source: str | None
    """The flow whose runs end; null for webhooks."""
    has_secret: bool
    paused: bool
    created_at: datetime


class TriggerChange(Input):
    """Pause or resume a trigger."""

    paused: bool


class TriggerSecret(BaseModel):
    """The secret of a webhook: shown this once."""

    secret: str
    url: str
    previous_valid_until: datetime | None
    """Until when deliveries signed with the one before are taken, too."""


class Delivered(BaseModel):
    """What came of a delivery."""

    outcome: Literal["started", "repeated", "filtered"]
    run_id: str | None
