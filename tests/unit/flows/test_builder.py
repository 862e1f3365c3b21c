from pathlib import Path

import pytest

from flows.builder import FlowBuilder, step
from flows.builder_expressions import Expr, call, coalesce, expr, literal
from flows.errors import InvalidFlowError
from flows.validate import check
from flows.versions import content_hash
from platform_api.cli.flow_documents import reader_beside
from tests.support.conformance import EveryModel

ROOT = Path(__file__).parents[3]
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml")) + sorted((ROOT / "examples/nodes").glob("*.yaml"))

DOCUMENT = """\
# Who owns this: support.
flow: kept   # the name
spec: 1

# How it is paid.
budget: {usd: 0.10}   # ten cents
nodes:
  # says it
  say:
    type: template
    with:
      # the words
      template: "{{ who }}!"   # loud
      vars: {who: "${{ inputs.who }}"}   # from outside
  # says it again
  again: {type: noop}   # later

  # the end of the steps
outputs:
  said: ${{ nodes.say.output.text }}
"""


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_goes_through_the_builder_byte_for_byte(example: Path) -> None:
    text = example.read_text(encoding="utf-8")

    assert FlowBuilder.from_yaml(text).to_yaml() == text


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_rebuilt_step_by_step_compiles_to_the_same_steps(example: Path) -> None:
    text = example.read_text(encoding="utf-8")
    written = FlowBuilder.from_yaml(text)
    document = written.get(())
    assert isinstance(document, dict)
    built = FlowBuilder("x")
    for section in ("flow", "inputs", "timeout", "defaults", "concurrency", "triggers", "outputs"):
        if section in document:
            built.set((section,), document[section])
    if "budget" in document:
        built.budget(float(str(written.get("budget.usd"))))
    nodes = written.get("nodes")
    assert isinstance(nodes, dict)
    for name, one in nodes.items():
        assert isinstance(one, dict)
        rest = {key: part for key, part in one.items() if key not in {"type", "with"}}
        block = one.get("with")
        built.step(str(name), str(one["type"]), block if isinstance(block, dict) else None, **rest)

    old = check(text, file="f", catalog=EveryModel(), read_ref=reader_beside(example)).plan
    new = check(built.to_yaml(), file="f", catalog=EveryModel(), read_ref=reader_beside(example)).plan
    assert old is not None
    assert new is not None
    assert [(one.id, one.fingerprint) for one in new.block.steps] == [
        (one.id, one.fingerprint) for one in old.block.steps
    ]
    assert (new.inputs_schema, new.outputs, new.budget) == (old.inputs_schema, old.outputs, old.budget)


def test_a_changed_value_leaves_every_other_line_as_it_was() -> None:
    flow = FlowBuilder.from_yaml(DOCUMENT)

    flow.set("nodes.say.with.template", "{{ who }}?")

    assert flow.to_yaml() == DOCUMENT.replace('"{{ who }}!"', "'{{ who }}?'")


def test_a_value_inside_a_one_line_map_keeps_the_comment_behind_it() -> None:
    flow = FlowBuilder.from_yaml(DOCUMENT)

    flow.set("budget.on_exceed", "degrade")
    flow.set("nodes.again.when", "${{ inputs.who == 'x' }}")

    lines = flow.to_yaml().split("\n")
    assert lines[5] == "budget: {usd: 0.10, on_exceed: degrade} # ten cents"
    assert lines[15] == "  again: {type: noop, when: \"${{ inputs.who == 'x' }}\"} # later"
    assert [*lines[:5], *lines[6:15], *lines[16:]] == [
        line for number, line in enumerate(DOCUMENT.split("\n")) if number not in {5, 15}
    ]


def test_a_new_section_goes_where_the_language_has_it() -> None:
    flow = FlowBuilder.from_yaml(DOCUMENT)

    flow.input("who", type="string")
    flow.step("third", "noop", needs=["again"])

    text = flow.to_yaml()
    assert "spec: 1\ninputs:\n  who: {type: string}\n\n# How it is paid.\nbudget" in text
    assert "# later\n  third: {type: noop, needs: [again]}\n\n  # the end of the steps\noutputs:" in text
    assert flow.plan(EveryModel()).flow == "kept"


def test_what_is_removed_takes_its_own_comment_along_and_no_other() -> None:
    flow = FlowBuilder.from_yaml(DOCUMENT)

    flow.remove("nodes.say.with.vars")
    flow.remove("nodes.again")

    text = flow.to_yaml()
    assert "says it again" not in text
    assert "# from outside" not in text
    assert "# the words" in text
    assert "# says it\n" in text


def test_the_last_entry_of_a_map_takes_the_map_along() -> None:
    flow = FlowBuilder.from_yaml(DOCUMENT)

    flow.remove("outputs.said")

    assert "outputs" not in flow.to_yaml()
    with pytest.raises(KeyError):
        flow.get("outputs")


def test_windows_line_ends_stay() -> None:
    flow = FlowBuilder.from_yaml(DOCUMENT.replace("\n", "\r\n"))

    flow.set("budget.usd", 0.25)

    assert flow.to_yaml() == DOCUMENT.replace("0.10", "0.25").replace("\n", "\r\n")


def test_a_flow_built_in_python_validates_and_reads_well() -> None:
    flow = FlowBuilder("review", description="Answer: politely")
    text = flow.input("review", type="string", minLength=1)
    mood = flow.step("mood", "classify", {"text": text, "classes": {"happy": "praises", "angry": "complains"}})
    reply = flow.step(
        "reply",
        "llm",
        {"model": "balanced", "prompt": "Answer this.\n\n{{ review }}\n", "vars": {"review": text}},
        when=(mood.output.label == "angry") & (mood.output.confidence > 0.5),
    )
    flow.step("each", "foreach", {"items": ["a", "b"], "do": {"say": step("template", {"template": "x"})}})
    flow.output("answer", coalesce(reply.output.text, "none"))
    flow.finally_("done", "noop", {"message": f"ended as {expr('run.status')}"})
    flow.budget(0.5)

    assert flow.check(EveryModel()).diagnostics == ()
    assert flow.to_yaml() == (
        "flow: review\nspec: 1\ndescription: 'Answer: politely'\n"
        "inputs:\n  review: {type: string, minLength: 1}\n"
        "budget: {usd: 0.5, on_exceed: stop}\n"
        "nodes:\n"
        "  mood:\n    type: classify\n"
        "    with: {text: '${{ inputs.review }}', classes: {happy: praises, angry: complains}}\n"
        "  reply:\n    type: llm\n"
        '    when: ${{ nodes.mood.output.label == "angry" && nodes.mood.output.confidence > 0.5 }}\n'
        "    with:\n      model: balanced\n      prompt: |\n        Answer this.\n\n        {{ review }}\n"
        "      vars: {review: '${{ inputs.review }}'}\n"
        "  each: {type: foreach, with: {items: [a, b], do: {say: {type: template, with: {template: x}}}}}\n"
        'outputs:\n  answer: ${{ coalesce(nodes.reply.output.text, "none") }}\n'
        "finally:\n  - {id: done, type: noop, with: {message: 'ended as ${{ run.status }}'}}\n"
    )


def test_operators_put_brackets_where_cel_needs_them() -> None:
    a, b = Expr("inputs.a", strength=10), Expr("inputs.b", strength=10)

    assert ((a + 1) * 2.0 > b).cel == "(inputs.a + 1) * 2.0 > inputs.b"
    assert (~((a == "x") | b) & a).cel == '!(inputs.a == "x" || inputs.b) && inputs.a'
    assert (a - (b - 1)).cel == "inputs.a - (inputs.b - 1)"
    assert ((a == b) == b["k"][0]).cel == '(inputs.a == inputs.b) == inputs.b["k"][0]'
    assert call("size", a.is_in(["x", None, True])).cel == 'size(inputs.a in ["x", null, true])'
    assert literal({"k": a}) == '{"k": inputs.a}'


def test_an_expression_in_a_python_condition_is_refused_with_the_way_out() -> None:
    with pytest.raises(TypeError, match="use & for and"):
        assert Expr("inputs.a") == 1


def test_texts_that_would_read_as_something_else_are_quoted() -> None:
    flow = FlowBuilder("f")
    texts = [
        "5",
        "1.10",
        "true",
        "no",
        "null",
        "",
        "~",
        "2026-01-01",
        "12:30",
        "<<",
        "---",
        " a",
        "# b",
        "a: b",
        "x\ny",
    ]
    flow.set("tests", [{"name": "t", "inputs": {"texts": texts}}])

    assert flow.get(("tests", 0, "inputs", "texts")) == texts


def test_numbers_that_json_lacks_and_broken_documents_are_refused() -> None:
    with pytest.raises(ValueError, match="no JSON number"):
        FlowBuilder("f").set("budget.usd", float("nan"))
    with pytest.raises(TypeError, match="no JSON value"):
        FlowBuilder("f").set("budget", {"usd": object()})
    with pytest.raises(InvalidFlowError, match="a flow is a map"):
        FlowBuilder.from_yaml("- a\n")
    with pytest.raises(KeyError, match="neither map nor list"):
        FlowBuilder.from_yaml(DOCUMENT).set("flow.inner", 1)


def test_the_version_hash_of_an_untouched_document_is_unchanged() -> None:
    assert content_hash(FlowBuilder.from_yaml(DOCUMENT).to_yaml()) == content_hash(DOCUMENT)
