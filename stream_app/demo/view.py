"""The live view: one picture drawn to fit the terminal, whatever its size."""

from __future__ import annotations

from collections.abc import Iterator

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from stream_app.demo import cells
from stream_app.demo.picture import ChangeLine, Picture, SegmentLine, SpikeLine
from stream_app.demo.words import clock_time, milliseconds, plural, since

_PALETTE = ("cyan", "green", "magenta", "yellow", "blue", "red", "bright_cyan", "bright_green")
_REASONS = {
    "behaviour": "cyan",
    "inactivity": "yellow",
    "model": "magenta",
    "first_seen": "green",
    "definition": "blue",
    "erased": "red",
}
_WIDE = 110
"""Columns from which there is room for sparklines and for the reasons of changes."""
_TALL = 30
"""Lines from which sections are set apart by a blank line."""


class View:
    """A renderable of one picture. It looks at the size of the terminal each time it is drawn."""

    def __init__(self, picture: Picture) -> None:
        self._picture = picture

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width, height = options.size
        for line in lines(self._picture, width, height):
            line.no_wrap, line.overflow, line.end = True, "crop", "\n"
            yield line


def lines(picture: Picture, width: int, height: int) -> list[Text]:
    """At most `height` lines of at most `width` columns."""
    gap = [Text()] if height >= _TALL else []
    header = list(_header(picture, width))
    room = max(height - len(header) - 4 - 3 * len(gap), 3)
    segments = list(_segments(picture, width, max(room // 2, 1)))
    rest = room - len(segments)
    spikes = max(rest // 3, 1)
    drawn = [
        *header, *gap,
        _segments_title(picture, width),
        *segments, *gap,
        _changes_title(picture),
        *cells.padded(_changes(picture, width), rest - spikes), *gap,
        _title("Latest spikes", f"{picture.totals.spikes:,} so far"),
        *cells.padded(_spikes(picture, width), spikes),
        _footer(picture),
    ]  # fmt: skip
    for line in drawn:
        line.truncate(width, overflow="ellipsis")
    return drawn[:height]


def _header(picture: Picture, width: int) -> Iterator[Text]:
    totals, lag = picture.totals, picture.lag
    left = Text.assemble((" stream-app demo", "bold"), ("  simulated time ", "dim"))
    if picture.phase == "starting":
        left.append("has not begun")
    else:
        left.append(f"{clock_time(picture.now_us)}, day {int(picture.days) + 1}", "bold")
    yield cells.spread(left, Text(f"{since(picture.seconds)} ", "dim"), width)
    yield Text.assemble(
        f" {totals.events:,} events, ",
        (f"{picture.events_per_second:,.0f} per second", "bold"),
        ("; changes readable after ", "dim"),
        (milliseconds(lag.p50), "bold"),
        (", p99 ", "dim"),
        (milliseconds(lag.p99), "bold"),
    )
    yield Text(
        f" {plural(picture.accounts, 'account')}, {plural(totals.refused, 'dead letter')}, "
        f"{plural(totals.duplicates, 'duplicate')}"
    )


def _segments_title(picture: Picture, width: int) -> Text:
    model = picture.model
    about = f"model version {model.version}, " if model.version else "no model yet, "
    about += plural(model.vectors, "vector")
    title = _title("Segments", about)
    days = picture.trend_days
    if model.version and days:
        trend = f"{days:.0f} d " if days >= 1 else "today "
        title.truncate(width - len(trend), pad=True)
        title.append(trend, "dim")
    return title


def _segments(picture: Picture, width: int, room: int) -> Iterator[Text]:
    if not picture.model.version:
        model = picture.model
        doing = f"collecting vectors ({model.vectors:,} of {model.needed:,})"
        if model.vectors >= model.needed:
            doing = "the first model is being fitted"
        bar = max(width - 59, 8)
        yield cells.row(
            (f" Unsegmented: {doing}", -48, ""),
            (f"{picture.accounts:,}", 8, "bold"),
            (f" {cells.bar(model.vectors / model.needed, bar)}", -bar - 1, "dim"),
        )
        return
    shown = picture.segments[: room if len(picture.segments) <= room else room - 1]
    largest = max((s.accounts for s in shown), default=0)
    colours = _colours(picture)
    for segment in shown:
        yield _segment(segment, largest, picture.accounts, colours[segment.name], width)
    if hidden := len(picture.segments) - len(shown):
        yield Text(f" and {hidden} more", "dim")


def _segment(segment: SegmentLine, largest: int, accounts: int, colour: str, width: int) -> Text:
    spark = cells.spark(segment.history) if width >= _WIDE else ""
    bar = min(max((width - 50) // 2, 8), 40)
    name = width - bar - 27 - (17 if width >= _WIDE else 0)
    trend, style = "·", "dim"
    if segment.trend:
        trend = f"{'▲' if segment.trend > 0 else '▼'} {abs(segment.trend):,}"
        style = "green" if segment.trend > 0 else "red"
    return cells.row(
        (f" {segment.name}", -name, colour),
        (f"{segment.accounts:,}", 8, "bold"),
        (" " + cells.bar(segment.accounts / max(largest, 1), bar), -(bar + 1), colour),
        (f"{segment.accounts / max(accounts, 1):.1%}", 7, ""),
        *([(f"  {spark}", -17, colour)] if width >= _WIDE else []),
        (trend, 10, style),
    )


def _changes_title(picture: Picture) -> Text:
    title = _title("Latest changes", "")
    counts = sorted(picture.totals.changes.items(), key=lambda item: (-item[1], item[0]))
    for i, (reason, count) in enumerate(counts):
        title.append(", " if i else "", "dim")
        title.append(f"{count:,} {reason.replace('_', ' ')}", _REASONS.get(reason, ""))
    return title


def _changes(picture: Picture, width: int) -> Iterator[Text]:
    colours = _colours(picture)
    for change in picture.changes:
        yield _change(change, colours, width)


def _change(change: ChangeLine, colours: dict[str, str], width: int) -> Text:
    wide = width >= _WIDE
    name = min(max((width - 36) // 4, 20), 40) if wide else 14
    account = 19 if wide else 18
    reason = change.reason.replace("_", " ")
    line: list[cells.Cell] = [
        (f" {change.account}", -account, "bold"),
        (f" {change.previous or '(new)'}", -name - 1, colours.get(change.previous, "dim")),
        (" → ", 3, "dim"),
        (change.current or "(erased)", -name, colours.get(change.current, "dim")),
    ]
    if wide:
        line.append((f"  {reason}", -13, _REASONS.get(change.reason, "")))
    used = sum(abs(size) for _, size, _ in line)
    why = _why(change.why, width - used - 3)
    line.append((f"  {why}", -(width - used), _REASONS.get(change.reason, "")))
    return cells.row(*line)


def _why(parts: tuple[tuple[str, str], ...], width: int) -> str:
    """As many reasons as there is room for; of the first one, rather its numbers than its name."""
    text = ""
    for label, values in parts:
        room = width - cell_len(values) - 1
        if text and cell_len(f"{text}, {label}") > room:
            break
        name = label if cell_len(label) <= room else cells.fit(label, -max(room, 1)).rstrip()
        text += f"{', ' if text else ''}{name} {values}".rstrip()
    return text


def _spikes(picture: Picture, width: int) -> Iterator[Text]:
    colours = _colours(picture)
    for spike in picture.spikes:
        yield _spike(spike, colours, width)


def _spike(spike: SpikeLine, colours: dict[str, str], width: int) -> Text:
    account, topic = (19, 24) if width >= _WIDE else (18, 19)
    what = f" {spike.times:.1f} times as usual, {spike.people} people"
    return cells.row(
        (f" {spike.account}", -account, "bold"),
        (f" {spike.topic}", -topic, "cyan"),
        (what, -31, ""),
        (f" {spike.segment}", -(width - account - topic - 31), colours.get(spike.segment, "dim")),
    )


def _footer(picture: Picture) -> Text:
    if picture.warning:
        return Text(f" {picture.warning}", "red")
    if picture.phase == "starting":
        return Text(" Starting the worker and the trainer", "dim")
    if picture.phase == "ending":
        return Text(" Ending: what is under way arrives", "yellow")
    footer = Text(" Ctrl-C ends it with a summary.", "dim")
    if picture.seconds >= 1:
        pace = f"{picture.days_per_second:.2g} days per second"
        if picture.days_per_second < 0.8 * picture.wanted_days_per_second:
            footer.append(f" The worker sets the pace: {pace}", "yellow")
        else:
            footer.append(f" {pace}")
    return footer


def _title(name: str, about: str) -> Text:
    return Text.assemble((f" {name}", "bold underline"), "  ", (about, "dim"))


def _colours(picture: Picture) -> dict[str, str]:
    """Colour of each segment by name; it goes with the id, so that it stays."""
    return {
        s.name: _PALETTE[(s.id - 1) % len(_PALETTE)] if s.id else "dim" for s in picture.segments
    }
