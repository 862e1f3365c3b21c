"""The deployment files fit their schemas and each other; no container engine is needed to know that."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[3]
SERVICES = {"api", "worker", "studio", "postgres", "redis", "prefect", "prometheus", "grafana"}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return cast("dict[str, Any]", YAML(typ="safe").load(ROOT / "docker-compose.yml"))


def test_the_compose_file_fits_the_compose_specification() -> None:
    check = [sys.executable, "-W", "ignore", "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]

    done = subprocess.run([*check, "docker-compose.yml"], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def test_it_holds_the_whole_production_shape(compose: dict[str, Any]) -> None:
    assert set(compose["services"]) >= SERVICES


def test_every_image_is_pinned(compose: dict[str, Any]) -> None:
    images = {name: service["image"] for name, service in compose["services"].items()}
    own = {"migrate", "api", "worker", "studio", "prefect"}

    assert {name for name, image in images.items() if image.endswith(":latest") or ":" not in image} == own


def test_only_loopback_ports_are_published(compose: dict[str, Any]) -> None:
    published = [port for service in compose["services"].values() for port in service.get("ports", [])]

    assert published
    assert [port for port in published if not port.startswith("127.0.0.1:")] == []


def test_every_dependency_and_volume_exists(compose: dict[str, Any]) -> None:
    services, volumes = compose["services"], set(compose["volumes"])
    for name, service in services.items():
        assert set(service.get("depends_on", {})) <= set(services), name
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert (ROOT / source).exists() if source.startswith(".") else source in volumes, volume


def test_a_service_waited_for_as_healthy_has_a_health_check(compose: dict[str, Any]) -> None:
    services = compose["services"]
    waited = {
        other
        for service in services.values()
        for other, how in service.get("depends_on", {}).items()
        if how["condition"] == "service_healthy"
    }

    assert waited
    assert {name for name in waited if "test" not in services[name].get("healthcheck", {})} == set()


def test_no_secret_is_written_down(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        for name, value in service.get("environment", {}).items():
            if re.search(r"SECRET|PASSWORD|_KEY$", name):
                assert str(value).startswith("${"), name


def test_commands_are_ones_the_command_line_has(compose: dict[str, Any]) -> None:
    from typer.main import get_command

    from platform_api.cli.main import app

    known = set(cast("Any", get_command(app)).commands)
    asked = {
        service["command"][1]
        for service in compose["services"].values()
        if service.get("command", [""])[0] == "modelbridge"
    }

    assert asked == {"db", "serve", "worker", "studio"}
    assert asked <= known


def test_the_image_runs_as_an_ordinary_user_with_a_health_check() -> None:
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()

    assert lines[-1].startswith("CMD")
    assert "USER modelbridge" in lines
    assert any(line.startswith("HEALTHCHECK") for line in lines)
    assert all("python:3.11-slim" in line for line in lines if line.startswith("FROM"))


@pytest.mark.parametrize("dashboard", sorted((ROOT / "deploy/grafana/dashboards").glob("*.json")), ids=lambda p: p.name)
def test_a_dashboard_asks_only_for_metrics_the_platform_has(dashboard: Path) -> None:
    from platform_api.operations.metrics import METRIC_NAMES

    model = json.loads(dashboard.read_text(encoding="utf-8"))
    queries = [target["expr"] for panel in model["panels"] for target in panel.get("targets", [])]
    asked = {name for query in queries for name in re.findall(r"modelbridge_\w+", query)}

    assert queries
    assert {name for name in asked if re.sub(r"_(bucket|count|sum)$", "", name) not in METRIC_NAMES} == set()


def test_an_alert_asks_only_for_metrics_the_platform_has() -> None:
    from platform_api.operations.metrics import METRIC_NAMES

    rules = YAML(typ="safe").load((ROOT / "deploy/prometheus/alerts.yml").read_text(encoding="utf-8"))
    asked = {
        rule["alert"]: re.findall(r"modelbridge_\w+", rule["expr"])
        for group in rules["groups"]
        for rule in group["rules"]
    }

    assert len(asked) > 8
    unknown = {
        (alert, name)
        for alert, names in asked.items()
        for name in names
        if re.sub(r"_(bucket|count|sum)$", "", name) not in METRIC_NAMES
    }
    assert unknown == set()


def test_panels_of_a_dashboard_do_not_lie_on_one_another() -> None:
    for dashboard in (ROOT / "deploy/grafana/dashboards").glob("*.json"):
        panels = json.loads(dashboard.read_text(encoding="utf-8"))["panels"]
        places = [panel["gridPos"] for panel in panels]
        cells = [
            (x, y)
            for at in places
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        ]
        assert len(cells) == len(set(cells)), dashboard.name
        assert len({panel["id"] for panel in panels}) == len(panels)


def test_prometheus_asks_the_port_where_workers_show_their_metrics(compose: dict[str, Any]) -> None:
    jobs = YAML(typ="safe").load((ROOT / "deploy/prometheus/prometheus.yml").read_text(encoding="utf-8"))[
        "scrape_configs"
    ]

    ports = [found["port"] for job in jobs for found in job.get("dns_sd_configs", ())]
    environment = compose["services"]["worker"]["environment"]
    assert ports == [int(environment["MODELBRIDGE_WORKER_METRICS_PORT"])]
    assert environment["MODELBRIDGE_HOST"] == "0.0.0.0"  # inside the compose network
