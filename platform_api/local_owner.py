"""The owner of a platform on one machine: made once, kept in `$MODELBRIDGE_HOME/local.json`, readable by you alone."""

import json
import os
import secrets
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from platform_api.api_keys import service as api_keys
from platform_api.api_keys.schemas import NewKey
from platform_api.auth import accounts
from platform_api.auth.permissions import OWNER, role_permissions
from platform_api.auth.principals import Caller
from platform_api.database.session import Database
from platform_api.errors import NotFoundError
from platform_api.organizations import service as organizations
from platform_api.security.credentials import Passwords

FILE_NAME = "local.json"


@dataclass(frozen=True, slots=True)
class LocalOwner:
    """How to sign in here, and a key for the API."""

    email: str
    password: str
    api_key: str


async def local_owner(home: Path, database: Database, passwords: Passwords, *, now: datetime) -> LocalOwner:
    """The stored owner; made, or given a new password and key, when the file or the account is missing."""
    made = await organizations.ensure_local_owner(database, passwords, now=now)
    path = home / FILE_NAME
    if made is None and (stored := _read(path)) is not None:
        return stored
    owner = (
        await _renewed(database, passwords, now=now)
        if made is None
        else LocalOwner(made.email, made.password, made.api_key)
    )
    _write(path, owner)
    return owner


async def local_caller(home: Path, database: Database, passwords: Passwords, *, now: datetime) -> Caller:
    """The owner of this machine's platform as the one who calls; made when missing."""
    await local_owner(home, database, passwords, now=now)
    async with database.system().read() as db:
        user = await accounts.find_user(db, organizations.LOCAL_EMAIL)
        joined = None if user is None else await accounts.membership_of(db, user.id)
    if user is None or joined is None:
        raise NotFoundError("user", organizations.LOCAL_EMAIL)
    return Caller(joined[1].id, joined[1].slug, user.id, None, OWNER, role_permissions(OWNER), "token")


async def _renewed(database: Database, passwords: Passwords, *, now: datetime) -> LocalOwner:
    """The file was lost: a new password and one more key for the owner who is there."""
    password = secrets.token_urlsafe(15)
    password_hash = await passwords.hash(password)
    async with database.system()() as db:
        user = await accounts.find_user(db, organizations.LOCAL_EMAIL)
        joined = None if user is None else await accounts.membership_of(db, user.id)
        if user is None or joined is None:
            raise NotFoundError("user", organizations.LOCAL_EMAIL)
        user.password_hash = password_hash
        caller = Caller(joined[1].id, joined[1].slug, user.id, None, OWNER, role_permissions(OWNER), "token")
        key = await api_keys.create_key(db, caller, NewKey(name="Local key", expires_in_days=None), now=now)
    return LocalOwner(organizations.LOCAL_EMAIL, password, key.text)


def _read(path: Path) -> LocalOwner | None:
    try:
        return LocalOwner(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _write(path: Path, owner: LocalOwner) -> None:
    """Replace the file in one step, mode 0600 from the start."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    beside = path.with_suffix(f".{os.getpid()}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(asdict(owner), file, indent=2)
    beside.replace(path)
