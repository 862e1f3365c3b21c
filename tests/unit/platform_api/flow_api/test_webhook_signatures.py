from datetime import UTC, datetime, timedelta

import pytest

from platform_api.flow_api.webhook_signatures import TOLERANCE, new_secret, problem_of, sign

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = b'{"test": 2432232314}'


def test_the_example_of_the_specification_is_signed_as_it_says() -> None:
    at = datetime.fromtimestamp(1614265330, UTC)

    signature = sign(SECRET, message_id="msg_p5jXN8AQM9LWM0D4loKWxJek", at=at, body=BODY)

    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def problem(at: datetime = NOW, /, **changed: str | bytes | list[str]) -> str | None:
    given: dict[str, str | bytes | list[str]] = {
        "message_id": "m1",
        "timestamp": str(int(at.timestamp())),
        "signature": sign(SECRET, message_id="m1", at=at, body=BODY),
        "body": BODY,
        "valid": [SECRET],
        **changed,
    }
    valid = given.pop("valid")
    return problem_of(valid, now=NOW, **given)  # pyright: ignore[reportArgumentType]  # a test of all kinds


def test_a_delivery_signed_now_with_any_valid_secret_is_right() -> None:
    assert problem() is None
    assert problem(valid=[new_secret(), SECRET]) is None
    assert problem(signature="v1,AAAA v2,x " + sign(SECRET, message_id="m1", at=NOW, body=BODY)) is None


@pytest.mark.parametrize("away", [TOLERANCE + timedelta(seconds=1), -TOLERANCE - timedelta(seconds=1)])
def test_old_and_future_deliveries_are_refused_though_rightly_signed(away: timedelta) -> None:
    assert "minutes away" in str(problem(NOW + away))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"body": BODY + b" "}, "does not fit the body"),
        ({"message_id": "m2"}, "does not fit the body"),
        ({"valid": [new_secret()]}, "another secret"),
        ({"valid": []}, "another secret"),
        ({"signature": ""}, "are needed"),
        ({"message_id": ""}, "are needed"),
        ({"message_id": "m" * 256}, "are needed"),
        ({"timestamp": "yesterday"}, "no number"),
        ({"timestamp": "²"}, "no number"),
        ({"timestamp": "1" * 13}, "no number"),
        ({"signature": "v2,abc"}, "does not fit the body"),
    ],
)
def test_what_is_not_rightly_signed_is_refused(changed: dict[str, str | bytes | list[str]], said: str) -> None:
    assert said in str(problem(NOW, **changed))
