"""Bodies of /api/organizations."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel

from platform_api.auth.schemas import Body, Name


class OrganizationChange(Body):
    """What of an organisation can be changed."""

    name: Name


class RoleChange(Body):
    """A member's new role."""

    role: Literal["Owner", "Admin", "Member", "Viewer"]


class MemberView(BaseModel):
    """A person in the organisation."""

    user_id: UUID
    email: str
    name: str
    role: str
    joined_at: datetime
