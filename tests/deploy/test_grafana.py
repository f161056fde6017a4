"""The dashboard: every query reads what exists, and provisioning leads to it."""

from __future__ import annotations

import json
import re
from pathlib import PurePosixPath
from typing import Any

import pytest

from tests.deploy.files import (
    DASHBOARDS,
    DEPLOY,
    exposed,
    labels_in,
    metrics_in,
    panels,
    read_compose,
    read_yaml,
)

PANELS = list(panels())
PROVISIONING = DEPLOY / "grafana" / "provisioning"
GRAFANA = read_compose()["services"]["grafana"]

each_panel = pytest.mark.parametrize("panel", PANELS, ids=[panel["title"] for panel in PANELS])


def mounted() -> dict[str, str]:
    """Folders of the repository by where they are in the container."""
    volumes = [volume.split(":") for volume in GRAFANA["volumes"]]
    return {target: source for source, target, *_ in volumes if source.startswith(".")}


@each_panel
def test_a_panel_reads_what_exists(panel: dict[str, Any]) -> None:
    names, labels = exposed()
    assert panel["targets"]
    for target in panel["targets"]:
        assert metrics_in(target["expr"])
        assert metrics_in(target["expr"]) <= names
        assert labels_in(target["expr"]) <= labels
        shown = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
        assert shown <= labels_in(target["expr"]) | {"instance"}


@each_panel
def test_a_panel_explains_itself(panel: dict[str, Any]) -> None:
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    references = [target["refId"] for target in panel["targets"]]
    assert len(references) == len(set(references))


def test_the_dashboard_shows_every_metric() -> None:
    names, _ = exposed()
    read = set().union(*(metrics_in(t["expr"]) for panel in PANELS for t in panel["targets"]))
    kept_by_the_library = ("_created", "_count", "_sum")
    wanted = {name for name in names if not name.endswith(kept_by_the_library)}
    assert wanted - read == set()


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.name)
def test_panels_do_not_overlap(path: Any) -> None:
    board = json.loads(path.read_text())
    cells: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        mine = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not mine & cells, panel["title"]
        cells |= mine
    numbers = [panel["id"] for panel in board["panels"]]
    assert len(numbers) == len(set(numbers))
    assert board["id"] is None, "Grafana gives the number; an own one would overwrite another's"


def test_the_data_source_is_the_prometheus_of_the_stack() -> None:
    (source,) = read_yaml(PROVISIONING / "datasources" / "prometheus.yml")["datasources"]
    assert source["url"] == "http://prometheus:9090"
    assert "prometheus" in read_compose()["services"]
    used = {panel["datasource"]["uid"] for panel in PANELS}
    used |= {target["datasource"]["uid"] for panel in PANELS for target in panel["targets"]}
    assert used == {source["uid"]}
    scraped = read_yaml(DEPLOY / "prometheus" / "prometheus.yml")["global"]["scrape_interval"]
    assert source["jsonData"]["timeInterval"] == scraped


def test_grafana_finds_the_dashboard() -> None:
    (provider,) = read_yaml(PROVISIONING / "dashboards" / "files.yml")["providers"]
    folders = mounted()
    assert folders["/etc/grafana/provisioning"] == "./deploy/grafana/provisioning"
    assert folders[provider["options"]["path"]] == "./deploy/grafana/dashboards"
    home = PurePosixPath(GRAFANA["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert str(home.parent) == provider["options"]["path"]
    assert home.name in {path.name for path in DASHBOARDS}
