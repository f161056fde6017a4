"""Scraping and alerts: every name in them exists, and the alerts fire when they should."""

from __future__ import annotations

import re
from typing import Any

import pytest

from stream_app.cli import program
from stream_app.events.decode import Reason
from tests.deploy.files import (
    DEPLOY,
    RULES,
    exposed,
    labels_in,
    metrics_in,
    read_compose,
    read_yaml,
    run_tool,
    waited_for,
)

CONFIG = DEPLOY / "prometheus" / "prometheus.yml"
ALERTS: list[dict[str, Any]] = [
    rule for path in RULES for group in read_yaml(path)["groups"] for rule in group["rules"]
]

each_alert = pytest.mark.parametrize("alert", ALERTS, ids=[alert["alert"] for alert in ALERTS])


def test_promtool_accepts_everything() -> None:
    """The token's file is on the machine that scrapes, so files are not looked for."""
    rules = [str(path) for path in RULES]
    for check in (["config", "--syntax-only", str(CONFIG)], ["rules", *rules]):
        run_tool(["promtool", "check", *check], probe=["promtool", "--version"])


def test_the_alerts_fire_when_they_should() -> None:
    run_tool(
        ["promtool", "test", "rules", "tests/deploy/alerts.yml"], probe=["promtool", "--version"]
    )


def test_it_scrapes_every_worker() -> None:
    config = read_yaml(CONFIG)
    (job,) = [job for job in config["scrape_configs"] if job["job_name"] == "stream-app"]
    (discovery,) = job["dns_sd_configs"]
    (name,) = discovery["names"]
    assert discovery["type"] == "A"
    assert read_compose()["services"][name]["expose"] == [str(discovery["port"])]
    assert all(list(CONFIG.parent.glob(pattern)) for pattern in config["rule_files"])


@each_alert
def test_an_alert_reads_what_exists(alert: dict[str, Any]) -> None:
    names, labels = exposed()
    assert metrics_in(alert["expr"]) <= names
    assert labels_in(alert["expr"]) <= labels
    assert metrics_in(alert["expr"]) or "up{" in alert["expr"]


@each_alert
def test_an_alert_says_what_happened_and_what_to_do(alert: dict[str, Any]) -> None:
    assert alert["alert"].startswith("StreamApp")
    assert alert["labels"]["severity"] in {"page", "ticket"}
    assert alert["annotations"].keys() == {"summary", "description"}
    assert not alert["annotations"]["summary"].endswith(".")
    assert alert["annotations"]["description"].endswith(".")


def test_waiting_for_what_is_normal_pages_nobody() -> None:
    """While history is read, the inbox is full most of the time: reading is faster than applying.
    Every other wait is a reason to look, and the description says of each what it means."""
    (alert,) = [alert for alert in ALERTS if alert["alert"] == "StreamAppWaits"]
    assert 'stream_app_waits_seconds_total{what!="inbox"}' in alert["expr"]
    explained = set(re.findall(r"(\w+): ", alert["annotations"]["description"]))
    assert explained == waited_for() - {"inbox"}


def test_names_are_given_once() -> None:
    names = [alert["alert"] for alert in ALERTS]
    assert len(names) == len(set(names))


def test_every_alert_that_was_asked_for_is_there() -> None:
    read = set().union(*(metrics_in(alert["expr"]) for alert in ALERTS))
    assert read >= {
        "stream_app_change_freshness_seconds_bucket",
        "stream_app_lag_records",
        "stream_app_outbox_messages",
        "stream_app_partitions",
        "stream_app_dead_letters_total",
        "stream_app_ready",
        "stream_app_snapshots_refused_total",
    }


def test_reasons_and_commands_that_are_named_exist() -> None:
    text = "".join(path.read_text() for path in RULES)
    assert 'reason="unprocessable"' in text
    assert Reason("unprocessable")
    commands = {entry.name for entry in program.ENTRIES}
    assert {part.split("`")[0].split()[0] for part in text.split("`stream-app ")[1:]} <= commands
