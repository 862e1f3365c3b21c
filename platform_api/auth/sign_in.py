"""Register, sign in, refresh, sign out. Passwords are hashed with no transaction open."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from platform_api.auth import accounts, refresh, studio_sessions
from platform_api.auth.audit import audit
from platform_api.auth.identity import Identity
from platform_api.auth.permissions import OWNER
from platform_api.auth.schemas import Login, OrganizationView, Registration, Tokens, UserView
from platform_api.auth.throttle import PER_ACCOUNT_AND_ADDRESS, PER_ADDRESS
from platform_api.database.tables.identity import OrganizationRow, UserRow
from platform_api.errors import ForbiddenError, UnauthenticatedError
from platform_api.security.access_tokens import LIFETIME

WRONG = "the e-mail address or the password is wrong"


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody whose password was right, and the organisation they act in."""

    user: UserView
    organization: OrganizationView


async def register(identity: Identity, body: Registration) -> Tokens:
    """A new account with an organisation of its own, signed in.

    Raises:
        ForbiddenError: Registration is not open.
        InvalidError: The password is not taken.
        ConflictError: The address has an account.
    """
    if identity.settings.registration != "open":
        raise ForbiddenError("registration is not open here; ask for an invitation", code="registration_closed")
    accounts.check_new_password(body.password, body.email)
    password_hash = await identity.passwords.hash(body.password)
    now = identity.clock.now()
    name = body.name or body.email.partition("@")[0]
    plan = accounts.FREE if identity.settings.is_billing_enabled else accounts.SELF_HOSTED
    async with identity.database.system()() as db:
        user = await accounts.create_user(db, email=body.email, name=name, password_hash=password_hash, now=now)
        organization = await accounts.create_organization(db, body.organization or name, now=now, plan=plan)
        await accounts.add_member(db, organization.id, user.id, OWNER, now=now)
        audit(db, "user.registered", org_id=organization.id, now=now, user_id=user.id)
        family = await refresh.start_family(db, organization.id, user.id, now=now)
    return _tokens(identity, family, Member(_user(user, OWNER), _organization(organization)))


async def check_password(identity: Identity, body: Login, address: str) -> Member:
    """Who this is. An unknown address takes as long as a wrong password and answers the same.

    Raises:
        UnauthenticatedError: Wrong, unknown, or not a member.
        ThrottledError: Too many failures from this address, or at this account from it.
    """
    pair, source = f"login:{address}:{body.email}", f"login:{address}"
    identity.throttle.check(pair, source)
    async with identity.database.system().read() as db:
        user = await accounts.find_user(db, body.email)
    stored = None if user is None or user.disabled_at is not None else user.password_hash
    is_right, better = await identity.passwords.verify(body.password, stored)
    member = None
    if is_right and user is not None:
        member = await _member(identity, user, body.organization, better)
    if member is None:
        identity.throttle.failed(pair, PER_ACCOUNT_AND_ADDRESS)
        identity.throttle.failed(source, PER_ADDRESS)
        raise UnauthenticatedError(WRONG, code="invalid_credentials")
    identity.throttle.succeeded(pair)
    return member


async def sign_in(identity: Identity, member: Member) -> Tokens:
    """A new session for somebody whose password was right."""
    now = identity.clock.now()
    async with identity.database.system()() as db:
        family = await refresh.start_family(db, member.organization.id, member.user.id, now=now)
        audit(db, "user.signed_in", org_id=member.organization.id, now=now, user_id=member.user.id)
    return _tokens(identity, family, member)


async def refreshed(identity: Identity, token: str) -> Tokens:
    """New tokens for a refresh token. A reused one ends its family.

    Raises:
        UnauthenticatedError: The token is not valid, was used before, or its user is gone.
    """
    now = identity.clock.now()
    async with identity.database.system()() as db:
        outcome = await refresh.rotate(db, token, identity.refresh_key, now=now)
        member = None
        if isinstance(outcome, refresh.Family):
            member = await find_member(db, outcome.org_id, outcome.user_id)
    if isinstance(outcome, refresh.Reused):
        identity.authenticator.forget(f"family:{outcome.family_id}")
        raise UnauthenticatedError("the refresh token was used before; sign in again", code="refresh_token_reused")
    if member is None:
        raise UnauthenticatedError("the account is not active")
    return _tokens(identity, outcome, member)


async def sign_out(identity: Identity, org_id: UUID, family_id: UUID) -> None:
    """End a session: its refresh and access tokens stop working."""
    now = identity.clock.now()
    async with identity.database.system()() as db:
        await refresh.end_family(db, org_id, family_id, now=now)
    identity.authenticator.forget(f"family:{family_id}")


async def find_member(db: AsyncSession, org_id: UUID, user_id: UUID) -> Member | None:
    """The member as the API shows them; None when disabled, removed or suspended."""
    user = await db.get(UserRow, user_id)
    organization = await db.get(OrganizationRow, org_id)
    if user is None or user.disabled_at is not None or organization is None:
        return None
    joined = await accounts.membership_of(db, user_id, organization.slug)
    return None if joined is None else Member(_user(user, joined[0].role), _organization(organization))


async def reset_password(identity: Identity, email: str, password: str) -> bool:
    """Set a password and end all of the user's sessions. False when there is no such user."""
    accounts.check_new_password(password, email)
    password_hash = await identity.passwords.hash(password)
    now = identity.clock.now()
    async with identity.database.system()() as db:
        user = await accounts.find_user(db, email)
        if user is None:
            return False
        user.password_hash = password_hash
        await refresh.end_all(db, user.id, now=now)
        await studio_sessions.revoke_all(db, user.id, now=now)
        joined = await accounts.membership_of(db, user.id)
        if joined is not None:
            audit(db, "user.password_reset", org_id=joined[1].id, now=now, target=str(user.id))
    identity.authenticator.forget_all()
    return True


async def _member(
    identity: Identity, user: UserRow, organization: str | None, better_hash: str | None
) -> Member | None:
    """The membership to act in; stores a stronger hash when there is one."""
    async with identity.database.system().read() as db:
        joined = await accounts.membership_of(db, user.id, organization)
    if joined is None:
        return None
    if better_hash is not None:
        async with identity.database.system()() as db:
            stored = await db.get(UserRow, user.id)
            if stored is not None:
                stored.password_hash = better_hash
    return Member(_user(user, joined[0].role), _organization(joined[1]))


def _tokens(identity: Identity, family: refresh.Family, member: Member) -> Tokens:
    access_token = identity.signing_keys.sign(
        user_id=family.user_id,
        org_id=family.org_id,
        session_id=family.family_id,
        signed_in_at=family.signed_in_at,
    )
    return Tokens(
        access_token=access_token,
        refresh_token=family.token,
        expires_in=int(LIFETIME.total_seconds()),
        user=member.user,
        organization=member.organization,
    )


def _user(row: UserRow, role: str) -> UserView:
    return UserView(id=row.id, email=row.email, name=row.name, role=role)


def _organization(row: OrganizationRow) -> OrganizationView:
    return OrganizationView(id=row.id, slug=row.slug, name=row.name, plan=row.plan)
