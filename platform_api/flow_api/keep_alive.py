"""A comment every few seconds, so that proxies do not take a quiet event stream for a dead one."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

PAUSE_S = 15.0
COMMENT = b": still here\n\n"


async def with_keep_alive(source: AsyncIterator[bytes], *, pause_s: float = PAUSE_S) -> AsyncIterator[bytes]:
    """The pieces of `source`, with a comment in every pause of `pause_s`."""
    pending = asyncio.ensure_future(anext(source))
    try:
        while True:
            done, _ = await asyncio.wait({pending}, timeout=pause_s)
            if not done:
                yield COMMENT
                continue
            try:
                piece = pending.result()
            except StopAsyncIteration:
                return
            pending = asyncio.ensure_future(anext(source))
            yield piece
    finally:
        pending.cancel()
        with suppress(asyncio.CancelledError, StopAsyncIteration):
            await pending
