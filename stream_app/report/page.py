"""The page: figures as HTML that needs nothing else, by jinja2, which escapes what data says."""

from __future__ import annotations

from base64 import b64encode
from functools import partial
from hashlib import sha256
from pathlib import Path

import plotly.graph_objects as go
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from stream_app.events.instants import parse
from stream_app.report import words
from stream_app.report.charts import map_chart, movement_chart, share_chart
from stream_app.report.drift import Version
from stream_app.report.figures import Figures
from stream_app.report.flow_chart import flow_chart
from stream_app.report.palette import looks

_FOLDER = Path(__file__).parent
_VERSIONS = 12
"""Versions in the table: the last ones, and earlier ones that are remarkable."""
_REASONS = {
    "first_seen": "first seen",
    "behaviour": "what they did",
    "inactivity": "silence",
    "model": "a new version of the model",
    "definition": "a segment was defined anew",
    "erased": "erased",
}


def page(figures: Figures) -> str:
    """The whole page. The same figures give the same page."""
    style, drawing = ((_FOLDER / name).read_text() for name in ("style.css", "draw.js"))
    library = get_plotlyjs()
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        clipped=words.clipped,
        counted=words.counted,
        day=words.day_of,
        embedded=_embedded,
        instant=parse,
        measured=words.measured,
        minute=words.minute_of,
        number=words.number,
        percent=words.percent,
        tight=words.tight,
        sentence=lambda text: text[:1].upper() + text[1:],
    )
    look = looks(figures.order)
    versions = _listed(figures.drift.versions)
    return environment.get_template("page.html.j2").render(
        figures=figures,
        totals=figures.totals,
        looks=look,
        segment_name=lambda segment: words.clipped(figures.names[segment], 40),
        lead=_lead(figures),
        changes=sum(number for _, number in figures.totals.changes),
        letters=sum(number for _, number in figures.totals.letters),
        reasons=_REASONS,
        versions=versions,
        unlisted=len(figures.drift.versions) - len(versions),
        charts=_charts(figures),
        policy=_policy(library, drawing),
        # All of these are files of ours and of plotly's, and no data.
        style=Markup(style),  # noqa: S704
        library=Markup(library),  # noqa: S704
        drawing=Markup(drawing),  # noqa: S704
    )


def _charts(figures: Figures) -> dict[str, go.Figure]:
    """Those that there is something for."""
    look = looks(figures.order)
    charts = {}
    if figures.map:
        charts["map"] = map_chart(figures.map, figures.names, look)
    if figures.flows and figures.flows.flows:
        charts["flows"] = flow_chart(figures.flows, figures.names, look)
    if len(figures.drift.versions) > 1:
        charts["movement"] = movement_chart(figures.drift, figures.names, look)
        charts["shares"] = share_chart(figures.drift, figures.names, look)
    return charts


def _listed(versions: tuple[Version, ...]) -> list[Version]:
    return [v for i, v in enumerate(versions) if i < _VERSIONS or v.remarkable]


def _lead(figures: Figures) -> str:
    """The most important in a sentence or two."""
    model = [row for row in figures.segments if row.id]
    accounts = words.counted(figures.totals.accounts, "account")
    if not model or not figures.model_version:
        return f"{accounts}; there is no model yet, so none is in a segment."
    largest = model[0]
    failed = sum(check.passed is False for check in figures.health)
    health = f" {words.counted(failed, 'health check')} failed." if failed else ""
    return (
        f"{accounts} in {words.counted(len(model), 'segment')}. The largest is "
        f"“{words.clipped(largest.name, 60)}” with {words.percent(largest.share)} of them.{health}"
    )


def _embedded(figure: go.Figure) -> Markup:
    """A chart as JSON inside of a script element, which no text in it can end."""
    text = figure.to_json()
    assert text is not None
    return Markup(text.replace("<", "\\u003c"))  # noqa: S704


def _policy(*scripts: str) -> str:
    """What the page may do: run these scripts and no others, and connect to nothing."""
    allowed = " ".join(map(partial("'sha256-{}'".format), map(_digest, scripts)))
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _digest(script: str) -> str:
    return b64encode(sha256(script.encode()).digest()).decode()
