"""Keeps a run ours while it is walked, and hears when somebody wants it stopped."""

import asyncio
import logging
import time

from flows.engine_services import EngineLimits
from flows.runs import RunOwner, RunStore, StaleOwnerError

log = logging.getLogger(__name__)


class Lease:
    """The right to a run, renewed in the background. Uses real time: a frozen clock renews nothing."""

    def __init__(self, store: RunStore, owner: RunOwner, limits: EngineLimits) -> None:
        """`owner` was acquired just now, for `limits.lease_s`."""
        self._store = store
        self._owner = owner
        self._limits = limits
        self._alive_until = time.monotonic() + limits.lease_s

    async def ensure(self) -> None:
        """Return when the lease is alive, renewing it when it may have lapsed (a stopped process woke up).

        Raises StaleOwnerError.
        """
        if time.monotonic() >= self._alive_until:
            await self._renew()

    async def wait_for_cancel(self) -> None:
        """Renew until cancel is asked for. Raises StaleOwnerError when the run is lost."""
        next_renewal = time.monotonic() + self._limits.renew_every_s
        while True:
            await asyncio.sleep(min(self._limits.cancel_poll_s, self._limits.renew_every_s))
            try:
                if time.monotonic() >= min(next_renewal, self._alive_until):
                    is_wanted = await self._renew()
                    next_renewal = time.monotonic() + self._limits.renew_every_s
                else:
                    is_wanted = await self._store.is_cancel_requested(self._owner.run_id)
            except StaleOwnerError:
                raise
            except Exception as error:  # noqa: BLE001  # the store is away for a moment; the lease tells for how long
                self._bear(error)
                continue
            if is_wanted:
                return

    async def _renew(self) -> bool:
        asked_at = time.monotonic()
        is_cancel_wanted = await self._store.renew(self._owner, lease_s=self._limits.lease_s)
        self._alive_until = asked_at + self._limits.lease_s
        return is_cancel_wanted

    def _bear(self, error: Exception) -> None:
        log.warning("run.lease_not_renewed", exc_info=error, extra={"run_id": self._owner.run_id})
        if time.monotonic() >= self._alive_until:
            raise StaleOwnerError(f"the lease of run {self._owner.run_id} lapsed while the store was away") from error
