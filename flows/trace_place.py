"""Where a run and its steps stand in a trace: W3C trace context, with span ids that follow from run, walk and path.

Whoever walks the run, in whichever process, comes to the same ids: a call made inside a step knows its parent before
anything of that step was told to a collector.

Source: W3C Trace Context, "traceparent header field values".
"""

import hashlib
import re

from flows.runs import Run

VERSION = "00"
TRACE_ID_AT = slice(3, 35)
FLAGS_AT = slice(53, 55)
_LAST_ITEM = re.compile(r"\[\d+\]$")


def span_id(run: Run, path: str = "") -> str:
    """The id of the span of a step in the present walk of `run`, or of the walk itself: 16 hex digits."""
    said = f"{run.id}/{run.epoch}/{path}".encode()
    return hashlib.blake2b(said, digest_size=8, person=b"modelbridge").hexdigest()


def traceparent_of(run: Run, path: str = "") -> str | None:
    """What a call inside the step names as its parent; None when the run belongs to no trace."""
    given = run.traceparent
    if given is None:
        return None
    return f"{VERSION}-{given[TRACE_ID_AT]}-{span_id(run, path)}-{given[FLAGS_AT]}"


def parent_path(path: str) -> str:
    """The path of the step around this one; empty for a step of the flow itself: `outer[2].inner` is in `outer`,
    and so is `outer[2]`.
    """
    is_item = path.endswith("]")
    around = path if is_item else path.rpartition(".")[0]
    return _LAST_ITEM.sub("", around)
