"""What each page shows and does, over HTTP."""

import json
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from tests.integration.studio.conftest import OpenStudio
from tests.support.studio_api import DONE_RUN, EMAIL, FAILED_RUN, LIVE_RUN, PASSWORD, FakePlatform
from tests.support.studio_rows import call

pytestmark = pytest.mark.peer


def component_data(studio: AppTest, name: str) -> dict[str, Any]:
    """What was handed to the component of that name."""
    found = [each.proto for each in studio.get("bidi_component") if each.proto.component_name == f"modelbridge_{name}"]
    assert found, f"no {name} on the page"
    proto: Any = found[0]
    return json.loads(proto.json or proto.mixed.json)


def words(studio: AppTest) -> str:
    """All plain text on the page."""
    elements = [*studio.markdown, *studio.text, *studio.title, *studio.subheader, *studio.caption, *studio.code]
    return "\n".join(str(element.value) for element in elements)


def metrics(studio: AppTest) -> dict[str, str]:
    return {metric.label: metric.value.replace("\N{NO-BREAK SPACE}", " ") for metric in studio.metric}


def submit_run(studio: AppTest, ticket: str) -> None:
    """Open the drawer, fill it in, send it. This runner has no partial runs: Run is pressed along with the form."""
    studio.button(key="run_flow").click().run()
    studio.button(key="run_flow").click()
    studio.text_area[0].input(ticket)
    next(button for button in studio.button if button.label == "Run version 7").click().run()


def test_signed_out_there_is_a_form_and_nothing_is_asked_of_the_platform(
    open_studio: OpenStudio, platform: FakePlatform
) -> None:
    studio = open_studio(is_signed_in=False)

    assert [field.label for field in studio.text_input] == ["E-mail", "Password"]
    assert platform.requests == []


def test_a_wrong_password_is_one_sentence(open_studio: OpenStudio) -> None:
    studio = open_studio(is_signed_in=False)
    studio.text_input(key="login_email").input(EMAIL)
    studio.text_input(key="login_password").input("wrong")
    studio.button(key="login_submit").click().run()

    assert [error.value for error in studio.error] == ["E-mail or password is wrong."]


def test_the_right_password_hands_a_code_to_the_browser_and_no_token_to_the_page(
    open_studio: OpenStudio, platform: FakePlatform
) -> None:
    studio = open_studio(is_signed_in=False)
    studio.text_input(key="login_email").input(EMAIL)
    studio.text_input(key="login_password").input(PASSWORD)
    studio.button(key="login_submit").click().run()
    handed = component_data(studio, "session_cookie")

    assert handed["action"] == "start"
    assert handed["code"] in platform.codes


def test_a_session_that_ended_leads_to_the_form_and_says_so(open_studio: OpenStudio, platform: FakePlatform) -> None:
    platform.tokens.clear()
    studio = open_studio("runs")

    assert not studio.exception
    assert "session has ended" in studio.info[0].value


def test_the_flows_page_lists_flows_with_their_health(open_studio: OpenStudio) -> None:
    studio = open_studio("flows")
    rows = {row["id"]: row["cells"] for row in component_data(studio, "data_table")["rows"]}

    assert metrics(studio)["Flows"] == "5"
    assert len(rows["support-triage"]["last_runs"]["bars"]) == 20
    assert rows["nightly-check"]["success"]["text"] == "80.0\N{NO-BREAK SPACE}%"
    assert rows["draft-only"]["cost"]["text"] == "\N{EM DASH}"


def test_without_flows_the_page_says_how_to_get_one(open_studio: OpenStudio, platform: FakePlatform) -> None:
    platform.is_empty = True

    assert "modelbridge publish" in words(open_studio("flows"))


@pytest.mark.parametrize("page", ["flows", "runs"])
def test_a_platform_in_trouble_is_one_message_with_a_retry(
    open_studio: OpenStudio, platform: FakePlatform, page: str
) -> None:
    platform.broken = {"/api/flows": 503, "/api/runs": 503}
    studio = open_studio(page)

    assert not studio.exception
    assert "The database is being moved" in words(studio)
    assert any(button.label == "Try again" for button in studio.button)


def test_filters_on_the_runs_page_are_sent_to_the_platform(open_studio: OpenStudio, platform: FakePlatform) -> None:
    studio = open_studio("runs", window="7d")
    studio.button_group(key="status").set_value("failed").run()
    rows = component_data(studio, "data_table")["rows"]

    assert {row["cells"]["status"]["text"] for row in rows} == {"Failed"}
    assert any("status=failed" in request and "since=" in request for request in platform.requests)


def test_filters_come_from_the_address(open_studio: OpenStudio) -> None:
    studio = open_studio("runs", window="30d", flow="nightly-check")
    rows = component_data(studio, "data_table")["rows"]

    assert {row["cells"]["flow"]["text"] for row in rows} == {"nightly-check v11"}


def test_a_finished_run_shows_its_four_figures_graph_timeline_and_outputs(open_studio: OpenStudio) -> None:
    studio = open_studio("run", run=DONE_RUN)

    assert metrics(studio) == {"Status": "Succeeded", "Duration": "6.4 s", "Cost": "\\$0.01", "Tokens": "2.3k"}
    assert len(component_data(studio, "dag_view")["nodes"]) == 8
    assert len(studio.get("plotly_chart")) == 1
    assert "We corrected the invoice" in words(studio)
    assert not any(button.label == "Cancel" for button in studio.button)


def test_a_failed_run_opens_on_the_step_that_failed(open_studio: OpenStudio) -> None:
    studio = open_studio("run", run=FAILED_RUN)

    assert component_data(studio, "dag_view")["selected"] == "draft"
    assert "answered 503 three times" in words(studio)
    assert [tab.label for tab in studio.tabs] == ["Output", "Input", "Error", "Routing"]


def test_text_of_a_step_is_never_read_as_markup(open_studio: OpenStudio) -> None:
    studio = open_studio("run", run=FAILED_RUN)

    assert any("<script>" in text.value for text in studio.text)
    assert not any("<script>" in markdown.value for markdown in studio.markdown)
    assert not any(markdown.allow_html for markdown in studio.markdown)


def test_the_step_in_the_address_is_chosen_and_its_routing_explained(open_studio: OpenStudio) -> None:
    studio = open_studio("run", run=DONE_RUN, node="draft")
    candidates = component_data(studio, "data_table")
    prices = {row["id"]: row["cells"]["price"] for row in candidates["rows"]}

    assert component_data(studio, "dag_view")["selected"] == "draft"
    assert "chose **openai/gpt\\-4o\\-mini**, one of 3 eligible candidates, for" in words(studio)
    assert prices["anthropic/claude-haiku"]["note"] == "+$0.0067"
    assert next(row for row in candidates["rows"] if row["tone"] == "chosen")["id"] == "openai/gpt-4o-mini"


def test_an_empty_node_in_the_address_shows_the_run_itself(open_studio: OpenStudio) -> None:
    studio = open_studio("run", run=FAILED_RUN, node="")

    assert component_data(studio, "dag_view")["selected"] is None
    assert [tab.label for tab in studio.tabs] == ["Outputs", "Inputs", "Errors"]


def test_a_call_answered_from_the_cache_says_so(open_studio: OpenStudio, platform: FakePlatform) -> None:
    platform.calls["call-draft"] = {**call("call-draft", "openai/gpt-4o-mini", 0.0), "cache": "hit"}

    assert "Answered from the cache" in words(open_studio("run", run=DONE_RUN, node="draft"))


def test_calls_that_cannot_be_read_leave_the_rest_of_the_page(open_studio: OpenStudio, platform: FakePlatform) -> None:
    platform.broken = {"/api/calls": 500}
    studio = open_studio("run", run=DONE_RUN, node="draft")

    assert "The database is being moved" in words(studio)
    assert metrics(studio)["Status"] == "Succeeded"


def test_a_running_run_can_be_cancelled(open_studio: OpenStudio, platform: FakePlatform) -> None:
    run = platform.start_live()
    studio = open_studio("run", run=LIVE_RUN)

    assert metrics(studio)["Status"] == "Running"
    studio.button(key="cancel_run").click().run()

    assert run.cancelled_at is not None
    assert metrics(studio.run())["Status"] == "Cancelled"


@pytest.mark.parametrize("page", ["run", "flow"])
def test_an_address_that_names_nothing_leads_back(open_studio: OpenStudio, page: str) -> None:
    studio = open_studio(page)

    assert not studio.exception
    assert "This address names no" in words(studio)


def test_an_unknown_run_is_one_message(open_studio: OpenStudio) -> None:
    studio = open_studio("run", run="0195ffff-0000-7000-8000-000000000000")

    assert not studio.exception
    assert "There is no such run." in words(studio)


def test_a_flow_is_run_from_a_form_made_of_its_input_schema(open_studio: OpenStudio, platform: FakePlatform) -> None:
    studio = open_studio("flow", flow="support-triage")
    submit_run(studio, "The site is down")

    assert [run.inputs["ticket"] for run in platform.runs.values() if run.run_id.startswith("0195c")] == [
        "The site is down"
    ]
    assert metrics(studio)["Status"] == "Running"


def test_inputs_the_platform_refuses_are_named(open_studio: OpenStudio) -> None:
    studio = open_studio("flow", flow="support-triage")
    submit_run(studio, "")

    assert "ticket: must not be empty" in studio.error[0].value


def test_a_rerun_starts_from_the_inputs_of_the_run(open_studio: OpenStudio) -> None:
    studio = open_studio("run", run=DONE_RUN)
    studio.button(key="rerun").click().run()

    assert studio.text_area[0].value == "My invoice shows the wrong VAT rate."
    assert studio.selectbox[0].value == "pro"
