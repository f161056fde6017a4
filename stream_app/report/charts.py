"""The charts, by plotly: it is kept well, draws a Sankey and a scatter that can be asked for single
points, and its Python package brings the script along, so that the page needs no network.

What names and ids say is escaped, because plotly takes some HTML in texts for markup. Text and
lines of the axes get their colours from the page's style, which knows light from dark.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from html import escape

import plotly.graph_objects as go

from stream_app.report.accounts_map import AccountsMap, Point
from stream_app.report.drift import Drift
from stream_app.report.palette import Look
from stream_app.report.words import clipped, day

_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
_INVISIBLE = "rgba(0,0,0,0)"


def plain(text: str, length: int = 60) -> str:
    """A text that plotly shows as it is.

    >>> plain('<b>R&D</b>')
    '&lt;b&gt;R&amp;D&lt;/b&gt;'
    """
    return escape(clipped(text, length), quote=False)


def map_chart(
    accounts: AccountsMap, names: Mapping[int, str], looks: Mapping[int, Look]
) -> go.Figure:
    """Accounts as points, centres of segments with their names."""
    figure = new_figure(height=560, margin={"l": 28, "r": 8, "t": 8, "b": 44})
    by_segment: dict[int, list[Point]] = {}
    for point in accounts.points:
        by_segment.setdefault(point.segment, []).append(point)
    for segment in (s for s in looks if s in by_segment):
        points, look = by_segment[segment], looks[segment]
        figure.add_scatter(
            x=[point.x for point in points],
            y=[point.y for point in points],
            mode="markers",
            name=plain(names[segment], 40),
            marker={
                "color": look.colour,
                "symbol": look.sign,
                "size": 7,
                "opacity": 0.8,
                "line": {"width": 0.7, "color": "rgba(29,37,48,0.6)"},
            },
            text=[_hover(point, names) for point in points],
            hoverinfo="text",
        )
    for segment, x, y in accounts.centres:
        figure.add_annotation(
            x=x,
            y=y,
            text=plain(names[segment], 32),
            showarrow=False,
            font={"size": 12.5, "weight": 600},
            name="centre",
        )
    axis = {"zeroline": False, "showticklabels": False, "ticks": ""}
    figure.update_xaxes(title=plain(f"{accounts.right} →", 120), **axis)
    figure.update_yaxes(title=plain(f"{accounts.up} →", 120), **axis)
    figure.update_layout(showlegend=False, hovermode="closest", dragmode="pan")
    return figure


def _hover(point: Point, names: Mapping[int, str]) -> str:
    return (
        f"<b>{plain(point.account)}</b><br>{plain(names[point.segment])}, since "
        f"{day(point.since)}<br>engagement {point.engagement:.0f}, intent {point.intent:.0f}"
    )


def movement_chart(drift: Drift, names: Mapping[int, str], looks: Mapping[int, Look]) -> go.Figure:
    """How far each centre is from where it first was."""
    figure = _drift_figure(drift)
    for line in drift.lines:
        look = looks[line.segment]
        figure.add_scatter(
            x=[_datetime(at_us) for at_us in line.at_us],
            y=[round(distance, 3) for distance in line.distance],
            mode="lines+markers",
            line={"color": look.colour, "width": 2, "shape": "hv"},
            marker={"symbol": look.sign, "size": 6},
            name=plain(names[line.segment], 28),
            hovertemplate="%{y:.2f}",
        )
    figure.update_yaxes(title="standard deviations", rangemode="tozero", nticks=6)
    return figure


def share_chart(drift: Drift, names: Mapping[int, str], looks: Mapping[int, Look]) -> go.Figure:
    """Share of each segment over the versions, stacked."""
    figure = _drift_figure(drift)
    drawn = {line.segment: line for line in drift.lines}
    for segment in reversed([s for s in looks if s in drawn]):
        line, look = drawn[segment], looks[segment]
        figure.add_scatter(
            x=[_datetime(at_us) for at_us in line.at_us],
            y=[round(share, 4) for share in line.share],
            mode="lines",
            stackgroup="all",
            line={"color": look.colour, "width": 1, "shape": "hv"},
            fillcolor=look.veil(0.75),
            name=plain(names[segment], 28),
            hovertemplate="%{y:.1%}",
        )
    figure.update_yaxes(tickformat=".0%", range=[0, 1], nticks=6)
    return figure


def _drift_figure(drift: Drift) -> go.Figure:
    figure = new_figure(height=320, margin={"l": 48, "r": 8, "t": 8, "b": 40})
    for version in drift.versions[:-1]:
        if version.remarkable:
            figure.add_vline(x=_datetime(version.at_us), line={"width": 1, "dash": "dot"})
    figure.update_layout(showlegend=False, hovermode="x unified")
    return figure


def new_figure(*, height: int, margin: dict[str, int]) -> go.Figure:
    """An empty chart in the page's style; lengths in pixels."""
    return go.Figure(
        layout={
            "template": "none",
            "height": height,
            "margin": margin,
            "font": {"family": _FONT, "size": 12.5},
            "paper_bgcolor": _INVISIBLE,
            "plot_bgcolor": _INVISIBLE,
            "hoverlabel": {"bgcolor": "#1d2530", "font": {"color": "#ffffff", "family": _FONT}},
        }
    )


def _datetime(at_us: int) -> str:
    return datetime.fromtimestamp(at_us / 1e6, UTC).strftime("%Y-%m-%dT%H:%M:%S")
