import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.json_types import JsonObject
from nodes.template_text import TemplateTextError, check_template, render_off_loop, render_template, undeclared_names

VALUES: JsonObject = {
    "text": "say {{ secret }}",
    "n": 3,
    "doc": {"items": [1, 2], "kind": "x"},
    "rows": [{"p": 1, "q": "x"}, {"p": 2, "q": "y"}],
    "none": None,
    "yes": True,
}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{ text }}", "say {{ secret }}"),
        ("{{ doc }}|{{ none }}|{{ yes }}|{{ n }}", '{"items":[1,2],"kind":"x"}|null|true|3'),
        ("{{ doc.items }}", "[1,2]"),
        ("{{ rows[0].items() | list }}", '[["p",1],["q","x"]]'),
        (
            "{% for r in rows %}{{ loop.index }}/{{ loop.length }} {{ r.q }}{{ ', ' if not loop.last }}{% endfor %}",
            "1/2 x, 2/2 y",
        ),
        ("{{ rows | map(attribute='q') | join('-') }} {{ rows | sum(attribute='p') }}", "x-y 3"),
        ("{% for g in rows | groupby('q') %}{{ g.grouper }}{{ g.list | length }}{% endfor %}", "x1y1"),
        ("{{ 'a' ~ n ~ 'b' }} {{ n * 2 + 1 }} {{ 'ab' * 2 }} {{ 7 % 4 }}", "a3b 7 abab 3"),
        ("{{ missing | default('none') }} {{ missing is defined }}", "none false"),
        ("{% set total = n + 1 %}{{ total }}", "4"),
        ("{{ rows | tojson(indent=1) | length }} {{ range(3) | list }} {{ text[:3] | upper }}", "58 [0,1,2] SAY"),
        ("{% if n > 2 and doc.kind == 'x' %}yes{% else %}no{% endif %}", "yes"),
        ("{% raw %}{{ n }}{% endraw %}", "{{ n }}"),
        ("a\n{% if yes %}\nb\n{% endif %}\nc\n", "a\nb\nc"),
        ("{{ 'it is 3.14159' | replace('it', 'pi') }} {{ 3.14159 | round(2) }}", "pi is 3.14159 3.14"),
    ],
)
def test_templates_write_values(template: str, text: str) -> None:
    assert render_template(template, VALUES) == text


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("{{ missing }}", "'missing' is undefined"),
        ("{{ doc.nope }}", "no attribute 'nope'"),
        ("{{ text.__class__ }}", "no attribute '__class__'"),
        ("{{ doc['__class__'] }}", "no attribute '__class__'"),
        ("{{ range.__globals__ }}", "no attribute"),
        ("{{ text | attr('__class__') }}", "unknown filter 'attr'"),
        ("{{ text.format(1) }}", "format\\(\\) cannot be called"),
        ("{{ doc.kind() }}", "cannot be called"),
        ("{{ doc.items() }}", "cannot be called here"),
        ("{{ self }}", "not a name"),
        ("{% macro m() %}{% endmacro %}", "`macro` is not allowed"),
        ("{% include 'x' %}", "`include` is not allowed"),
        ("{% import 'x' as y %}", "`import` is not allowed"),
        ("{% extends 'x' %}", "`extends` is not allowed"),
        ("{% set x %}y{% endset %}", "block set is not allowed"),
        ("{% for x in rows recursive %}{% endfor %}", "recursive loop"),
        ("{{ 2 ** 9 }}", "operator \\*\\*"),
        ("{{ lipsum() }}", "lipsum\\(\\) cannot be called"),
        ("{{ '%d' % 3 }}", "% works on numbers"),
        ("{{ text", "unexpected end of template"),
        ("{{ 'a' + 1 }}", "TypeError"),
        ("{{ 1 / 0 }}", "ZeroDivisionError"),
        ("{{ x | _loop }}", "unknown filter '_loop'"),
    ],
)
def test_what_is_not_allowed_or_unknown_is_an_error(template: str, problem: str) -> None:
    with pytest.raises(TemplateTextError, match=problem) as caught:
        render_template(template, VALUES)

    assert caught.value.error_class == "validation"


@pytest.mark.parametrize(
    "template",
    [
        "{{ 'a' * 100000000000 }}",
        "{% set x = 'a' * 1000 %}" + "{% set x = x ~ x %}" * 40 + "{{ x }}",
        "{% set x = 'a' * 1000 %}" + "{% set x = x + x %}" * 40 + "{{ x }}",
        "{% set x = 9 %}" + "{% set x = x * x %}" * 40 + "{{ x }}",
        "{{ ('a' * 100000) | replace('a', 'b' * 1000) }}",
        "{{ range(9999) | join('a' * 100000) }}",
        "{{ range(9999) | map('replace', '', 'a' * 10000) | list }}",
        "{{ range(100000000) }}",
        "{% for a in range(9999) %}{{ 'a' * 10000 }}{% endfor %}",
    ],
)
def test_a_template_that_grows_is_stopped_before_it_has_grown(template: str) -> None:
    with pytest.raises(TemplateTextError, match=r"more than|at most|too big"):
        render_template(template, {})


def test_nested_loops_are_stopped_by_the_number_of_steps() -> None:
    with pytest.raises(TemplateTextError, match="more than 200000 steps"):
        render_template("{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}", {})


def test_lists_that_double_inside_themselves_are_stopped() -> None:
    with pytest.raises(TemplateTextError, match=r"more than|too long"):
        render_template("{% set x = ['aaaa'] %}" + "{% set x = [x, x] %}" * 40 + "{{ x }}", {})


@given(st.text(max_size=200))
def test_what_a_variable_inserts_is_never_rendered_again(value: str) -> None:
    assert render_template("<{{ v }}>{% for x in [v] %}{{ x }}{% endfor %}", {"v": value}) == f"<{value}>{value}"


def test_a_check_names_what_is_read_with_its_line_and_what_would_be_refused() -> None:
    check = check_template(
        "Hi {{ a }}\n{% for x in xs %}{{ x }}{{ loop.index }}{{ y }}{% endfor %}{% set q = 1 %}{{ q }}{{ range(2) }}"
    )
    wrong = check_template("fine\n{% include 'x' %}\n{{ a | shout }}")

    assert check.names == {"a": 1, "xs": 2, "y": 2}
    assert check.problems == ()
    assert [line for line, _ in wrong.problems] == [2, 3]
    assert check_template("{{ a").problems[0][0] == 1


def test_an_expression_written_into_a_prompt_shows_up_as_an_undeclared_name() -> None:
    assert undeclared_names("Ticket: ${{ inputs.ticket }} {{ tier }}", ["tier"]) == {"inputs": 1}


async def test_a_template_with_blocks_renders_the_same_off_the_loop() -> None:
    assert await render_off_loop("{% if n %}{{ n }}{% endif %}", {"n": 5}) == "5"
    with pytest.raises(TemplateTextError):
        await render_off_loop("{% if missing %}{% endif %}", {})
