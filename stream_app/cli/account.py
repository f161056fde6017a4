"""`stream-app account`: where one account stands now, beside what was last published of it."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from stream_app.changes.types import AccountSegment, Standing
    from stream_app.cli.stored import Account
    from stream_app.settings import Settings


def account(
    account_id: Annotated[str, typer.Argument(metavar="ID", help="Account id, as in the events.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show an account: segment, scores, interests and features.

    `now` is computed from the stored state as of this moment. `published` is what the topic
    account-segments has: it is written when the segment or a band changes, and at a spike, so it
    may be older. JSON: `account_id`, `partition`, `now`, `published` (null: nothing yet), `units`
    of the features.
    """
    from stream_app.settings import load  # noqa: PLC0415

    settings = load()
    found, now = asyncio.run(_read(account_id, settings))
    if as_json:
        from stream_app.cli.output import print_json  # noqa: PLC0415

        print_json(
            {
                "account_id": account_id,
                "partition": found.partition,
                "now": now,
                "published": found.published,
                "units": {name: unit for name, unit, _ in _features()},
            }
        )
    else:
        _show(found, now)


async def _read(account_id: str, settings: Settings) -> tuple[Account, AccountSegment]:
    from stream_app.cli.stored import stored  # noqa: PLC0415

    async with stored(settings) as opened:
        found, model = await opened.account(account_id), await opened.model()
        return found, found.now(model, time.time_ns() // 1_000, settings)


def _features() -> list[tuple[str, str, str]]:
    """Name, unit and meaning of every feature."""
    from stream_app.features.catalogue import DERIVED, ROLLING  # noqa: PLC0415

    return [(f.name, f.unit, f.meaning) for f in (*ROLLING, *DERIVED)]


def _show(found: Account, now: AccountSegment) -> None:
    from stream_app.cli.output import console, printable, when  # noqa: PLC0415

    screen, published = console(), found.published
    screen.print(printable(found.account_id), style="bold")
    segment = f"{now.segment.name} (id {now.segment.id}) since {when(now.since)}"
    _fact(screen, "segment", segment)
    _fact(screen, "engagement", _score(now.scores, "engagement"))
    _fact(screen, "intent", _score(now.scores, "intent"))
    _fact(screen, "changes", f"{now.sequence:,}")
    _fact(screen, "model", f"version {now.model_version}")
    _fact(screen, "partition", str(found.partition))
    _fact(screen, "as of", when(now.as_of))
    _fact(screen, "published", _published(published) if published else "nothing yet")
    _show_interests(screen, now)
    _show_features(screen, now, published)


def _fact(screen: Console, name: str, text: str) -> None:
    from rich.text import Text  # noqa: PLC0415

    from stream_app.cli.output import printable  # noqa: PLC0415

    screen.print(Text.assemble((f"  {name:<11} ", "dim"), printable(text)))


def _score(scores: Standing, kind: str) -> str:
    value, band = getattr(scores, kind), getattr(scores, f"{kind}_band")
    filled = round(value / 5)
    return f"{value:5.1f}  {'█' * filled}{'░' * (20 - filled)}  {band}"


def _published(published: dict[str, Any]) -> str:
    """One line; a field that another version of the program did not write is left out."""
    from stream_app.cli.output import when  # noqa: PLC0415

    scores = published.get("scores", {})
    return (
        f"{when(published.get('as_of', ''))}: {published.get('segment', {}).get('name')}, "
        f"engagement {scores.get('engagement')} ({scores.get('engagement_band')}), "
        f"intent {scores.get('intent')} ({scores.get('intent_band')}), "
        f"sequence {published.get('sequence')}"
    )


def _show_interests(screen: Console, now: AccountSegment) -> None:
    from stream_app.cli.output import row, table  # noqa: PLC0415

    if not now.interests:
        return
    rows = table("interest", "recent (1 d)", "usual (28 d)", right=("recent (1 d)", "usual (28 d)"))
    for interest in now.interests:
        row(rows, interest.topic, f"{interest.recent:.2f}", f"{interest.usual:.2f}")
    screen.print()
    screen.print(rows)


def _show_features(screen: Console, now: AccountSegment, published: dict[str, Any] | None) -> None:
    from stream_app.cli.output import row, table  # noqa: PLC0415

    rows = table("feature", "now", "published", "unit", "", right=("now", "published"))
    before = (published or {}).get("features", {})
    for name, unit, meaning in _features():
        value, old = now.features[name], before.get(name)
        shown = "-" if old is None else f"{old:,.2f}"
        row(rows, name, f"{value:,.2f}", shown, unit, meaning, style="" if value or old else "dim")
    screen.print()
    screen.print(rows)
