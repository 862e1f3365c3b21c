import pytest

from flows.validate import Checked, check
from flows.validate_children import resolve_reference
from nodes.node import ModelUse

CHILD = "flow: child\ninputs: {n: {type: integer}}\nnodes: {a: {type: noop}}\noutputs: {twice: '${{ inputs.n * 2 }}'}\n"


class NoModels:
    def knows(self, name: str) -> bool:
        return False

    def suggest(self, name: str) -> str | None:
        return None

    def worst_case_nano_usd(self, use: ModelUse) -> int | None:
        return None

    def expected_nano_usd(self, use: ModelUse) -> int | None:
        return None


def parent(call: str, output: str = "nodes.call.output.outputs.twice") -> str:
    return f"flow: parent\nnodes:\n  call: {{type: flow, with: {call}}}\noutputs: {{o: '${{{{ {output} }}}}'}}\n"


def checked(text: str, files: dict[str, str]) -> Checked:
    def read(reference: str) -> str:
        if "@" in reference:
            raise NotImplementedError
        return files[reference]

    return check(text, file="parent.yaml", catalog=NoModels(), read_ref=read)


def codes(result: Checked) -> list[tuple[str, int, int]]:
    return [(d.code, d.line, d.column) for d in result.diagnostics]


def test_a_child_is_compiled_into_its_parents_plan() -> None:
    result = checked(parent("{ref: ./child.yaml, inputs: {n: 2}}"), {"./child.yaml": CHILD})

    assert codes(result) == []
    assert result.plan is not None
    assert result.plan.children["./child.yaml"].flow == "child"


def test_the_call_is_checked_by_the_childs_inputs_and_outputs() -> None:
    files = {"./child.yaml": CHILD}

    assert codes(checked(parent("{ref: ./child.yaml, inputs: {n: two}}"), files)) == [("wrong_type", 3, 60)]
    assert codes(checked(parent("{ref: ./child.yaml, inputs: {m: 2}}"), files)) == [
        ("missing_key", 3, 48),
        ("unknown_key", 3, 57),
    ]
    assert codes(checked(parent("{ref: ./child.yaml, inputs: {n: 2}}", "nodes.call.output.outputs.twic"), files)) == [
        ("unknown_field", 4, 45)
    ]


def test_what_is_wrong_with_a_child_is_told_at_the_call() -> None:
    assert codes(checked(parent("{ref: ./nowhere.yaml}"), {})) == [("unknown_flow", 3, 34)]
    assert codes(checked(parent("{ref: ./child.yaml}"), {"./child.yaml": "flow: x"})) == [("bad_child_flow", 3, 34)]
    assert codes(checked(parent("{ref: ./me.yaml}"), {"./me.yaml": parent("{ref: ./me.yaml}")})) == [
        ("bad_child_flow", 3, 34)
    ]


def test_a_published_flow_that_cannot_be_read_here_is_left_to_the_run() -> None:
    assert codes(checked(parent("{ref: other@3, inputs: {x: 1}}"), {})) == []


@pytest.mark.parametrize(
    ("reference", "seen_from", "path"),
    [
        ("./b.yaml", "", "./b.yaml"),
        ("./b.yaml", "./sub/a.yaml", "./sub/b.yaml"),
        ("../b.yaml", "./sub/a.yaml", "./b.yaml"),
        ("name@2", "./sub/a.yaml", "name@2"),
    ],
)
def test_paths_are_seen_from_the_folder_of_the_document_that_names_them(
    reference: str, seen_from: str, path: str
) -> None:
    assert resolve_reference(reference, seen_from) == path
