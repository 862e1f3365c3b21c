import pytest

from bridge import errors as bridge_errors
from platform_api.errors import FieldProblem, InvalidError, NotFoundError, ThrottledError, to_problem


def all_subclasses(kind: type[Exception]) -> set[type[Exception]]:
    return {kind}.union(*(all_subclasses(child) for child in kind.__subclasses__()))


def name_of(kind: type[Exception]) -> str:
    return kind.__name__


KINDS = sorted(all_subclasses(bridge_errors.BridgeError) - {bridge_errors.BridgeError}, key=name_of)


@pytest.mark.parametrize("kind", KINDS, ids=name_of)
def test_every_error_of_the_bridge_has_a_status_of_its_own(kind: type[Exception]) -> None:
    error = kind.__new__(kind)
    error.args = ("what happened",)
    if isinstance(error, bridge_errors.ProviderError):
        error.retry_after_s = None

    problem = to_problem(error)

    assert problem.code != "internal"
    assert problem.detail == "what happened"


def test_an_unknown_error_is_internal_and_keeps_its_text_to_itself() -> None:
    problem = to_problem(RuntimeError("password=hunter2"))

    assert (problem.status, problem.code) == (500, "internal")
    assert "hunter2" not in problem.detail


def test_a_problem_has_the_members_of_rfc_9457_and_where_the_input_is_wrong() -> None:
    body = to_problem(InvalidError("no", [FieldProblem("/a/0", "must be short")])).to_json("r1")

    assert body == {
        "type": "urn:modelbridge:problem:invalid",
        "title": "Unprocessable Entity",
        "status": 422,
        "detail": "no",
        "code": "invalid",
        "request_id": "r1",
        "errors": [{"pointer": "/a/0", "message": "must be short"}],
    }


def test_pauses_are_whole_seconds_and_never_none() -> None:
    assert to_problem(ThrottledError("slow", retry_after_s=0.2)).headers == {"retry-after": "1"}


def test_what_is_not_there_says_only_what_was_asked_for() -> None:
    assert to_problem(NotFoundError("run", "r1")).detail == "there is no run 'r1'"
