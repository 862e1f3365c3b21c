"""Documents of other systems, imported, validated without an error, and run on the real bridge with a mock provider."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio

from bridge.clock import FrozenClock
from bridge.config import BridgeConfig
from bridge.gateway import Bridge
from bridge.json_types import JsonObject
from flows.errors import InvalidFlowError
from flows.import_argo_conditions import condition_of, waits_of
from flows.import_argo_scripts import as_function
from flows.import_report import Imported
from flows.importing import import_document
from flows.inputs import check_inputs
from flows.runs import Run
from flows.validate import check
from nodes.context import HttpRules
from nodes.node import node_types
from nodes.outside import Outside, PythonRules
from platform_api.cli.flow_imports import import_flow
from platform_api.cli.outcome import CommandError
from platform_api.model_names import BridgeNames
from tests.support.conformance import CaseAnswers
from tests.support.engine import START, Engine
from tests.support.http_server import Asked, http_server

FOLDER = Path(__file__).parents[1] / "contract" / "imports"
CONFIG: JsonObject = {
    "providers": {"openai": {"base_url": "mock://openai", "dialect": "openai"}},
    "aliases": {"balanced": {"policy": "priority", "candidates": ["openai/gpt-4o-mini"]}},
}
DOCUMENTS = [*sorted(FOLDER.glob("*/*.y*ml")), *sorted(FOLDER.glob("*/*/flow.dag.yaml"))]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bridge() -> AsyncIterator[Bridge]:
    made = Bridge(BridgeConfig.parse(CONFIG))
    yield made
    await made.aclose()


@dataclass(frozen=True)
class Worked:
    """An import and how its run ended."""

    imported: Imported
    run: Run
    statuses: dict[str, str]

    @property
    def told(self) -> dict[str, int]:
        """What was found, with its line."""
        return {finding.what: finding.line for finding in self.imported.findings}


def imported(path: str | Path, bridge: Bridge) -> Imported:
    file = FOLDER / path
    return import_document(
        file.read_text(encoding="utf-8"),
        file=file.name,
        catalog=BridgeNames(bridge, tries=1),
        read_beside=lambda name: (file.parent / name).read_text(encoding="utf-8"),
        name=file.parent.name,
    )


async def work(path: str, bridge: Bridge, inputs: JsonObject, *, approves: JsonObject | None = None) -> Worked:
    """Import a document and walk a run of it to its end."""
    made = imported(path, bridge)
    checked = check(made.text, file=path, catalog=BridgeNames(bridge, tries=1))
    assert checked.plan is not None, [one.to_text() for one in checked.diagnostics]
    clock = FrozenClock(START)
    said = {
        "r1": {
            step: [{"by": "ann", "decision": "approve", "values": values}] for step, values in (approves or {}).items()
        }
    }
    engine = Engine(clock=clock)
    engine.services = replace(
        engine.services,
        models=bridge,
        node_types=node_types(),
        answers=(answers := CaseAnswers(clock, said)),
        http=HttpRules(allow_hosts=frozenset({"127.0.0.1"})),
        outside=Outside(python=PythonRules(allow_source=True)),
    )
    engine.lane = type(engine.lane)(engine.services)
    run = await engine.start(checked.plan, check_inputs(checked.plan.inputs_schema, inputs))
    if run.status == "waiting":
        clock.advance(5.0)
        answers.give("r1")
        run = await engine.walk(checked.plan)
    return Worked(made, run, await engine.statuses())


@pytest.mark.parametrize(
    "path", DOCUMENTS, ids=lambda path: path.parent.name if path.name == "flow.dag.yaml" else path.stem
)
def test_an_import_validates_and_says_the_place_of_all_that_is_not_the_same(path: Path, bridge: Bridge) -> None:
    made = imported(path, bridge)

    assert not check(made.text, file=path.name, catalog=BridgeNames(bridge, tries=1)).has_errors
    n_lines = path.read_text(encoding="utf-8").count("\n")
    assert all(1 <= one.line <= n_lines and one.what and one.why for one in made.findings)
    report = json.loads(json.dumps(made.to_json()))
    assert set(report["placeholders"]) <= set(report["steps"])
    assert len(report["findings"]) == made.text.count("# left out, line ") + made.text.count("# changed, line ")


@pytest.mark.asyncio(loop_scope="module")
async def test_a_dify_classifier_takes_one_way_and_the_ways_meet_again(bridge: Bridge) -> None:
    worked = await work("dify/complaint_desk.yml", bridge, {"complaint": "I want my money back", "language": "German"})

    assert worked.run.status == "succeeded"
    assert worked.run.outputs is not None
    assert str(worked.run.outputs["letter"]).startswith("To whom it may concern,\n")
    assert str(worked.run.outputs["letter"]).endswith("Grüße")
    ways = [worked.statuses[name].partition(":")[0] for name in ("refund_letter", "plain_letter")]
    assert sorted(ways) == ["skipped", "succeeded"]
    assert worked.told["memory of Refund letter"] == 59
    assert worked.told["model acme/house-model"] == 68
    assert worked.imported.placeholders == ()


@pytest.mark.asyncio(loop_scope="module")
async def test_a_dify_iteration_runs_code_and_extraction_for_each_item(bridge: Bridge) -> None:
    worked = await work("dify/review_digest.yml", bridge, {"reviews": "five stars\n\nnever again\n"})

    assert worked.run.status == "succeeded"
    assert worked.run.outputs is not None
    stars = worked.run.outputs["stars"]
    assert isinstance(stars, list)
    assert len(stars) == 2
    assert all(isinstance(one, float | int) for one in stars)
    assert worked.statuses["ask_the_wiki"].startswith("skipped")


@pytest.mark.asyncio(loop_scope="module")
async def test_a_step_that_was_not_carried_over_fails_the_run_that_reaches_it(bridge: Bridge) -> None:
    worked = await work("dify/review_digest.yml", bridge, {"reviews": "only one\n"})

    assert worked.imported.placeholders == ("ask_the_wiki",)
    assert worked.run.status == "failed"
    assert worked.run.errors[0].node == "ask_the_wiki"


@pytest.mark.asyncio(loop_scope="module")
async def test_a_dify_chat_flow_goes_on_with_its_default_when_a_request_fails(bridge: Bridge) -> None:
    worked = await work("dify/order_chat.yml", bridge, {"order": "A1", "query": "where is it?"})

    assert worked.run.status == "partial"
    assert worked.run.outputs == {"answer": "There is no order A1."}


@pytest.mark.asyncio(loop_scope="module")
async def test_promptflow_tools_run_as_code_and_activation_decides(bridge: Bridge) -> None:
    calm = await work("promptflow/triage/flow.dag.yaml", bridge, {"mail": "Where   is my order?"})
    urgent = await work("promptflow/triage/flow.dag.yaml", bridge, {"mail": "It is DOWN"})

    assert calm.run.outputs is not None
    assert "Where is my order?" in str(calm.run.outputs["reply"])
    assert urgent.run.outputs is not None
    assert urgent.run.outputs["reply"] is None
    assert urgent.statuses["write_reply"].startswith("skipped")
    assert calm.told["variants long of sort_it"] == 45


@pytest.mark.asyncio(loop_scope="module")
async def test_promptflow_chat_history_and_prompts_reach_the_model(bridge: Bridge) -> None:
    history = [{"inputs": {"question": "what is rain?"}, "outputs": {"answer": "water"}}]
    worked = await work("promptflow/tutor/flow.dag.yaml", bridge, {"question": "and snow?", "chat_history": history})

    assert worked.run.outputs is not None
    assert all(part in str(worked.run.outputs["answer"]) for part in ("what is rain?", "water", "and snow?", "level 3"))


@pytest.mark.asyncio(loop_scope="module")
async def test_promptflow_tools_without_a_counterpart_are_named(bridge: Bridge) -> None:
    worked = await work("promptflow/grader/flow.dag.yaml", bridge, {"truth": "A", "answer": "a", "strict": False})

    assert worked.run.outputs == {"grade": "The answer is same.", "lookup": None}
    assert worked.imported.placeholders == ("lookup",)
    assert worked.told["node mean"] == 22


@pytest.mark.asyncio(loop_scope="module")
async def test_an_argo_dag_asks_its_editor_and_reports(bridge: Bridge) -> None:
    final = await work(
        "argo/publish_article.yaml",
        bridge,
        {"text": "one two three four", "mode": "final"},
        approves={"ask_editor": {"verdict": "accept"}},
    )
    draft = await work("argo/publish_article.yaml", bridge, {"text": "one two"})

    assert final.run.outputs == {"label": "Article of 4 words - 4"}
    assert final.statuses["ask_editor"] == "succeeded"
    assert final.statuses["too_bad"].startswith("skipped")
    assert draft.statuses["ask_editor"].startswith("skipped")
    assert draft.run.outputs == {"label": "Article of 2 words - 2"}


@pytest.mark.asyncio(loop_scope="module")
async def test_what_argo_pastes_into_code_stays_a_value(bridge: Bridge) -> None:
    worked = await work("argo/publish_article.yaml", bridge, {"text": '".split()); print("stolen'})

    assert worked.run.status == "succeeded"
    assert worked.run.outputs == {"label": "Article of 2 words - 2"}


@pytest.mark.asyncio(loop_scope="module")
async def test_an_argo_fan_out_runs_once_an_item(bridge: Bridge) -> None:
    worked = await work("argo/fan_out.yaml", bridge, {"greeting": "Hi"})

    assert worked.statuses["greet_each"] == worked.statuses["pairs"] == "succeeded"
    assert worked.statuses["at_exit"] == "succeeded"
    assert worked.imported.placeholders == ("shared",)
    assert worked.run.status == "failed"


@pytest.mark.asyncio(loop_scope="module")
async def test_an_argo_probe_that_fails_is_read_by_what_depends_on_its_failure(bridge: Bridge) -> None:
    def answer(asked: Asked) -> tuple[int, dict[str, str], bytes]:
        return (200, {}, b"ok") if asked.target == "/health" else (404, {}, b"")

    async with http_server(answer) as server:
        well = await work("argo/health_report.yaml", bridge, {"base": server.url("")})
        ill = await work("argo/health_report.yaml", bridge, {"base": server.url("/no")})

    assert (well.run.status, well.run.outputs) == ("succeeded", {"verdict": "good"})
    assert well.statuses["regions"] == ill.statuses["regions"] == "succeeded"
    assert ill.statuses["verdict"].startswith("skipped")


def test_the_command_writes_the_flow_and_its_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written = tmp_path / "flow.yaml"
    code = import_flow(FOLDER / "promptflow/tutor/flow.dag.yaml", output=written, name=None, as_json=True)

    report = json.loads(capsys.readouterr().out)
    assert code == 0
    assert (report["family"], report["flow"], report["placeholders"]) == ("promptflow", "tutor", [])
    assert [one["what"] for one in report["findings"] if one["line"] == 22] == ["roles of talk"]
    assert written.read_text(encoding="utf-8") == report["yaml"]
    assert report["diagnostics"] == []


def test_the_command_reads_no_file_outside_of_the_documents_folder(tmp_path: Path) -> None:
    (tmp_path / "secret.jinja2").write_text("a secret", encoding="utf-8")
    (tmp_path / "flow").mkdir()
    node = "{name: a, type: prompt, source: {path: ../secret.jinja2}}"
    (tmp_path / "flow/flow.dag.yaml").write_text(f"nodes: [{node}]\n", encoding="utf-8")
    written = tmp_path / "out.yaml"

    assert import_flow(tmp_path / "flow/flow.dag.yaml", output=written, name="f") == 0
    assert "a secret" not in written.read_text(encoding="utf-8")
    with pytest.raises(CommandError, match="neither a Dify app"):
        import_flow(written)


def test_argo_conditions_read_as_argo_reads_them() -> None:
    read = {"tasks.a.outputs.result": "nodes.a.output.stdout", "workflow.parameters.n": "inputs.n"}.get
    ids = {"a": "a", "b-2": "b_2"}

    assert waits_of("a && b-2", ids).to_step() == {"needs": ["a", "b_2"], "join": "none_failed"}
    assert waits_of("!a.Failed || b-2", ids).when == (
        '!(nodes.a.status == "failed") || (nodes.b_2.status in ["succeeded", "skipped"])'
    )
    assert condition_of("{{tasks.a.outputs.result}} == heads", read) == 'text(nodes.a.output.stdout) == "heads"'
    assert condition_of("({{workflow.parameters.n}} > 5) || 'x y' != yes", read) == (
        '(double(inputs.n) > 5) || "x y" != "yes"'
    )
    assert condition_of("{{unknown}} == 1", read) is None
    assert condition_of("'{{workflow.parameters.n}}' =~ 'a.*'", read) is None
    with pytest.raises(ValueError, match="no task `c`"):
        waits_of("a && c", ids)
    with pytest.raises(ValueError, match="cannot be read"):
        waits_of("a && $", ids)


def test_a_script_with_a_text_over_lines_keeps_it() -> None:
    made = as_function('text = """a\n  {{x}}\nb"""\nprint(text, {{x}}, r"{{x}}")\n', partial(str.upper))

    assert made is not None
    scope: dict[str, object] = {}
    exec(made[0], scope)  # the function is what is tested
    printed: list[tuple[object, ...]] = []
    scope["print"] = lambda *parts: printed.append(parts)  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]  # stands for print
    scope["main"]("[1]")  # pyright: ignore[reportCallIssue]  # made by the text above
    assert printed == [("a\n  [1]\nb", [1], "[1]")]
    assert as_function("for x in\n", partial(str.upper)) is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("flow: x\nnodes: {}\n", "neither a Dify app"),
        ("a: &x 1\nkind: app\n", "anchors are not allowed"),
        ("- 1\n", "neither"),
    ],
)
def test_other_documents_are_refused_with_their_place(text: str, problem: str, bridge: Bridge) -> None:
    with pytest.raises(InvalidFlowError, match=problem):
        import_document(text, file="f", catalog=BridgeNames(bridge, tries=1), read_beside=str)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("kind: app\napp: {mode: agent-chat}\n", "has no workflow"),
        ("apiVersion: argoproj.io/v1alpha1\nspec: {entrypoint: a, templates: [{name: a, container: {}}]}\n", "no DAG"),
    ],
)
def test_apps_without_a_graph_say_so(text: str, problem: str, bridge: Bridge) -> None:
    with pytest.raises(ValueError, match=problem):
        import_document(text, file="f", catalog=BridgeNames(bridge, tries=1), read_beside=str)
