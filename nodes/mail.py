"""One mail through the operator's SMTP server. What a flow writes can become text and subject, never a header."""

import asyncio
from email.message import EmailMessage
from email.policy import SMTP

from nodes.channels import EmailChannel, MailServer
from nodes.errors import NodeError

TIMEOUT_S = 30.0
MAX_SUBJECT_CHARS = 200


def mail_message(
    channel: EmailChannel, server: MailServer, *, subject: str | None, text: str, key: str
) -> EmailMessage:
    """The mail. The same `key` gives the same Message-ID, by which receivers know a repetition."""
    message = EmailMessage(policy=SMTP)
    message["From"] = server.sender
    message["To"] = ", ".join(channel.to)
    message["Subject"] = _one_line(subject or channel.subject)
    message["Message-ID"] = f"<{key}@modelbridge>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(text)
    return message


async def send_mail(message: EmailMessage, server: MailServer) -> tuple[str, ...]:
    """Hand the mail to the server; the addresses that it refused while it took others.

    Raises:
        NodeError: Nobody takes it, or the server does not answer.
    """
    import aiosmtplib

    try:
        async with asyncio.timeout(TIMEOUT_S):
            refused, _ = await aiosmtplib.send(
                message,
                hostname=server.host,
                port=server.port,
                username=server.username,
                password=server.password,
                use_tls=server.security == "tls",
                start_tls={"starttls": True, "auto": None}.get(server.security, False),
                timeout=TIMEOUT_S,
            )
    except TimeoutError as error:  # aiosmtplib's own are of this kind too
        raise NodeError("notify: the mail server does not answer in time", error_class="timeout") from error
    except aiosmtplib.SMTPAuthenticationError as error:
        raise NodeError("notify: the mail server refused the operator's credentials", error_class="auth") from error
    except aiosmtplib.SMTPRecipientsRefused as error:
        codes = [one.code for one in error.recipients]
        kind = "unavailable" if codes and all(code < 500 for code in codes) else "invalid_request"
        raise NodeError("notify: the mail server refused every recipient", error_class=kind) from error
    except aiosmtplib.SMTPResponseException as error:
        kind = "unavailable" if error.code < 500 else "invalid_request"
        raise NodeError(f"notify: the mail server answered {error.code} {error.message}", error_class=kind) from error
    except (aiosmtplib.SMTPException, OSError) as error:
        raise NodeError(f"notify: the mail server cannot be reached: {error}", error_class="unavailable") from error
    return tuple(refused)


def _one_line(text: str) -> str:
    """Without line breaks and control characters: nothing in it can begin another header."""
    printable = "".join(char if char.isprintable() else " " for char in text)
    return " ".join(printable.split())[:MAX_SUBJECT_CHARS] or "(no subject)"
