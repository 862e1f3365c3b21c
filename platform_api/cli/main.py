"""The `modelbridge` command. Each group of commands lives beside this file; heavy imports happen inside commands."""

import asyncio
import sys
import traceback

import typer
from typer.exceptions import Abort, Exit, TyperException

from platform_api.cli import (
    admin,
    approvals,
    flow_documents,
    flow_imports,
    flow_tests,
    flow_versions,
    models,
    platform,
    replays,
    runs,
    simulation,
)
from platform_api.cli.outcome import FAILED, INTERRUPTED, INVALID, UNREACHABLE, CommandError, err

app = typer.Typer(
    name="modelbridge",
    help="LLM workflows as a service: YAML flows, one bridge to many models, costs under control.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

app.command()(platform.up)
app.command()(runs.run)
app.command()(approvals.approve)
app.command()(flow_documents.validate)
app.command()(flow_documents.plan)
app.command("test")(flow_tests.run_tests)
app.command()(models.chat)
app.command("models")(models.list_models)
app.command()(models.route)
app.command()(simulation.simulate)
app.command()(flow_documents.schema)
app.command()(platform.serve)
app.command()(platform.worker)
app.command()(platform.studio)
app.command()(platform.doctor)
flow_imports.app.command()(flow_versions.diff)
flow_imports.app.command()(flow_versions.rollback)
app.add_typer(flow_imports.app, name="flows")
app.add_typer(replays.app, name="runs")
app.add_typer(platform.database, name="db")
app.add_typer(admin.app, name="admin")


def main() -> None:
    """Run the command line; the only place where an exception becomes an exit code."""
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    is_debugging = len(arguments) != len(sys.argv) - 1
    try:
        result = app(arguments, standalone_mode=False, prog_name="modelbridge")
        code = result if isinstance(result, int) else 0
    except BaseException as error:  # noqa: BLE001  # the outermost boundary: every ending becomes an exit code
        code = _exit_code(error)
        if is_debugging and not isinstance(error, SystemExit | Exit):
            traceback.print_exc()
    sys.exit(code)


def _exit_code(error: BaseException) -> int:
    """The code for an ending, after telling what happened in one line."""
    match error:
        case Exit():
            return error.exit_code
        case SystemExit():
            return error.code if isinstance(error.code, int) else FAILED
        case Abort() | KeyboardInterrupt() | asyncio.CancelledError():
            return INTERRUPTED
        case TyperException():
            _tell(f"{error.format_message()} (`modelbridge --help` lists the commands and their options)")
            return INVALID
        case CommandError():
            _tell(str(error))
            return error.code
        case _:
            return _tell_unexpected(error)


def _tell_unexpected(error: BaseException) -> int:
    from bridge.errors import BridgeError, ConfigurationError, UnknownModelError

    if isinstance(error, ConfigurationError | UnknownModelError | FileNotFoundError | IsADirectoryError):
        _tell(str(error))
        return INVALID
    if isinstance(error, BridgeError):
        _tell(str(error))
        return FAILED
    if isinstance(error, ConnectionError | TimeoutError) or _is_database_trouble(error):
        _tell(f"a service cannot be reached: {_first_line(error)}; `modelbridge doctor` shows what is configured")
        return UNREACHABLE
    _tell(f"internal error: {type(error).__name__}: {_first_line(error)}; --debug shows where")
    return FAILED


def _is_database_trouble(error: BaseException) -> bool:
    module = type(error).__module__
    return module.startswith(("asyncpg", "sqlalchemy")) and "Error" in type(error).__name__


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _tell(message: str) -> None:
    err.print(message, style="red", markup=False, highlight=False, soft_wrap=True)


if __name__ == "__main__":
    main()
