"""The notify node against a real mail server and a real receiver of webhooks."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from email import message_from_bytes
from email.policy import default
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP

from bridge.call_record import CallContext
from bridge.json_types import JsonObject
from nodes.channels import Channel, EmailChannel, MailServer, WebChannel
from nodes.context import HttpRules, NodeContext
from nodes.errors import NodeError
from nodes.notify import NotifyNode, NotifyOutput
from nodes.outside import Outside
from tests.support.fakes import node_context
from tests.support.http_server import Asked, Head, HttpServer, http_server

pytestmark = pytest.mark.peer

CALL = CallContext(org_id="acme", run_id="r1", step_path="tell", flow="demo")


@dataclass
class Inbox:
    """What a mail server took; it refuses addresses and contents that it was told to."""

    refused: dict[str, str] = field(default_factory=dict[str, str])
    answer: str = "250 taken"
    mails: list[tuple[list[str], bytes]] = field(default_factory=list[tuple[list[str], bytes]])

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any) -> str:  # noqa: N802  # aiosmtpd's name
        if address in self.refused:
            return self.refused[address]
        envelope.rcpt_tos.append(address)
        return "250 ok"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802  # aiosmtpd's name
        if self.answer.startswith("250"):
            self.mails.append((list(envelope.rcpt_tos), bytes(envelope.content)))
        return self.answer


@dataclass
class Post:
    """A mail server and its inbox."""

    inbox: Inbox
    server: MailServer


@pytest.fixture
async def post() -> AsyncIterator[Post]:
    inbox = Inbox()
    listener = await asyncio.get_running_loop().create_server(lambda: SMTP(inbox), "127.0.0.1", 0)
    port: int = listener.sockets[0].getsockname()[1]
    async with listener:
        yield Post(inbox, MailServer("127.0.0.1", port, sender="flows@example.com"))


def context(channel: Channel | None, mail: MailServer | None = None, **more: Any) -> NodeContext:
    channels: dict[str, Channel] = {} if channel is None else {"ops": channel}
    return replace(node_context(outside=Outside(channels=channels, mail=mail)), call=CALL, **more)


async def told(at: NodeContext, **block: Any) -> NotifyOutput:
    given: JsonObject = {"channel": "ops", "text": "All is well.", **block}
    return await NotifyNode.model_validate({k: v for k, v in given.items() if v is not None}).run(at)


async def failed(at: NodeContext, **block: Any) -> tuple[str, str]:
    with pytest.raises(NodeError) as caught:
        await told(at, **block)
    return caught.value.error_class, str(caught.value)


async def test_a_mail_arrives_as_written_and_every_try_bears_the_same_id(post: Post) -> None:
    at = context(EmailChannel(("ops@example.com",), "From a flow"), post.server)

    first = await told(at, text="Zeile ü\n.\nend")
    again = await told(at, text="Zeile ü\n.\nend", subject="Hi\r\nBcc: x@example.com")
    other = await told(replace(at, call=replace(CALL, step_path="tell[1]")))

    receivers, raw = post.inbox.mails[0]
    mail = message_from_bytes(raw, policy=default)
    assert receivers == ["ops@example.com"]
    assert (mail["From"], mail["To"], mail["Subject"]) == ("flows@example.com", "ops@example.com", "From a flow")
    assert mail.get_content().splitlines() == ["Zeile ü", ".", "end"]
    ids = [message_from_bytes(raw, policy=default)["Message-ID"] for _, raw in post.inbox.mails]
    assert ids[0] == ids[1] == f"<{first.message_id}@modelbridge>"
    assert first == again
    assert other.message_id != first.message_id
    assert post.inbox.mails[1][0] == ["ops@example.com"], "a subject adds no receiver"


async def test_what_the_mail_server_refuses_is_told_by_its_class(post: Post) -> None:
    at = context(EmailChannel(("a@example.com", "b@example.com")), post.server)
    post.inbox.refused = {"b@example.com": "550 nobody here"}
    assert (await told(at)).refused == ["b@example.com"]

    post.inbox.refused |= {"a@example.com": "550 nobody here"}
    assert (await failed(at))[0] == "invalid_request"
    post.inbox.refused = dict.fromkeys(("a@example.com", "b@example.com"), "450 later")
    assert (await failed(at))[0] == "unavailable"
    post.inbox.refused, post.inbox.answer = {}, "451 try again"
    assert (await failed(at))[0] == "unavailable"
    post.inbox.answer = "554 no"
    assert (await failed(at))[0] == "invalid_request"


async def test_no_mail_server_and_one_that_is_away_are_told(post: Post) -> None:
    channel = EmailChannel(("a@example.com",))

    assert "MODELBRIDGE_SMTP_URL" in (await failed(context(channel)))[1]
    assert (await failed(context(channel, replace(post.server, port=9))))[0] == "unavailable"
    wrong = replace(post.server, username="u", password="canary-pw")
    error_class, message = await failed(context(channel, wrong))
    assert error_class in {"unavailable", "auth"}
    assert "canary-pw" not in message


def receiver(asked: Asked) -> Head:
    statuses = {"/hook/s3cret": 204, "/busy/s3cret": 429, "/gone/s3cret": 404, "/moved/s3cret": 307}
    path = asked.target.split("?")[0]
    return statuses[path], {"retry-after": "7", "location": "/hook/s3cret"}, f"at {asked.target}".encode()


@pytest.fixture
async def web() -> AsyncIterator[HttpServer]:
    async with http_server(receiver) as server:
        yield server


async def test_slack_is_told_in_its_form_and_cannot_be_made_to_call_everybody(web: HttpServer) -> None:
    await told(context(WebChannel("slack", web.url("/hook/s3cret"))), text="<!channel> a & b <https://x|here>")

    assert json.loads(web.asked[0].body) == {"text": "&lt;!channel&gt; a &amp; b &lt;https://x|here&gt;"}


async def test_a_webhook_is_told_who_sends_and_every_try_bears_the_same_id(web: HttpServer) -> None:
    at = context(WebChannel("webhook", web.url("/hook/s3cret"), {"x-token": "t"}))

    first, second = await told(at), await told(at)

    assert first.message_id == second.message_id
    assert json.loads(web.asked[0].body) == {
        "id": first.message_id, "text": "All is well.", "flow": "demo", "run_id": "r1", "step": "tell",
    }  # fmt: skip
    for asked in web.asked:
        assert asked.headers["idempotency-key"] == asked.headers["webhook-id"] == first.message_id
        assert asked.headers["x-token"] == "t"


@pytest.mark.parametrize(
    ("path", "error_class"),
    [
        ("/busy/s3cret", "rate_limit"),
        ("/gone/s3cret?k=s3cret", "invalid_request"),
        ("/moved/s3cret", "invalid_request"),
    ],
)
async def test_a_receiver_that_refuses_is_told_without_its_path(web: HttpServer, path: str, error_class: str) -> None:
    found_class, message = await failed(context(WebChannel("webhook", web.url(path))))

    assert found_class == error_class
    assert message.startswith("notify: 127.0.0.1 answered ")
    assert "s3cret" not in message
    assert len(web.asked) == 1


async def test_an_own_webhook_passes_the_guard_of_addresses_and_a_channel_must_be_named(web: HttpServer) -> None:
    target = {"type": "webhook", "url": web.url("/hook/s3cret")}

    sealed = await failed(context(None), channel=None, target=target)
    opened = HttpRules(allow_hosts=frozenset({"127.0.0.1"}))
    await told(context(None, http=opened), channel=None, target=target)

    assert sealed[0] == "invalid_request"
    assert "not a public address" in sealed[1]
    assert len(web.asked) == 1
    assert await failed(context(WebChannel("slack", "https://x.example/")), channel="nobody") == (
        "invalid_request", "notify: there is no channel 'nobody' under `channels` (there are: ops)"
    )  # fmt: skip
