from pathlib import Path

import pytest

from flows.plan import CacheRule, Dependency, ErrorRule, ForeachRule, Plan, Position, RetryRule
from flows.validate import check
from flows.versions import content_hash, parse_reference
from nodes.node import ModelUse

EXAMPLES = sorted((Path(__file__).parents[3] / "examples").glob("*.yaml"))


class AnyModel:
    def knows(self, name: str) -> bool:
        return bool(name)

    def suggest(self, name: str) -> str | None:
        return None

    def worst_case_nano_usd(self, use: ModelUse) -> int | None:
        return 100 * use.calls

    def expected_nano_usd(self, use: ModelUse) -> int | None:
        return 10 * use.calls


def compiled(nodes: str, head: str = "", tail: str = "") -> Plan:
    text = f"flow: f\n{head}nodes:\n{nodes}{tail}"
    checked = check(text, file="f.yaml", catalog=AnyModel())
    assert checked.plan is not None, [d.to_text() for d in checked.diagnostics]
    return checked.plan


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_compiles_without_a_word(example: Path) -> None:
    checked = check(example.read_text(encoding="utf-8"), file=example.name, catalog=AnyModel())

    assert checked.diagnostics == ()
    assert checked.plan is not None


def test_steps_wait_for_what_their_expressions_read_and_say_why() -> None:
    b = "  b: {type: template, with: {template: '{{ x }}', vars: {x: '${{ nodes.a.output.text }}'}}}\n"
    plan = compiled(b + "  a: {type: template, with: {template: hi}}\n")

    assert [step.id for step in plan.block.steps] == ["a", "b"]
    why = f"reads nodes.a.output in with.vars.x (3:{b.index('nodes.a') + 1})"
    assert plan.block.step("b").depends_on == (Dependency("a", "output", why=why),)


def test_the_strongest_reading_of_an_upstream_counts() -> None:
    plan = compiled(
        "  a: {type: template, when: '${{ inputs.x }}', with: {template: hi}}\n"
        "  soft: {type: transform, with: {map: {v: 'coalesce(nodes.a.output.text, 1)', s: nodes.a.status}}}\n"
        "  hard: {type: transform, with: {map: {v: 'coalesce(nodes.a.output.text, 1)', w: nodes.a.output.text}}}\n"
        "  end: {type: transform, with: {map: {v: nodes.a.status, w: has(nodes.a.output)}}}\n"
        "  both: {type: transform, needs: [a], with: {map: {v: 'coalesce(nodes.a.output.text, 1)'}}}\n",
        head="inputs: {x: {type: boolean}}\n",
    )

    def edge(step: str) -> tuple[str, bool]:
        (dependency,) = plan.block.step(step).depends_on
        return dependency.reads, dependency.is_coalesced

    assert edge("soft") == ("output", True)
    assert edge("hard") == ("output", False)
    assert edge("end") == ("state", False)
    assert edge("both") == ("needs", False)


def test_what_a_body_reads_outside_is_a_dependency_of_the_step_around_it() -> None:
    plan = compiled(
        "  each:\n"
        "    type: foreach\n"
        "    with:\n"
        "      items: ${{ inputs.rows }}\n"
        "      as: row\n"
        "      on_item_error: continue\n"
        "      do:\n"
        "        one: {type: transform, with: {map: {v: nodes.a.output.text}}}\n"
        "        two: {type: transform, with: {map: {v: nodes.one.output.v, r: row}}}\n"
        "  a: {type: template, with: {template: hi}}\n",
        head="inputs: {rows: {type: array}}\n",
    )

    each = plan.block.step("each")
    assert [dependency.step for dependency in each.depends_on] == ["a"]
    assert each.foreach == ForeachRule("${{ inputs.rows }}", name="row", on_item_error="continue")
    assert "do" not in each.config
    assert each.body is not None
    assert each.body.final == "two"
    assert each.body.step("one").depends_on == ()


def test_modifiers_become_rules_and_defaults_reach_every_step() -> None:
    plan = compiled(
        "  a:\n"
        "    type: llm\n"
        "    with: {model: m, prompt: hi}\n"
        "    retry: {attempts: 4, on: [auth], mode: re_ask}\n"
        "    timeout: 500ms\n"
        "    deadline: 2m\n"
        "    cache: {ttl: 7d, scope: org}\n"
        "    on_error: [{on: [budget], default: {text: x}}, continue]\n"
        "  b: {type: llm, with: {model: m, prompt: hi, max_tokens: 5}}\n",
        head="defaults: {max_tokens: 9, retry: {attempts: 2, base: 10ms}}\n",
    )

    a, b = plan.block.steps
    assert a.retry == RetryRule(attempts=4, base_s=0.01, on=("auth",), mode="re_ask")
    assert (a.timeout_s, a.deadline_s) == (0.5, 120.0)
    assert a.cache == CacheRule(604800.0, scope="org")
    assert a.on_error == (ErrorRule("default", default={"text": "x"}, on=("budget",)), ErrorRule("continue"))
    assert (a.config["max_tokens"], b.config["max_tokens"]) == (9, 5)
    assert b.retry.attempts == 2


def test_the_places_of_expressions_travel_with_the_step() -> None:
    a = "  a: {type: template, with: {template: '{{ x }}', vars: {x: '${{ run.id }}'}}}\n"

    assert compiled(a).block.step("a").places == {"run.id": Position(3, a.index("run.id") + 1, "f.yaml")}


def test_a_fingerprint_follows_what_a_step_does_and_nothing_else() -> None:
    before = compiled("  a: {type: template, with: {template: hi}}\n  b: {type: noop}\n")
    moved = compiled("  b: {type: noop}\n  a: {type: template, timeout: 3s, with: {template: hi}}  # words\n")
    changed = compiled("  a: {type: template, with: {template: ho}}\n  c: {type: noop}\n")

    assert before.block.step("a").fingerprint == moved.block.step("a").fingerprint
    assert before.block.step("b").fingerprint == moved.block.step("b").fingerprint
    assert before.block.step("a").fingerprint != changed.block.step("a").fingerprint


def test_equal_content_has_one_hash_whatever_the_line_ends() -> None:
    assert content_hash("a: 1\nb: 2\n") == content_hash("\ufeffa: 1  \r\nb: 2\r\n\r\n")
    assert content_hash("a: 1") != content_hash("a: 2")


def test_references_name_a_flow_and_perhaps_a_version() -> None:
    assert parse_reference("support-triage@3") == ("support-triage", 3)
    assert parse_reference("support-triage") == ("support-triage", None)
    for wrong in ("a@0", "A", "a@b", "./a.yaml", ""):
        with pytest.raises(ValueError, match="reference"):
            parse_reference(wrong)
