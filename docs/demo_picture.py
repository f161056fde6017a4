"""Draws docs/demo.svg, the demo's view after 40 seconds: `python docs/demo_picture.py`."""

from __future__ import annotations

import asyncio
import io
import re
from pathlib import Path

from rich.console import Console

from stream_app.demo.display import Display
from stream_app.demo.picture import Picture
from stream_app.demo.run import Options, run
from stream_app.demo.view import View

WIDTH, HEIGHT = 112, 38
OUTPUT = Path(__file__).with_name("demo.svg")


class Keeper(Display):
    """Keeps the last picture of the running demo."""

    period_seconds = 0.2

    def __init__(self) -> None:
        self.last: Picture | None = None

    def show(self, picture: Picture) -> None:
        if picture.phase == "running":
            self.last = picture

    def warning(self) -> str:
        return ""

    def open(self) -> None:
        pass

    def close(self) -> None:
        pass


def main() -> None:
    """Run the demo and write the picture."""
    keeper = Keeper()
    options = Options(accounts=2_000, seed=7, days_per_second=1.0, seconds=40.0)
    asyncio.run(_run(options, keeper))
    assert keeper.last is not None
    console = Console(record=True, width=WIDTH, height=HEIGHT, file=io.StringIO())
    console.print(View(keeper.last))
    svg = console.export_svg(title="make demo")
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)  # no fonts from the network
    OUTPUT.write_text(svg)


async def _run(options: Options, keeper: Keeper) -> None:
    await run(options, keeper, asyncio.Event())


if __name__ == "__main__":
    main()
