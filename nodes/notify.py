"""Tell people or systems: by mail, Slack or a webhook."""

from dataclasses import replace
from hashlib import sha256
from typing import Annotated, ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from nodes.channels import Channel, EmailChannel, WebChannel
from nodes.context import HttpRules, NodeContext
from nodes.errors import InvalidInputError, NodeError
from nodes.http import HttpNode
from nodes.mail import mail_message, send_mail
from nodes.node import Block, Node, NodeOutput, node_type

MAX_TEXT_CHARS = 20_000


class Target(Block):
    """A webhook of the organisation's own."""

    type: Literal["slack", "webhook"]
    url: Annotated[str, Field(min_length=1, max_length=2_000)] = Field(description="Best a secret.")


class NotifyOutput(NodeOutput):
    """That it was taken, and under which id."""

    delivered: bool = Field(description="True: the other side took it.")
    message_id: str = Field(description="The same for every try of this step: receivers know a repetition by it.")
    refused: list[str] = Field(description="Mail addresses that the server refused while it took others.")


@node_type("notify")
class NotifyNode(Node[NotifyOutput]):
    """Send a text to a channel that the operator named, or to a webhook whose address is a secret.

    A step that has succeeded never sends again. A try that may have arrived is repeated under the same id:
    `Message-ID` of mails, `Idempotency-Key` and `Webhook-Id` of webhooks.
    """

    output_type = NotifyOutput
    is_replayable = False
    secret_fields: ClassVar[frozenset[str]] = frozenset({"target"})

    channel: Annotated[str, Field(min_length=1, max_length=63)] | None = Field(
        default=None, description="A name under `channels` in modelbridge.yaml."
    )
    target: Target | None = Field(default=None, description="Instead of a channel: an own webhook.")
    text: Annotated[str, Field(min_length=1, max_length=MAX_TEXT_CHARS)]
    subject: Annotated[str, Field(max_length=500)] | None = Field(default=None, description="Of mails.")

    @model_validator(mode="after")
    def _one_receiver(self) -> Self:
        if (self.channel is None) == (self.target is None):
            raise ValueError("give either channel or target")
        return self

    async def run(self, context: NodeContext) -> NotifyOutput:
        """Deliver once. Raises NodeError."""
        key, channel = _key(context), self._channel(context)
        refused: tuple[str, ...] = ()
        if isinstance(channel, EmailChannel):
            server = context.outside.mail
            if server is None:
                raise NodeError("notify: no mail server is set; MODELBRIDGE_SMTP_URL", error_class="invalid_request")
            message = mail_message(channel, server, subject=self.subject, text=self.text, key=key)
            refused = await send_mail(message, server)
        else:
            await self._post(channel, key, context)
        return NotifyOutput(delivered=True, message_id=key, refused=list(refused))

    def _channel(self, context: NodeContext) -> Channel:
        if self.target is not None:
            return WebChannel(self.target.type, self.target.url)
        channels = context.outside.channels
        if self.channel is None or self.channel not in channels:
            known = ", ".join(sorted(channels)) or "none"
            message = f"notify: there is no channel {self.channel!r} under `channels` (there are: {known})"
            raise NodeError(message, error_class="invalid_request")
        return channels[self.channel]

    async def _post(self, channel: WebChannel, key: str, context: NodeContext) -> None:
        call = context.call
        body = {"text": _slack_text(self.text)} if channel.kind == "slack" else {
            "id": key, "text": self.text, "flow": call.flow, "run_id": call.run_id, "step": call.step_path,
        }  # fmt: skip
        headers = {"idempotency-key": key, "webhook-id": key, **channel.headers}
        rules = context.http if self.target is not None else _open_for(channel.url, context.http)
        request = HttpNode.model_validate(
            {"url": channel.url, "method": "POST", "json": body, "headers": headers, "follow_redirects": False}
        )
        try:
            await request.run(replace(context, http=rules))
        except NodeError as error:
            told = _without_path(str(error), channel.url).replace("http: ", "notify: ", 1)
            raise NodeError(told, error_class=error.error_class, retry_after_s=error.retry_after_s) from None


def _key(context: NodeContext) -> str:
    call = context.call
    if call.run_id is None or call.step_path is None:
        raise InvalidInputError("notify: only a step of a run can send")
    return sha256(f"{call.org_id}\x1f{call.run_id}\x1f{call.step_path}".encode()).hexdigest()[:32]


def _open_for(url: str, rules: HttpRules) -> HttpRules:
    """The operator's own receiver may be anywhere."""
    host = urlsplit(url).hostname or ""
    return replace(rules, allow_hosts=rules.allow_hosts | {host})


def _without_path(message: str, url: str) -> str:
    """The message without what follows the host in the URL: for Slack that is the credential."""
    parts = urlsplit(url)
    for secret in (f"{parts.path}?{parts.query}", parts.path, parts.query):
        if len(secret) > 1:
            message = message.replace(secret, "")
    return message


def _slack_text(text: str) -> str:
    """Escaped: a text cannot call `<!channel>` or hide an address behind words."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
