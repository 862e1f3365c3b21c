"""A decision as a card that people understand: who was chosen and why, who stood in line, who was left out, what came.

Lines, not boxes: a narrow terminal wraps them, and without colour nothing is lost.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from platform_api.cli.outcome import money, out, seconds

if TYPE_CHECKING:
    from bridge.call_record import AttemptRecord, CallRecord
    from bridge.decision import Candidate, Decision

MAX_NAMES = 6
INDENT = 3


def show_call(record: "CallRecord", console: Console = out) -> None:
    """The decision, and the attempts as they went."""
    if record.decision is not None:
        show_decision(record.decision, console)
        _show_end(record, record.decision, console)
    if record.attempts:
        _show_attempts(record, console)


def show_decision(decision: "Decision", console: Console = out) -> None:
    """The chosen one in a sentence, the others in their order, the dropped ones by reason."""
    kept = [one for one in decision.candidates if one.is_eligible]
    console.print()
    console.print(_verdict(decision, kept))
    console.print(_asked(decision), style="dim")
    if kept:
        _heading("in this order", console)
    for number, one in enumerate(kept, start=1):
        _show_kept(number, one, console)
    _show_dropped([one for one in decision.candidates if not one.is_eligible], console)


def _verdict(decision: "Decision", kept: Sequence["Candidate"]) -> Text:
    if not kept:
        return Text.assemble(("No model can answer", "bold red"), f" {decision.requested!r}: all were left out.")
    first = kept[0]
    return Text.assemble((first.deployment, "bold green"), f" goes first: {first.reason}.")


def _asked(decision: "Decision") -> Text:
    question = decision.question
    said = [f"{decision.requested}, policy {decision.policy}"]
    if decision.task != decision.requested:
        said.append(f"task {decision.task}")
    if decision.arm is not None:
        said.append(f"arm {decision.arm}")
    if question is not None:
        said.append(f"about {question.input_tokens} tokens in, {question.output_tokens} out")
        extra = [need for need in question.needs if need not in ("chat", "stream")]
        said += [f"needs {', '.join(extra)}"] if extra else []
    return Text(" · ".join(said))


def _show_kept(number: int, one: "Candidate", console: Console) -> None:
    """A line of figures, and under it the reason."""
    facts = [money(one.cost_usd) if one.cost_usd is not None else "price unknown"]
    if one.latency_s is not None:
        facts.append(seconds(one.latency_s))
    quality = one.terms.get("quality")
    facts.append("quality unknown" if quality is None else f"quality {quality:.2f}")
    if one.propensity is not None and 0 < one.propensity < 1:
        facts.append(f"first in {one.propensity:.0%} of calls")
    line = Text.assemble(f"{number:>2} ", (one.deployment, "bold" if number == 1 else ""), f"  {' · '.join(facts)}")
    console.print(line)
    _indented(Text(one.reason, style="dim"), console)


def _show_dropped(dropped: Sequence["Candidate"], console: Console) -> None:
    """Those left out, by reason, the most common reason first."""
    by_reason: dict[str, list[str]] = {}
    for one in dropped:
        by_reason.setdefault(one.reason, []).append(one.deployment)
    if by_reason:
        _heading("left out", console)
    for reason, names in sorted(by_reason.items(), key=lambda item: -len(item[1])):
        more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
        console.print(Text.assemble(" - ", reason, (f": {', '.join(names[:MAX_NAMES])}{more}", "dim")))


def _show_end(record: "CallRecord", decision: "Decision", console: Console) -> None:
    """Said when it was not the first in line who answered."""
    last = record.attempts[-1] if record.attempts else None
    if record.cache == "hit" or last is None or last.deployment == decision.attempts[0]:
        return
    answered = last.outcome == "succeeded"
    end = "answered in the end" if answered else "was the last to be tried, and failed too"
    console.print()
    console.print(Text.assemble((last.deployment, "bold green" if answered else "bold red"), f" {end}."))


def _show_attempts(record: "CallRecord", console: Console) -> None:
    """What was tried, what came of it, and the sum."""
    _heading("what happened", console)
    passed_over = {one.deployment: one.reason for one in record.decision.escalations} if record.decision else {}
    for number, attempt in enumerate(record.attempts, start=1):
        cost = None if attempt.cost_nano_usd is None else attempt.cost_nano_usd / 1e9
        facts = [seconds(attempt.duration_ms / 1000), money(cost)]
        if attempt.ttft_ms is not None:
            facts.insert(0, f"first token {seconds(attempt.ttft_ms / 1000)}")
        line = Text.assemble(f"{number:>2} ", attempt.deployment, "  ", _outcome(attempt), f"  {' · '.join(facts)}")
        console.print(line)
        note = attempt.error_message or passed_over.get(attempt.deployment)
        if note:
            said = note if attempt.error_message else f"passed over: {note}"
            _indented(Text(said, style="dim"), console)
    total = record.cost_nano_usd
    console.print(f"   together {money(None if total is None else total / 1e9)}", highlight=False)


def _outcome(attempt: "AttemptRecord") -> Text:
    if attempt.outcome == "succeeded":
        return Text(f"answered ({attempt.finish_reason or 'no finish reason'})", style="green")
    return Text(attempt.error_class or attempt.outcome, style="red")


def _heading(text: str, console: Console) -> None:
    console.print()
    console.print(Text(text, style="bold"))


def _indented(text: Text, console: Console) -> None:
    console.print(Padding(text, (0, 0, 0, INDENT), expand=False))
