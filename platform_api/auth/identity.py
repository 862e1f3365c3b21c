"""Everything that says who is who, in one object that the application holds."""

from dataclasses import dataclass

from bridge.clock import Clock
from platform_api.auth.authenticator import Authenticator
from platform_api.auth.throttle import Throttle
from platform_api.database.session import Database
from platform_api.security.access_tokens import SigningKeys
from platform_api.security.credentials import Passwords
from platform_api.security.root_secret import Sealer, derive_key
from platform_api.settings import Settings


@dataclass(frozen=True, slots=True)
class Identity:
    """Passwords, tokens, keys and the throttle of one process."""

    settings: Settings
    database: Database
    clock: Clock
    passwords: Passwords
    signing_keys: SigningKeys
    authenticator: Authenticator
    throttle: Throttle
    refresh_key: bytes
    """Makes the successor of a refresh token."""
    reply_sealer: Sealer
    """Seals stored replies of idempotent requests: a new API key may stand in one."""

    @classmethod
    def build(cls, settings: Settings, database: Database, clock: Clock, root: bytes) -> "Identity":
        """Join the parts under the root secret. `signing_keys.load()` is for the start of the process."""
        keys = SigningKeys(database.system(), Sealer(root, "signing-keys"), clock.now)
        return cls(
            settings=settings,
            database=database,
            clock=clock,
            passwords=Passwords(at_a_time=settings.argon2_parallel),
            signing_keys=keys,
            authenticator=Authenticator(database, keys, clock),
            throttle=Throttle(clock),
            refresh_key=derive_key(root, "refresh-successors"),
            reply_sealer=Sealer(root, "idempotent-replies"),
        )
