"""Bodies of /api/auth as they go over the wire."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from platform_api.auth.accounts import EMAIL, folded_email
from platform_api.security.credentials import MAX_PASSWORD_CHARACTERS


class Body(BaseModel):
    """Base of request bodies: an unknown member is refused."""

    model_config = ConfigDict(extra="forbid")


def _email(text: str) -> str:
    if EMAIL.fullmatch(text.strip()) is None:
        raise ValueError("must be an e-mail address")
    return folded_email(text)


def _plain_line(text: str) -> str:
    if any(ord(character) < 32 or ord(character) == 127 for character in text):
        raise ValueError("must not contain control characters")
    return text.strip()


def _no_nul(text: str) -> str:
    if "\x00" in text:
        raise ValueError("must not contain NUL")
    return text


Email = Annotated[str, StringConstraints(max_length=320), AfterValidator(_email)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(_plain_line)]
Password = Annotated[str, StringConstraints(min_length=1, max_length=MAX_PASSWORD_CHARACTERS), AfterValidator(_no_nul)]
Token = Annotated[str, StringConstraints(min_length=1, max_length=256)]


class Registration(Body):
    """Who wants in."""

    email: Email
    password: Password
    name: Name | None = None
    organization: Name | None = None


class Login(Body):
    """E-mail and password; `organization` is a slug, for members of several."""

    email: Email
    password: Password
    organization: Name | None = None


class RefreshRequest(Body):
    """The refresh token to trade in."""

    refresh_token: Token


class LogoutRequest(Body):
    """What to end; without it the session of the access token ends."""

    refresh_token: Token | None = None


class CodeExchange(Body):
    """The one-time code of the password form."""

    code: Token


class UserView(BaseModel):
    """A person."""

    id: UUID
    email: str
    name: str
    role: str


class OrganizationView(BaseModel):
    """A tenant."""

    id: UUID
    slug: str
    name: str
    plan: str


class Tokens(BaseModel):
    """A signed-in session."""

    access_token: str
    refresh_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105  # the scheme, no secret
    expires_in: int = Field(description="Seconds the access token is good for.")
    user: UserView
    organization: OrganizationView


class SessionCode(BaseModel):
    """A code for the studio: good once, for 30 seconds."""

    code: str
    expires_in: int


class StudioSession(BaseModel):
    """A studio session; `token` is shown once and goes into a cookie."""

    session_id: UUID
    token: str
    expires_at: datetime
    ends_at: datetime
    user: UserView
    organization: OrganizationView


class Me(BaseModel):
    """The caller, as the platform sees them."""

    user: UserView | None
    organization: OrganizationView
    role: str
    permissions: list[str]
    via: str
    key_id: UUID | None
    session_id: UUID | None
