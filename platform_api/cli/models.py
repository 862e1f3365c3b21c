"""`chat`, `models`, `route`: the bridge from the command line."""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast, get_args

import typer

from platform_api.cli.decision_card import show_call, show_decision
from platform_api.cli.model_views import call_json, model_json, result_json, show_facts, show_models
from platform_api.cli.outcome import FAILED, INVALID, CommandError, err, out, print_json
from platform_api.cli.platform import AsJson, settings_of_process

if TYPE_CHECKING:
    from bridge.call_record import CallRecord
    from bridge.chat import ChatRequest
    from bridge.decision import Decision
    from bridge.errors import BridgeError
    from bridge.gateway import Bridge

Task = Annotated[str | None, typer.Option(help="What quality is measured for; the alias when not given.")]


def chat(
    model: Annotated[str, typer.Argument(help="An alias, or provider/model.")],
    prompt: Annotated[str, typer.Argument(help="What to ask.")],
    system: Annotated[str | None, typer.Option(help="System message.")] = None,
    max_tokens: Annotated[int | None, typer.Option(min=1, help="Longest answer, in tokens.")] = None,
    temperature: Annotated[float | None, typer.Option(min=0, max=2)] = None,
    deadline: Annotated[float | None, typer.Option(min=0.1, help="Seconds for all attempts together.")] = None,
    task: Task = None,
    explain: Annotated[bool, typer.Option("--explain", help="Show candidates, reasons, attempts and price.")] = False,
    as_json: AsJson = False,
) -> int:
    """One call through the bridge, streamed to the terminal."""
    from bridge.chat import ChatRequest, Message

    messages = (Message.of("user", prompt),)
    if system is not None:
        messages = (Message.of("system", system), *messages)
    request = ChatRequest(
        model=model, messages=messages, max_output_tokens=max_tokens, temperature=temperature, deadline_s=deadline
    )
    return asyncio.run(_chat(request, task, explain=explain, as_json=as_json))


async def _chat(request: "ChatRequest", task: str | None, *, explain: bool, as_json: bool) -> int:
    from bridge.errors import BridgeError
    from platform_api.wiring import open_local_bridge

    async with open_local_bridge(settings_of_process()) as (bridge, context_of):
        try:
            stream = bridge.stream(request, context_of(task))
            async for chunk in stream:
                if not as_json:
                    out.print(chunk.text, end="", markup=False, highlight=False, soft_wrap=True)
        except BridgeError as error:
            return _show_failure(error, explain=explain, as_json=as_json)
        result = stream.result
    if as_json:
        print_json(result_json(result))
        return 0
    out.print()
    show_facts(result.record)
    if explain:
        show_call(result.record)
    return 0


def _show_failure(error: "BridgeError", *, explain: bool, as_json: bool) -> int:
    from bridge.errors import ConfigurationError, UnknownModelError

    record = cast("CallRecord | None", error.call)
    code = INVALID if isinstance(error, ConfigurationError | UnknownModelError) else FAILED
    if as_json:
        facts = {} if record is None else call_json(record)
        print_json({"error": {"class": error.error_class, "message": str(error)}, **facts})
        return code
    if record is not None and explain:
        show_call(record)
    raise CommandError(str(error), code) from error


def list_models(  # options of a command, all by name
    alias: Annotated[str | None, typer.Option(help="Only the candidates of this alias.")] = None,
    provider: Annotated[str | None, typer.Option(help="Only models of this provider.")] = None,
    capability: Annotated[list[str] | None, typer.Option(help="Only models that can do this; may be repeated.")] = None,
    region: Annotated[str | None, typer.Option(help="Only models served from this region.")] = None,
    min_context: Annotated[int | None, typer.Option(min=1, help="Smallest context window, in tokens.")] = None,
    max_input_price: Annotated[float | None, typer.Option(min=0, help="USD for a million input tokens.")] = None,
    max_output_price: Annotated[float | None, typer.Option(min=0, help="USD for a million output tokens.")] = None,
    include_deprecated: Annotated[
        bool, typer.Option("--include-deprecated", help="Also models past their end.")
    ] = False,
    unavailable: Annotated[bool, typer.Option("--unavailable", help="Also models whose provider is off.")] = False,
    as_json: AsJson = False,
) -> int:
    """The catalogue: what can be called, what it can do, what it costs."""
    from bridge.config import BridgeConfig
    from bridge.gateway import Bridge
    from platform_api.cli.model_filters import ModelFilter

    bridge = Bridge(BridgeConfig.parse(settings_of_process().bridge))
    wanted = ModelFilter(
        names=None if alias is None else names_of_alias(bridge, alias),
        provider=provider,
        capabilities=known_capabilities(capability or ()),
        region=region,
        min_context=min_context,
        max_input_usd_per_mtok=max_input_price,
        max_output_usd_per_mtok=max_output_price,
        today=None if include_deprecated else datetime.now(UTC).date(),
    )
    entries = wanted.of(bridge.models(include_unavailable=unavailable))
    if as_json:
        print_json({"models": [model_json(entry) for entry in entries], "unavailable": bridge.unavailable()})
        return 0
    show_models(entries)
    for name, reason in bridge.unavailable().items():
        err.print(f"{name}: off, {reason}", style="dim", markup=False, highlight=False, soft_wrap=True)
    return 0


def names_of_alias(bridge: "Bridge", alias: str) -> frozenset[str]:
    """The models of an alias. Raises CommandError with those there are."""
    view = next((one for one in bridge.aliases() if one.name == alias), None)
    if view is None:
        known = ", ".join(one.name for one in bridge.aliases())
        raise CommandError(f"there is no alias {alias!r}; there are {known}")
    return frozenset(candidate.partition("@")[0] for candidate in (*view.candidates, *view.fallback))


def known_capabilities(given: Sequence[str]) -> frozenset[str]:
    """The capabilities. Raises CommandError for one that no model can have."""
    from bridge.config import Capability

    known = get_args(Capability)
    for name in given:
        if name not in known:
            raise CommandError(f"there is no capability {name!r}; there are {', '.join(known)}")
    return frozenset(given)


def route(
    alias: Annotated[str | None, typer.Option(help="An alias, or provider/model.")] = None,
    prompt: Annotated[str, typer.Option(help="The request to route; its length and needs decide.")] = "Hello",
    task: Task = None,
    explain: Annotated[bool, typer.Option("--explain", help="Every candidate with its reason.")] = False,
    replay: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="Take logged decisions again: a decision or call in each line."),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """What the router would do now; nothing is called."""
    if replay is not None:
        return _replay(replay, as_json=as_json)
    if alias is None:
        raise CommandError("give --alias, or --replay with a file of logged decisions")
    decision = _decided(alias, prompt, task)
    if as_json:
        print_json(decision.to_json())
        return 0
    out.print(f"{alias}: {' then '.join(decision.attempts) or 'no candidate'}", highlight=False, markup=False)
    if explain:
        show_decision(decision)
    return 0 if decision.attempts else FAILED


def _decided(alias: str, prompt: str, task: str | None) -> "Decision":
    from bridge.call_record import CallContext
    from bridge.chat import ChatRequest, Message
    from bridge.config import BridgeConfig
    from bridge.gateway import Bridge

    bridge = Bridge(BridgeConfig.parse(settings_of_process().bridge))
    request = ChatRequest(model=alias, messages=(Message.of("user", prompt),))
    return bridge.decide(request, CallContext(org_id="local", task=task))


def _replay(path: Path, *, as_json: bool) -> int:
    """1 when a decision comes out otherwise than it was logged, or cannot be taken again."""
    from platform_api.cli.decision_replay import replayed

    found = list(replayed(path))
    wrong = [one for one in found if one.problem is not None]
    if as_json:
        print_json({"decisions": len(found), "differences": [asdict(one) for one in wrong]})
    else:
        for one in wrong:
            out.print(f"line {one.line} {one.decision_id}: {one.problem}", markup=False, highlight=False)
        same = len(found) - len(wrong)
        out.print(f"{len(found)} decisions taken again, {same} the same, {len(wrong)} not", highlight=False)
    return FAILED if wrong else 0
