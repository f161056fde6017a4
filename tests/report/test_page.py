"""The page: whole in itself, and safe whatever names and ids say."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser
from typing import Any

import msgspec
import pytest

from stream_app.report.figures import figures_of
from stream_app.report.material import Material
from stream_app.report.page import page
from stream_app.segments.snapshot import HealthCheck, Lineage, TopFeature
from tests.engine.scenario import QUIET_OR_BUSY
from tests.report.build import MOVED, account, change, material, renamed, spike

EVIL = "<script>alert(1)</script><b>\"'&amp;</b>{{ 7*7 }}"
"""Would run, be bold, end an attribute, or be computed, were it not taken as text."""


class Elements(HTMLParser):
    """The elements of a page, with what scripts contain."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.texts: list[str] = []
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        self._inside = tag
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts[-1] += data
        else:
            self.texts.append(data)

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    @property
    def charts(self) -> list[dict[str, Any]]:
        return [json.loads(script) for script in self.scripts[:-2]]


def drawn(given: Material) -> Elements:
    return Elements(page(figures_of(given)))


def everything(name: str = "Movers & shakers", who: str = "company") -> Material:
    """Material that all sections have something from."""
    top = TopFeature(feature="x", label=name, unit="pages", value=2.0, average=1.0)
    model = renamed(QUIET_OR_BUSY, 1, name=name, description=name, top=[top])
    check = HealthCheck(name="no_overlap", value=1.0, threshold=name, passed=False, says=name)
    newer = msgspec.structs.replace(
        model,
        version=2,
        health=[check],
        rules=[name],
        lineage=[Lineage(kind="renamed", segment=1, name=name, before=name)],
    )
    changes = [
        msgspec.structs.replace(one, why=msgspec.structs.replace(MOVED, label=name))
        for one in (
            change(who, 1, 1, None, 1, "first_seen", 10.0),
            change(who, 2, 45, 1, 2, engagement=60.0),
            change("b", 1, 1, None, 3, "first_seen", 60.0),
            change("b", 2, 46, 3, 1, "inactivity", 20.0),
        )
    ]
    return material(
        changes,
        models=(model, newer),
        sizes={1: 2, 2: 1, 3: 1},
        accounts=tuple(account(who, 1, web_visits_7d=float(n)) for n in range(4)),
        spikes=(spike(who, 1, 40, topic=name),),
        letters={name: 3},
        source=name,
    )


def test_every_section_and_chart_is_there() -> None:
    elements = drawn(everything())
    assert [tag for tag, _ in elements.found].count("h2") == 9
    kinds = [{trace["type"] for trace in chart["data"]} for chart in elements.charts]
    assert kinds == [{"scatter"}, {"sankey"}, {"scatter"}, {"scatter"}]
    text = " ".join(elements.texts)
    for said in (
        "✗ Failed",
        "1 health check failed.",
        "Page views this week",
        "company",
        "10 → 60",
    ):
        assert said in text


def test_a_page_connects_to_nothing_and_runs_only_what_we_wrote() -> None:
    elements = drawn(everything())
    (policy,) = [
        attrs["content"] or ""
        for tag, attrs in elements.found
        if tag == "meta" and attrs.get("http-equiv") == "Content-Security-Policy"
    ]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert not {"connect-src", "font-src", "frame-src"} & rules.keys()
    scripts = [
        script
        for script, (_, attrs) in zip(
            elements.scripts, [e for e in elements.found if e[0] == "script"], strict=True
        )
        if attrs.get("type") != "application/json"
    ]
    hashes = [b64encode(sha256(script.encode()).digest()).decode() for script in scripts]
    assert rules["script-src"] == " ".join(f"'sha256-{one}'" for one in hashes)
    assert len(scripts) == 2
    for tag, attrs in elements.found:
        assert not {"src", "href", "action", "srcset"} & attrs.keys(), tag
        assert not [name for name in attrs if name.startswith("on")], tag
        assert tag not in {"link", "iframe", "object", "embed", "form", "base"}


def test_what_data_says_is_text_and_nothing_else() -> None:
    harmless, evil = drawn(everything()), drawn(everything(EVIL, EVIL))
    assert [tag for tag, _ in evil.found] == [tag for tag, _ in harmless.found]
    text = "".join(evil.texts)
    assert text.count("alert(1)") > 10
    assert "{{ 7*7 }}" in text


def test_charts_take_no_markup_from_data() -> None:
    """plotly takes `<b>`, `<a href>` and more in texts for markup: only ours may be there."""
    texts = re.findall(r'"(?:[^"\\]|\\.)*"', json.dumps(drawn(everything(EVIL, EVIL)).charts))
    with_evil = [text for text in texts if "alert" in text]
    assert len(with_evil) > 10
    for text in with_evil:
        assert set(re.findall(r"<[^>]*>?", text)) <= {"<b>", "</b>", "<br>", "<extra></extra>"}
        assert "&lt;script&gt;" in text


def test_charts_cannot_end_their_element() -> None:
    html = page(figures_of(everything("</script><h1>", "</script>")))
    assert [tag for tag, _ in Elements(html).found].count("h1") == 1
    assert html.count("</script>") == 6


def test_links_of_the_flows_join_the_nodes_of_neighbouring_columns() -> None:
    changes = [
        change("a", 1, 1, None, 1, "first_seen"),
        change("a", 2, 15, 1, None, "erased"),
        change("a", 3, 45, None, 2, "first_seen"),
        change("b", 1, 1, None, 9, "first_seen"),
        change("b", 2, 35, 9, 2, "model"),
    ]
    (trace,) = drawn(material(changes)).charts[0]["data"]
    node, link = trace["node"], trace["link"]
    ends = [
        (node["x"][s], node["x"][t]) for s, t in zip(link["source"], link["target"], strict=True)
    ]
    assert [right - left for left, right in ends] == pytest.approx([0.25] * len(ends), abs=0.01)
    assert sum(link["value"]) == 3 * 1 + 2 + 1
    assert [label for label in node["label"] if label] == [
        "Segment number 1", "Segment number 9", "Erased", "Not seen yet",
    ]  # fmt: skip


def test_the_same_figures_give_the_same_page() -> None:
    assert page(figures_of(everything())) == page(figures_of(everything()))


@pytest.mark.parametrize("model", [(), (QUIET_OR_BUSY,)])
def test_what_is_empty_is_said_to_be(model: Any) -> None:
    elements = drawn(material(models=model, sizes={}))
    assert elements.charts == []
    text = " ".join(elements.texts)
    for said in ("No account has moved yet.", "There was no unusual interest.", "There is no map"):
        assert said in text
    health = "carries no health figures" if model else "as soon as there is a model"
    assert health in text


def test_what_was_left_out_is_said() -> None:
    cut = replace(everything(), changes_cut=True, letters_cut=True, unreadable=2)
    text = " ".join(drawn(cut).texts)
    for said in ("Older changes than those of", "Only the newest dead letters", "2 records could"):
        assert said in text


def test_every_chart_has_a_name_for_those_who_do_not_see_it() -> None:
    charts = [attrs for _, attrs in drawn(everything()).found if attrs.get("class") == "chart"]
    assert len(charts) == 4
    assert all(attrs["role"] == "img" and attrs["aria-label"] for attrs in charts)


def test_a_page_stays_small_whatever_there_is_of() -> None:
    changes = [
        change(f"account-{n % 4_000}", n // 4_000 + 1, n // 4_000 * 3, n % 7, (n + 1) % 7)
        for n in range(60_000)
    ]
    accounts = tuple(account(f"account-{n}", n % 7, web_visits_7d=n) for n in range(4_000))
    html = page(figures_of(material(changes, accounts=accounts)))
    library = max(map(len, Elements(html).scripts))
    assert len(html) - library < 600_000
    assert [tag for tag, _ in Elements(html).found].count("tr") < 300
