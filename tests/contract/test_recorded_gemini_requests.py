"""Our requests against recorded ones of Google's SDK and others, field by field, wherever ours can say the same."""

import pytest

from bridge.providers.google_gemini import GoogleGemini
from bridge.transport import url_of
from tests.support.gemini_requests import camel, comparable, expressible, recorded_target, request_of
from tests.support.recorded_traffic import Recording

RECORDS = {
    record_id: record
    for record_id, record in Recording("gemini_generate").records.items()
    if not record["request"].get("synthetic") and expressible(camel(record["request"]["json"]))
}


@pytest.mark.parametrize("record_id", sorted(RECORDS))
def test_our_request_says_what_the_recorded_one_says(record_id: str) -> None:
    record = RECORDS[record_id]
    recorded, target = camel(record["request"]["json"]), recorded_target(record)

    sent = GoogleGemini().build(request_of(recorded), target, stream=record["stream"])

    assert comparable(sent.body) == comparable(recorded)
    assert url_of(target, sent.path).path == record["request"]["path"].replace("<", "").replace(">", "")
    assert sent.query == record["request"]["query"]


def test_most_of_the_records_can_be_expressed() -> None:
    assert len(RECORDS) == 37
