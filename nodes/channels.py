"""Where notifications go, and the server that mails leave through: as the operator configured them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

MailSecurity = Literal["tls", "starttls", "auto", "none"]


@dataclass(frozen=True, slots=True)
class MailServer:
    """An SMTP server. `auto`: STARTTLS where the server offers it."""

    host: str
    port: int
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    security: MailSecurity = "auto"
    sender: str = "modelbridge@localhost"


@dataclass(frozen=True, slots=True)
class EmailChannel:
    """Mail to fixed people."""

    to: tuple[str, ...]
    subject: str = "A message from a flow"


@dataclass(frozen=True, slots=True)
class WebChannel:
    """A Slack-compatible webhook, or one that takes JSON. The URL itself is often the credential."""

    kind: Literal["slack", "webhook"]
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)


Channel = EmailChannel | WebChannel
