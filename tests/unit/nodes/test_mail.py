from email import message_from_bytes
from email.policy import default

import pytest

from nodes.channels import EmailChannel, MailServer
from nodes.mail import mail_message
from platform_api.outside import mail_server
from platform_api.settings import SettingsError

CHANNEL = EmailChannel(to=("ops@example.com", "boss@example.com"))
SERVER = MailServer("mail.example.com", 587, sender="flows@example.com")


@pytest.mark.parametrize(
    "subject",
    ["hi\r\nBcc: all@example.com", "hi\nBcc: all@example.com", "hi\u2028Bcc: all@example.com", "hi\x00\x0b\x85Bcc: x"],
)
def test_a_subject_cannot_begin_another_header(subject: str) -> None:
    raw = mail_message(CHANNEL, SERVER, subject=subject, text="x", key="k").as_bytes()

    read = message_from_bytes(raw, policy=default)
    assert read["Bcc"] is None
    assert str(read["Subject"]).startswith("hi ")
    assert read.get_all("To") == ["ops@example.com, boss@example.com"]


def test_a_text_that_looks_like_headers_and_dots_stays_text() -> None:
    text = "\r\n.\r\nRCPT TO:<x@y>\r\nBcc: all@example.com\r\nü"
    raw = mail_message(CHANNEL, SERVER, subject=None, text=text, key="k" * 32).as_bytes()

    read = message_from_bytes(raw, policy=default)
    assert read["Bcc"] is None
    assert read["Message-ID"] == f"<{'k' * 32}@modelbridge>"
    assert read.get_content().strip().endswith("ü")


def test_a_subject_of_nothing_visible_is_said_to_be_none() -> None:
    assert mail_message(CHANNEL, SERVER, subject="\r\n\t", text="x", key="k")["Subject"] == "(no subject)"


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("smtp://mail.example.com", MailServer("mail.example.com", 587, sender="modelbridge@mail.example.com")),
        (
            "smtps://me%40x:p%2Fw@mail.example.com/?from=flows@x.org",
            MailServer("mail.example.com", 465, "me@x", "p/w", "tls", "flows@x.org"),
        ),
        ("smtp://h:25?security=none", MailServer("h", 25, security="none", sender="modelbridge@h")),
    ],
)
def test_the_address_of_the_mail_server_says_how_to_reach_it(url: str, server: MailServer) -> None:
    assert mail_server(url) == server


@pytest.mark.parametrize(
    "url", ["http://x", "smtp://", "smtp://canary-pw@h:no", "smtp://h?security=maybe", "smtp://h?x=1"]
)
def test_a_bad_address_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(SettingsError, match="MODELBRIDGE_SMTP_URL") as caught:
        mail_server(url)
    assert "canary-pw" not in str(caught.value)
