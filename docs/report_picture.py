"""Draws docs/report.webp, the top of a report on synthetic traffic.

`python docs/report_picture.py` needs Chromium or Chrome, which it runs without a window, and asks
over its DevTools protocol.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import sys
from base64 import b64decode
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp

from stream_app.cli.program import run
from stream_app.traffic import Traffic, TrafficConfig

OUTPUT = Path(__file__).with_name("report.webp")
TRAFFIC = TrafficConfig(accounts=400, seed=7, with_type=True)
DAYS = 45
WIDTH = 1_180
SHOWN = "Moves between segments"
"""The last section in the picture."""
_END = f"""
new Promise(resolve => requestAnimationFrame(() => requestAnimationFrame(() => resolve(
  [...document.querySelectorAll("section")]
    .find(each => each.querySelector("h2").textContent === {SHOWN!r})
    .getBoundingClientRect().bottom + 16
))))
"""
_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
_PATIENCE_SECONDS = 30


def main() -> None:
    """Replay traffic, make the report of it, and draw its top."""
    browser = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if browser is None:
        sys.exit("no Chromium or Chrome is installed")
    with TemporaryDirectory() as name:
        folder = Path(name)
        events, results, page = folder / "events.jsonl", folder / "results", folder / "report.html"
        events.write_bytes(b"\n".join(record.value for record in Traffic(TRAFFIC).records(DAYS)))
        for command in (
            ["replay", str(events), "--out", str(results)],
            ["report", str(results), "--out", str(page)],
        ):
            if code := run(command):
                sys.exit(code)
        OUTPUT.write_bytes(asyncio.run(drawn(browser, page, folder / "profile")))


async def drawn(browser: str, page: Path, profile: Path) -> bytes:
    """The picture, as WebP."""
    process = await asyncio.create_subprocess_exec(
        browser, "--headless=new", "--no-sandbox", "--hide-scrollbars", "--remote-debugging-port=0",
        f"--user-data-dir={profile}", "about:blank",
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stderr is not None
        port = await _port(process.stderr)
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{port}/json") as answer:
                (target,) = [each for each in await answer.json() if each["type"] == "page"]
            url = target["webSocketDebuggerUrl"]
            async with session.ws_connect(url, max_msg_size=0) as socket:
                return await _picture(socket, page.as_uri())
    finally:
        process.terminate()
        await process.wait()


async def _port(log: asyncio.StreamReader) -> int:
    """Where the browser listens, as soon as it says so."""
    async with asyncio.timeout(_PATIENCE_SECONDS):
        async for line in log:
            if found := re.search(rb"DevTools listening on ws://[^:]+:(\d+)", line):
                return int(found[1])
    raise RuntimeError("the browser did not start")


async def _picture(socket: aiohttp.ClientWebSocketResponse, url: str) -> bytes:
    numbers, events = count(1), set()

    async def hear() -> Any:
        message = await socket.receive_json(timeout=_PATIENCE_SECONDS)
        events.add(message.get("method"))
        return message

    async def ask(method: str, **parameters: Any) -> Any:
        number = next(numbers)
        await socket.send_json({"id": number, "method": method, "params": parameters})
        while (answer := await hear()).get("id") != number:
            pass
        return answer["result"]

    size = {"width": WIDTH, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    await ask("Emulation.setDeviceMetricsOverride", **size)
    await ask("Page.enable")
    await ask("Page.navigate", url=url)
    while "Page.loadEventFired" not in events:
        await hear()
    end = await ask("Runtime.evaluate", expression=_END, awaitPromise=True)
    clip = {"x": 0, "y": 0, "width": WIDTH, "height": end["result"]["value"], "scale": 1}
    parameters = {"format": "webp", "quality": 80, "clip": clip, "captureBeyondViewport": True}
    return b64decode((await ask("Page.captureScreenshot", **parameters))["data"])


if __name__ == "__main__":
    main()
