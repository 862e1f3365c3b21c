"""The page about metrics, traces and logs says what the code does."""

import re
from pathlib import Path
from typing import Any, cast

from ruamel.yaml import YAML

from platform_api.operations.metrics import METRIC_NAMES, Metrics
from platform_api.operations.tracing import EXPORT_LIMIT_S, QUEUE_SPANS, TRACES_PATH
from platform_api.settings import PlatformSections, substituted

PAGE = (Path(__file__).resolve().parents[3] / "docs/guides/observability.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `(modelbridge_\w+)` \| (\w+) \| ([\w, ]*)\| (.*) \|$", re.MULTILINE)


def test_the_table_lists_every_metric_with_its_type_and_its_own_words() -> None:
    told = {name: (kind, what) for name, kind, _, what in ROW.findall(PAGE)}
    found = {
        family.name + ("_total" if family.type == "counter" else ""): (family.type, family.documentation)
        for family in Metrics().registry.collect()
    }

    assert told == found
    assert set(told) == METRIC_NAMES


def test_labels_are_the_ones_that_are_set() -> None:
    told = {name: frozenset(re.findall(r"\w+", labels)) for name, _, labels, _ in ROW.findall(PAGE)}
    metrics = Metrics()
    metrics.request_ended("GET", "/healthz", 200, 0.1)
    metrics.spans_exported("sent", 1)
    shown = {
        sample.name: frozenset(sample.labels) - {"le"}
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.labels and not sample.name.endswith("_created")
    }

    assert shown
    assert {re.sub(r"_(bucket|sum|count)$", "", name): labels for name, labels in shown.items()}.items() <= told.items()


def test_the_section_of_the_file_is_one_that_is_read() -> None:
    (text,) = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    written = cast("dict[str, Any]", YAML(typ="safe").load(text))

    section = PlatformSections.model_validate(substituted(written, {"OTLP_AUTHORIZATION": "Basic x"})).telemetry

    assert (section.otlp_endpoint, section.sample_ratio) == ("http://tempo:4318", 0.1)
    assert section.headers["Authorization"].get_secret_value() == "Basic x"


def test_numbers_on_the_page_are_the_ones_in_force() -> None:
    assert f"{QUEUE_SPANS:,} waiting" in PAGE
    assert f"after {EXPORT_LIMIT_S:g} seconds" in PAGE
    assert f"`{TRACES_PATH}`" in PAGE
