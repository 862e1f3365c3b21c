"""Set and remove secrets, and hand their values to running steps."""

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from uuid import UUID

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from nodes.errors import NodeError
from platform_api.auth.audit import audit
from platform_api.auth.principals import Caller
from platform_api.database.session import Database
from platform_api.database.tables.secrets import SecretRow
from platform_api.errors import ConflictError, NotFoundError
from platform_api.secrets.repository import SecretRepository
from platform_api.security.encryption import Envelope, Place
from platform_api.security.root_secret import SealError, root_secret
from platform_api.settings import Settings

MAX_SECRETS = 500


async def set_secret(
    db: AsyncSession, caller: Caller, name: str, value: str, *, envelope: Envelope, now: datetime
) -> SecretRow:
    """Make the secret, or replace its value. Steps that run see the old value, those that start later the new one.

    Raises:
        ConflictError: There are too many already, or somebody else makes the same one at this moment.
    """
    repository = SecretRepository(db)
    row = await repository.find(caller.org_id, name)
    is_new = row is None
    if row is None:
        if await repository.count(caller.org_id) >= MAX_SECRETS:
            raise ConflictError(f"an organisation has at most {MAX_SECRETS} secrets", code="too_many_secrets")
        row = SecretRow(id=uuid7(), org_id=caller.org_id, name=name, created_at=now)
        db.add(row)
    row.sealed = envelope.seal(value.encode(), _place(row))
    row.updated_at, row.updated_by = now, caller.user_id
    try:
        await db.flush()
    except IntegrityError as error:
        raise ConflictError("somebody else is making this secret; try again", code="secret_conflict") from error
    audit(db, "secret.created" if is_new else "secret.replaced", org_id=row.org_id, now=now, caller=caller, target=name)
    return row


async def remove_secret(db: AsyncSession, caller: Caller, name: str, *, now: datetime) -> None:
    """Forget the secret. Raises NotFoundError."""
    row = await SecretRepository(db).find(caller.org_id, name)
    if row is None:
        raise NotFoundError("secret", name)
    await db.delete(row)
    audit(db, "secret.removed", org_id=caller.org_id, now=now, caller=caller, target=name)


def secrets_of(settings: Settings, database: Database) -> "SqlSecrets | SettingsSecrets":
    """The database's; for the operator's own command line those of the settings go before."""
    stored = SqlSecrets(database, lambda: root_secret(settings))
    if not settings.gives_own_secrets:
        return stored
    return SettingsSecrets({name: value.get_secret_value() for name, value in settings.secrets.items()}, stored)


class SqlSecrets:
    """`nodes.outside.Secrets` over the platform's database. The root secret is asked for at the first use."""

    def __init__(self, database: Database, root: Callable[[], bytes]) -> None:
        self._database = database
        self._root = root

    async def of(self, org_id: str, names: Collection[str]) -> Mapping[str, str]:
        """Those of the organisation's secrets that there are. Raises NodeError when one cannot be opened."""
        owner = UUID(org_id)
        async with self._database.for_org(owner).read() as db:
            sealed = {row.name: (row.sealed, _place(row)) for row in await SecretRepository(db).named(owner, names)}
        envelope = Envelope(self._root()) if sealed else None
        found: dict[str, str] = {}
        for name, (value, place) in sealed.items():
            assert envelope is not None
            try:
                found[name] = envelope.open(value, place).decode()
            except SealError as error:
                raise NodeError(f"the secret {name} cannot be opened: {error}", error_class="auth") from error
        return found


class SettingsSecrets:
    """Those of the settings, which win, over others: for runs of the operator's own command line."""

    def __init__(self, values: Mapping[str, str], others: SqlSecrets) -> None:
        self._values = values
        self._others = others

    async def of(self, org_id: str, names: Collection[str]) -> Mapping[str, str]:
        """Those there are, from the settings first."""
        own = {name: self._values[name] for name in names if name in self._values}
        missing = [name for name in names if name not in own]
        return {**(await self._others.of(org_id, missing) if missing else {}), **own}


def _place(row: SecretRow) -> Place:
    return Place(org_id=str(row.org_id), table="secrets", row_id=str(row.id), field="sealed")
