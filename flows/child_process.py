"""Children that do not outlive whoever started them."""

import ctypes
import os
import signal
import sys
from collections.abc import Callable

PR_SET_PDEATHSIG = 1


def end_with_parent() -> Callable[[], None] | None:
    """For `preexec_fn`: the child gets SIGTERM when its parent dies, even by SIGKILL. None where the kernel cannot.

    What the kernel watches is the thread that starts the child, so start children on a thread that lives as long
    as they shall: the main one. The library is loaded here, before the fork, since loading is not safe after it.
    Source: Linux manual, prctl(2), PR_SET_PDEATHSIG.
    """
    if sys.platform != "linux":
        return None
    library = ctypes.CDLL(None)
    parent = os.getpid()

    def ask_the_kernel() -> None:
        library.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it died before we asked
            os.kill(os.getpid(), signal.SIGTERM)

    return ask_the_kernel
