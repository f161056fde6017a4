"""Runs the demo from its first picture to its summary."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

from stream_app.demo.display import Display
from stream_app.demo.meter import Meter
from stream_app.demo.picture import Phase
from stream_app.demo.planted import compare
from stream_app.demo.summary import DemoSummary, summarise
from stream_app.demo.system import System, demo_settings, traffic_config
from stream_app.traffic import Traffic


@dataclass(frozen=True, slots=True)
class Options:
    """What the user asked for."""

    accounts: int = 2_000
    seed: int = 7
    days_per_second: float = 1.0
    """Simulated days per real second, as long as the worker keeps up."""
    seconds: float | None = None
    """Real time until it ends by itself."""


async def run(options: Options, display: Display, stop: asyncio.Event) -> DemoSummary:
    """Run until the time is over or `stop` is set. The display is open.

    Raises
    ------
    ConfigError
        The user's settings do not fit.
    """
    traffic = Traffic(traffic_config(options.seed, options.accounts))
    system = System(demo_settings(), traffic, options.days_per_second)
    meter = Meter(system, options.days_per_second)
    if options.seconds is not None:
        asyncio.get_running_loop().call_later(options.seconds, stop.set)
    running = asyncio.create_task(system.run(stop))
    try:
        while not running.done():
            phase: Phase = "ending" if stop.is_set() else "running"
            display.show(await meter.picture(phase, display.warning()))
            await asyncio.wait({running}, timeout=display.period_seconds)
        running.result()
    finally:
        running.cancel()
    last = await meter.picture("ending")
    found = compare(
        traffic.truth,
        system.observer.spikes,
        system.clock.now_us(),
    )
    return summarise(replace(last, lag=system.freshness.whole), found, options.seed)
