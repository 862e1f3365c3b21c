"""Brings what a journal has written to the disk itself, behind the calls' back: for a loss of power, not for a kill."""

import logging
import os
import threading
from pathlib import Path

log = logging.getLogger(__name__)

INTERVAL_S = 0.2


class SegmentSync:
    """A thread that syncs the open segment at most `every_s` after something was written to it.

    It has descriptors of its own, so that whoever writes never waits for it.
    """

    def __init__(self, folder: Path, every_s: float = INTERVAL_S) -> None:
        self._folder = folder
        self._every_s = every_s
        self._is_behind = threading.Event()
        self._is_over = threading.Event()
        self._syncing = threading.Lock()
        self._is_under_way = False
        self._handing_over = threading.Lock()
        self._open: int | None = None
        self._finished: list[int] = []
        self._thread: threading.Thread | None = None

    @property
    def is_behind(self) -> bool:
        """Was something written that is not on the disk yet, as far as is known?"""
        return self._is_behind.is_set() or self._is_under_way

    def opened(self, fd: int) -> None:
        """From now on this segment is written."""
        self.closed()
        with self._handing_over:
            self._open = os.dup(fd)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="usage journal sync", daemon=True)
            self._thread.start()

    def wrote(self) -> None:
        """Something is there to be synced."""
        if not self._is_behind.is_set():
            self._is_behind.set()

    def closed(self) -> None:
        """The segment is complete: it is synced once more."""
        with self._handing_over:
            if self._open is not None:
                self._finished.append(self._open)
                self._open = None
                self._is_behind.set()

    def sync(self) -> None:
        """Sync now: what was written before this call is on the disk when it returns. Blocks; for threads."""
        with self._syncing:
            if not self._is_behind.is_set():
                return
            self._is_under_way = True  # before it is no longer behind: there is no moment between the two
            self._is_behind.clear()
            with self._handing_over:
                current, finished, self._finished = self._open, self._finished, []
            try:
                for fd in (*finished, *(() if current is None else (current,))):
                    os.fdatasync(fd)
                self._sync_folder()
            except OSError:
                self._is_behind.set()
                log.exception("usage_journal_not_synced", extra={"folder": str(self._folder)})
            finally:
                self._is_under_way = False
                for fd in finished:
                    os.close(fd)

    def end(self) -> None:
        """Sync what is left, and stop."""
        self._is_over.set()
        self.closed()
        self._is_behind.set()  # it may wait for something to do
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self.sync()

    def _run(self) -> None:
        while True:
            self._is_behind.wait()
            if self._is_over.wait(self._every_s):
                return
            self.sync()

    def _sync_folder(self) -> None:
        """The names of the segments too. A folder that was drained and removed has none."""
        try:
            folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
