"""`up`, `serve`, `worker`, `studio`, `doctor`, `db`: the parts of the platform as processes."""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from platform_api.cli.outcome import INTERRUPTED, INVALID, UNREACHABLE, CommandError, err, money, out, print_json

if TYPE_CHECKING:
    from platform_api.local_owner import LocalOwner
    from platform_api.local_platform import LocalPlatform
    from platform_api.settings import Settings

Host = Annotated[str | None, typer.Option(help="Address to listen on.", show_default="127.0.0.1")]
Port = Annotated[int | None, typer.Option(min=1, max=65535, help="Port of the API.", show_default="8000")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]


def settings_of_process(**flags: object) -> "Settings":
    """Settings from the environment and modelbridge.yaml, with the flags that were given on top."""
    from platform_api.settings import Settings, SettingsError

    try:
        settings = Settings.from_environment()
    except SettingsError as error:
        raise CommandError(str(error), INVALID) from error
    return settings.model_copy(update={name: value for name, value in flags.items() if value is not None})


def up(  # the options are PRODUCT's
    host: Host = None,
    port: Port = None,
    studio_port: Annotated[int | None, typer.Option(min=1, max=65535, show_default="8501")] = None,
    no_studio: Annotated[bool, typer.Option("--no-studio", help="Without the studio.")] = False,
    no_demo: Annotated[bool, typer.Option("--no-demo", help="Without the demo run.")] = False,
    as_json: AsJson = False,
) -> int:
    """Start the whole platform on this machine and answer one demo flow. Ctrl-C stops everything."""
    settings = settings_of_process(host=host, port=port, studio_port=studio_port)
    return asyncio.run(_up(settings, with_studio=not no_studio, with_demo=not no_demo, as_json=as_json))


async def _up(settings: "Settings", *, with_studio: bool, with_demo: bool, as_json: bool) -> int:
    from platform_api.local_platform import LocalPlatform, StartError
    from platform_api.settings import inherited_environment

    stopped = asyncio.Event()
    code = 0

    def stop_with(exit_code: int) -> None:
        nonlocal code
        code = exit_code
        stopped.set()

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, stop_with, INTERRUPTED)
    loop.add_signal_handler(signal.SIGTERM, stop_with, 0)
    platform = LocalPlatform(settings, inherited_environment(), with_studio=with_studio)
    serving = asyncio.create_task(_serve_until(platform, stopped, with_demo=with_demo, as_json=as_json))
    stopping = asyncio.create_task(stopped.wait())
    try:
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            serving.result()
    except StartError as error:
        raise CommandError(str(error), UNREACHABLE if error.is_unreachable else INVALID) from error
    finally:
        serving.cancel()
        stopping.cancel()
        await asyncio.gather(serving, stopping, return_exceptions=True)
        err.print("stopping ...", style="dim")
        await platform.stop()
    return code


async def _serve_until(platform: "LocalPlatform", stopped: asyncio.Event, *, with_demo: bool, as_json: bool) -> None:
    """Start, show what there is, run the demo, and watch until a part falls or `stopped` is set."""
    with err.status("starting the API ..."):
        owner = await platform.start()
    _show_addresses(platform, owner, as_json=as_json)
    if with_demo:
        await _show_demo(platform, owner, as_json=as_json)
    problem = await platform.durable_lane()
    err.print("durable lane ready" if problem is None else f"durable lane off: {problem}", style="dim", markup=False)
    why = await platform.fallen()
    if not stopped.is_set():
        raise CommandError(why, UNREACHABLE)


def _show_addresses(platform: "LocalPlatform", owner: "LocalOwner", *, as_json: bool) -> None:
    addresses = {
        "api": platform.api_url,
        "docs": f"{platform.api_url}/docs",
        "openai_base_url": f"{platform.api_url}/v1",
        "studio": platform.studio_url if platform.with_studio else None,
    }
    if as_json:
        print_json({"addresses": addresses, "email": owner.email, "password": owner.password, "api_key": owner.api_key})
        return
    out.print("[bold green]Model Bridge is up[/]")
    for name, value in (*addresses.items(), ("email", owner.email), ("password", owner.password)):
        if value is not None:
            out.print(f"  {name:<16} {value}", highlight=False, soft_wrap=True)
    out.print(f"  {'api_key':<16} {owner.api_key}", highlight=False, soft_wrap=True)


async def _show_demo(platform: "LocalPlatform", owner: "LocalOwner", *, as_json: bool) -> None:
    import httpx

    from platform_api.demo import FLOW_FILE, TICKET, run_demo

    try:
        with err.status("running the demo flow over REST ..."):
            answer = await run_demo(platform.api_url, owner.api_key)
    except httpx.HTTPError as error:
        err.print(f"the demo flow could not be run: {error}", style="yellow", markup=False, soft_wrap=True)
        return
    if as_json:
        print_json(
            {"run_id": answer.run_id, "status": answer.status, "outputs": answer.outputs, "cost_usd": answer.cost_usd}
        )
        return
    out.print(f"\n[bold]Demo[/] examples/{FLOW_FILE}, triggered over REST")
    out.print(f"  {'ticket':<16} {TICKET}", highlight=False, markup=False, soft_wrap=True)
    for name, value in answer.outputs.items():
        out.print(f"  {name:<16} {value}", highlight=False, markup=False, soft_wrap=True)
    for problem in answer.errors:
        out.print(f"  {'error':<16} {problem}", style="yellow", highlight=False, markup=False, soft_wrap=True)
    out.print(f"  {'status':<16} {answer.status}", highlight=False)
    out.print(f"  {'answered by':<16} {', '.join(answer.models) or '—'}", highlight=False, markup=False)
    out.print(f"  {'cost':<16} {money(answer.cost_usd)}", highlight=False)
    if platform.with_studio:
        out.print(
            f"  {'look at it':<16} {platform.studio_url}/run?run={answer.run_id}", highlight=False, soft_wrap=True
        )
    out.print("\nCtrl-C stops everything.", style="dim")


def serve(host: Host = None, port: Port = None) -> int:
    """Run the API, with its inline lane, in this process."""
    from platform_api.api_process import serve_api
    from platform_api.supervisor import is_port_free

    settings = settings_of_process(host=host, port=port)
    if not is_port_free(settings.host, settings.port):
        raise CommandError(f"port {settings.port} on {settings.host} is taken; choose another with --port", INVALID)
    return serve_api(settings)


def worker(
    pool: Annotated[str, typer.Option(help="The Prefect work pool to take runs from.")] = "modelbridge",
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for a Prefect API that is starting.")] = 60.0,
    ready_file: Annotated[Path | None, typer.Option(hidden=True)] = None,
) -> int:
    """Run flows of the durable lane; needs PREFECT_API_URL."""
    from platform_api.worker import run_process

    settings = settings_of_process()
    if settings.prefect_api_url is None:
        raise CommandError("PREFECT_API_URL is not set: a worker takes its runs from a Prefect API", INVALID)
    return run_process(settings, pool=pool, wait_s=wait, ready_file=ready_file)


def studio(
    host: Host = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, show_default="8501")] = None,
    api: Annotated[str, typer.Option(help="Where the platform's API answers.")] = "http://127.0.0.1:8000",
) -> int:
    """Run the studio."""
    settings = settings_of_process(host=host, studio_port=port)
    command = [sys.executable, "-m", "studio", "--api-url", api, "--host", settings.host]
    command += ["--port", str(settings.studio_port)]
    if (settings.sections.studio.public_url or "").startswith("https:"):
        command.append("--secure-cookies")
    os.execv(sys.executable, command)  # noqa: S606  # this process becomes the studio


database = typer.Typer(help="The platform's database.", no_args_is_help=True)


@database.callback()
def database_group() -> None:
    """The platform's database."""


@database.command()
def upgrade(as_json: AsJson = False) -> int:
    """Bring the database to the newest migration. Safe to repeat, and while others do the same."""
    from platform_api.migrations import runner

    settings = settings_of_process()
    try:
        runner.upgrade(settings.database_url)
    except OSError as error:
        raise CommandError(f"the database cannot be reached: {error}", UNREACHABLE) from error
    if as_json:
        print_json({"revision": runner.head()})
    else:
        out.print(f"database is at {runner.head()}", highlight=False)
    return 0


def doctor(as_json: AsJson = False) -> int:
    """Explain the effective configuration, secrets masked, and what can be reached."""
    from platform_api.cli.diagnosis import diagnose, show

    report = asyncio.run(diagnose(settings_of_process()))
    if as_json:
        print_json(report.to_json())
    else:
        show(report)
    return UNREACHABLE if report.has_unreachable else 0
