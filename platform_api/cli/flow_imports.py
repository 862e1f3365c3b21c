"""`flows import`: documents of other systems as flows, with a report of what did not map."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from platform_api.cli.flow_documents import model_names, read_document
from platform_api.cli.outcome import INVALID, CommandError, err, out, print_json
from platform_api.cli.platform import AsJson

if TYPE_CHECKING:
    from flows.import_report import Imported
    from flows.validate import Checked


app = typer.Typer(help="Flow documents of other systems, and versions.", no_args_is_help=True)


@app.callback()
def flows_group() -> None:
    """Flow documents of other systems, and versions."""


@app.command("import")
def import_flow(
    file: Annotated[Path, typer.Argument(help="A Dify DSL, flow.dag.yaml or Argo WorkflowTemplate.", metavar="FILE")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where to write it; else it is printed.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="The flow's name, for documents without one.")] = None,
    as_json: AsJson = False,
) -> int:
    """Turn a document of another system into a flow. Exit 2 when nothing in it can be one."""
    from flows.errors import InvalidFlowError
    from flows.importing import import_document
    from flows.validate import check

    catalog = model_names()
    folder = file.resolve().parent
    try:
        made = import_document(
            read_document(file),
            file=str(file),
            catalog=catalog,
            read_beside=lambda path: _read_within(folder, path),
            name=name or folder.name,
        )
    except (InvalidFlowError, ValueError) as error:
        raise CommandError(f"{file}: {error}", INVALID) from error
    checked = check(made.text, file=str(output or made.name), catalog=catalog)
    if output is not None:
        output.write_text(made.text, encoding="utf-8")
    _show(made, checked, is_written=output is not None, as_json=as_json)
    return 0


def _read_within(folder: Path, path: str) -> str:
    """A file of the document's folder; one elsewhere counts as absent."""
    wanted = (folder / path).resolve()
    if not wanted.is_relative_to(folder):
        raise FileNotFoundError(path)
    return wanted.read_text(encoding="utf-8")


def _show(made: "Imported", checked: "Checked", *, is_written: bool, as_json: bool) -> None:
    problems = [diagnostic.to_json() for diagnostic in checked.diagnostics]
    if as_json:
        print_json({**made.to_json(), "yaml": made.text, "diagnostics": problems})
        return
    if not is_written:
        out.print(made.text, markup=False, highlight=False, soft_wrap=True, end="")
    table = Table("line", "", "what", "why", title=f"{made.family} -> {made.name}")
    for one in made.findings:
        colour = "red" if one.kind == "left_out" else "yellow"
        table.add_row(str(one.line), f"[{colour}]{one.kind.replace('_', ' ')}[/]", escape(one.what), escape(one.why))
    if made.findings:
        err.print(table)
    whole = len(made.steps) - len(made.placeholders)
    err.print(f"{whole} of {len(made.steps)} steps carried over; {len(made.findings)} findings", highlight=False)
    if made.placeholders:
        err.print(f"these fail until you replace them: {', '.join(made.placeholders)}", markup=False, highlight=False)
    for diagnostic in checked.diagnostics:
        err.print(diagnostic.to_text(), markup=False, highlight=False, soft_wrap=True)
