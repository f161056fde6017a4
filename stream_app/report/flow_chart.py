"""The flows between segments as a Sankey: a column for each instant, segments in the same order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import plotly.graph_objects as go

from stream_app.report.charts import new_figure, plain
from stream_app.report.flows import Flows
from stream_app.report.history import NEW
from stream_app.report.palette import Look
from stream_app.report.words import counted, day_of

_HEIGHT, _TOP, _BOTTOM, _RIGHT = 460, 34, 8, 200
_PAD = 14
"""Between nodes of a column, in pixels like the others."""
_HOVER = "%{customdata}<extra></extra>"

_Node = tuple[int, int]
"""Column and segment."""
_Names = Mapping[int, str]
_Looks = Mapping[int, Look]


def flow_chart(flows: Flows, names: _Names, looks: _Looks) -> go.Figure:
    """Names stand beside the last column, and at the first node of what is not there any more."""
    order = [NEW, *(segment for segment in looks if segment != NEW)]
    sizes = {
        (column, segment): accounts
        for column in range(len(flows.instants_us))
        for segment in order
        if (accounts := flows.sizes(column)[segment])
    }
    places = _places(sizes)
    figure = new_figure(height=_HEIGHT, margin={"l": 8, "r": _RIGHT, "t": _TOP, "b": _BOTTOM})
    figure.add_sankey(
        arrangement="fixed",
        node=_nodes(flows, sizes, places, names, looks),
        link=_links(flows, list(sizes), names, looks),
    )
    last = len(flows.instants_us) - 1
    for column, at_us in enumerate(flows.instants_us):
        figure.add_annotation(
            x=column / last,
            y=1,
            yshift=24,
            text=day_of(at_us),
            xanchor="left" if column == 0 else "right" if column == last else "center",
        )
    for (column, segment), accounts in sizes.items():
        if column == last:
            figure.add_annotation(
                x=1,
                xshift=6,
                y=1 - places[column, segment],
                text=f"{accounts:,}  {plain(names[segment], 26)}",
                xanchor="left",
            )
    figure.update_annotations(xref="paper", yref="paper", yanchor="middle", showarrow=False)
    return figure


def _nodes(
    flows: Flows,
    sizes: Mapping[_Node, int],
    places: Mapping[_Node, float],
    names: _Names,
    looks: _Looks,
) -> dict[str, Any]:
    last = len(flows.instants_us) - 1

    def label(column: int, segment: int) -> str:
        named = (last, segment) in sizes or (column - 1, segment) in sizes
        return "" if named else plain(names[segment], 24)

    return {
        "label": [label(*node) for node in sizes],
        "color": [looks[segment].colour for _, segment in sizes],
        "customdata": [
            f"{plain(names[segment])}, {day_of(flows.instants_us[column])}: "
            f"{counted(accounts, 'account')}"
            for (column, segment), accounts in sizes.items()
        ],
        "hovertemplate": _HOVER,
        "line": {"width": 0},
        "pad": _PAD,
        "thickness": 14,
        "x": [_inside(column / last) for column, _ in sizes],
        "y": [places[node] for node in sizes],
    }


def _links(flows: Flows, nodes: list[_Node], names: _Names, looks: _Looks) -> dict[str, Any]:
    index = {node: i for i, node in enumerate(nodes)}
    return {
        "source": [index[flow.period, flow.source] for flow in flows.flows],
        "target": [index[flow.period + 1, flow.target] for flow in flows.flows],
        "value": [flow.accounts for flow in flows.flows],
        "color": [
            looks[flow.source].veil(0.18 if flow.source == flow.target else 0.6)
            for flow in flows.flows
        ],
        "customdata": [
            f"{plain(names[flow.source])} → {plain(names[flow.target])}: "
            f"{counted(flow.accounts, 'account')}"
            for flow in flows.flows
        ],
        "hovertemplate": _HOVER,
    }


def _places(sizes: Mapping[_Node, int]) -> dict[_Node, float]:
    """The middle of each node from the top, of 1, as plotly stacks them: the fullest column takes
    all of the height."""
    inner = _HEIGHT - _TOP - _BOTTOM
    columns: dict[int, dict[int, int]] = {}
    for (column, segment), accounts in sizes.items():
        columns.setdefault(column, {})[segment] = accounts
    scale = min(
        (inner - (len(nodes) - 1) * _PAD) / sum(nodes.values()) for nodes in columns.values()
    )
    places = {}
    for column, nodes in columns.items():
        top = 0.0
        for segment, accounts in nodes.items():
            height = accounts * scale
            places[column, segment] = _inside((top + height / 2) / inner)
            top += height + _PAD
    return places


def _inside(share: float) -> float:
    """Plotly takes 0 and 1 for no place."""
    return min(max(share, 0.001), 0.999)
