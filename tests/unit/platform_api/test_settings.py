from pathlib import Path

import pytest

from bridge.config import BridgeConfig
from platform_api.settings import Settings, SettingsError, substituted

HOME = {"MODELBRIDGE_HOME": "/nowhere/home"}


def read(folder: Path, **environ: str) -> Settings:
    return Settings.from_environment({**HOME, **environ}, folder=folder)


def written(folder: Path, text: str) -> Path:
    (folder / "modelbridge.yaml").write_text(text, encoding="utf-8")
    return folder


def test_without_file_and_variables_the_defaults_stand(tmp_path: Path) -> None:
    settings = read(tmp_path)

    assert settings.database_url == "sqlite+aiosqlite:////nowhere/home/modelbridge.db"
    assert (settings.host, settings.port, settings.studio_port) == ("127.0.0.1", 8000, 8501)
    assert (settings.registration, settings.is_billing_enabled, settings.redis_url) == ("open", False, None)


def test_the_default_providers_parse_and_a_missing_key_stays_written_as_its_variable(tmp_path: Path) -> None:
    settings = read(tmp_path, OPENAI_API_KEY="sk-1")

    config = BridgeConfig.parse(settings.bridge)

    assert config.providers["openai"].key_text == "sk-1"
    assert config.providers["anthropic"].missing_key_variable == "ANTHROPIC_API_KEY"
    assert "local" in config.providers


@pytest.mark.parametrize(
    ("host", "registration", "expected"),
    [
        ("127.0.0.1", None, "open"),
        ("::1", None, "open"),
        ("localhost", None, "open"),
        ("0.0.0.0", None, "invite"),
        ("api.example.com", None, "invite"),
        ("0.0.0.0", "open", "open"),
        ("127.0.0.1", "closed", "closed"),
    ],
)
def test_registration_is_open_on_loopback_and_by_invitation_elsewhere(
    tmp_path: Path, host: str, registration: str | None, expected: str
) -> None:
    text = f"registration: {registration}\n" if registration else ""

    assert read(written(tmp_path, text), MODELBRIDGE_HOST=host).registration == expected


def test_redis_is_named_by_url_or_by_host_and_port(tmp_path: Path) -> None:
    assert read(tmp_path, REDIS_HOST="cache").redis_url == "redis://cache:6379/0"
    assert read(tmp_path, REDIS_PORT="7000").redis_url == "redis://127.0.0.1:7000/0"
    assert read(tmp_path, REDIS_HOST="x", REDIS_URL="rediss://y/1").redis_url == "rediss://y/1"


def test_a_stripe_key_switches_billing_on_unless_the_file_says_no(tmp_path: Path) -> None:
    assert read(tmp_path, STRIPE_SECRET_KEY="sk").is_billing_enabled
    assert not read(written(tmp_path, "billing: {enabled: false}"), STRIPE_SECRET_KEY="sk").is_billing_enabled


def test_unknown_keys_are_all_named_with_what_was_meant(tmp_path: Path) -> None:
    folder = written(tmp_path, "provders: {}\nregistration: opne\nhttp: {allow_host: []}\n")

    with pytest.raises(SettingsError) as raised:
        read(folder)

    text = str(raised.value)
    assert "provders: unknown key; did you mean 'providers'?" in text
    assert "did you mean 'open'?" in text
    assert "http.allow_host: unknown key; did you mean 'allow_hosts'?" in text


def test_broken_yaml_is_placed(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"modelbridge\.yaml:2:"):
        read(written(tmp_path, "retry: {}\nretry: {}\n"))


@pytest.mark.parametrize("text", ["- a\n", "just text\n"])
def test_a_document_that_is_no_map_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError, match="map of sections"):
        read(written(tmp_path, text))


def test_a_named_file_must_exist_and_is_read_wherever_it_is(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="MODELBRIDGE_CONFIG"):
        read(tmp_path, MODELBRIDGE_CONFIG=str(tmp_path / "absent.yaml"))
    (tmp_path / "other.yaml").write_text("studio: {port: 9999}", encoding="utf-8")

    settings = read(Path("/nowhere"), MODELBRIDGE_CONFIG=str(tmp_path / "other.yaml"))

    assert settings.studio_port == 9999


def test_a_wrong_number_is_named_by_its_variable(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="MODELBRIDGE_PORT"):
        read(tmp_path, MODELBRIDGE_PORT="eighty")


def test_variables_are_put_in_at_any_depth_and_an_unset_one_is_left_standing() -> None:
    value = {"a": ["${env:X}", {"b": "Bearer ${env:X}-${env:Y}"}], "n": 1, "none": None}

    assert substituted(value, {"X": "x", "Y": ""}) == {"a": ["x", {"b": "Bearer x-${env:Y}"}], "n": 1, "none": None}


def test_no_secret_is_in_the_text_form(tmp_path: Path) -> None:
    settings = read(
        tmp_path,
        DATABASE_URL="postgresql://u:canary@h/d",
        JWT_SECRET_KEY="canary" * 8,
        OPENAI_API_KEY="canary",
        STRIPE_SECRET_KEY="canary",
        REDIS_URL="redis://:canary@h",
    )

    assert "canary" not in repr(settings)
    assert "canary" not in str(settings)


def test_spans_go_nowhere_unless_an_endpoint_is_named(tmp_path: Path) -> None:
    assert read(tmp_path).otlp_endpoint is None
    assert read(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT="http://collector:4318").otlp_endpoint == "http://collector:4318"


def test_the_platforms_own_variable_comes_before_opentelemetrys_and_both_before_the_file(tmp_path: Path) -> None:
    folder = written(tmp_path, "telemetry: {otlp_endpoint: 'http://file:1', sample_ratio: 0.5}\n")
    general = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://general:1"}

    assert read(folder).otlp_endpoint == "http://file:1"
    assert read(folder, **general).otlp_endpoint == "http://general:1"
    exact = {**general, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://exact:1/v1/traces"}
    assert read(folder, **exact).otlp_endpoint == "http://exact:1/v1/traces"
    assert read(folder, **exact, MODELBRIDGE_OTLP_ENDPOINT="http://own:1").otlp_endpoint == "http://own:1"


def test_an_endpoint_that_is_no_address_is_refused_by_the_name_of_its_variable(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="MODELBRIDGE_OTLP_ENDPOINT"):
        read(tmp_path, MODELBRIDGE_OTLP_ENDPOINT="collector:4318")


def test_tokens_for_the_collector_are_never_shown(tmp_path: Path) -> None:
    folder = written(tmp_path, "telemetry: {headers: {Authorization: Basic c2VjcmV0}}\n")

    shown = repr(read(folder, OTEL_EXPORTER_OTLP_HEADERS="x-token=c2VjcmV0"))

    assert "c2VjcmV0" not in shown
