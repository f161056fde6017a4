"""The HTTP port: which pages there are, and who gets them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import aiohttp
import faust
import pytest

from stream_app.app.web import LIVE, METRICS, PATHS, READY, faust_options
from stream_app.settings import WebSettings
from stream_app.streams.metrics import Metrics
from stream_app.streams.worker import Worker
from tests.services.base import free_port

TOKEN = "0123456789abcdef-a-token"
WORKER = cast(Worker, SimpleNamespace(metrics=Metrics(), alive=True, ready=False))
FAUSTS_OWN = ("/", "/router/", "/table/", "/stats/", "/graph/", "/assignment/", "/performance/")

Get = Callable[..., "asyncio.Future[tuple[int, str, Any]]"]


@asynccontextmanager
async def served(options: dict[str, Any]) -> AsyncIterator[Any]:
    """`get(path, method=…, headers=…)` asks Faust's own server: (status, body, headers)."""
    app = faust.App(
        "access",
        broker="kafka://127.0.0.1:1",
        store="memory://",
        debug=True,  # when Faust shows most
        env_prefix="STREAM_APP_FAUST_",
        **options,
    )
    await app.web.start()
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{app.conf.web_port}") as session:

            async def get(path: str, method: str = "GET", **headers: str) -> Any:
                async with session.request(method, path, headers=headers) as answer:
                    return answer.status, await answer.text(), answer.headers

            yield get
    finally:
        await app.web.stop()


@asynccontextmanager
async def ours(token: str = "") -> AsyncIterator[Any]:
    web = WebSettings(host="127.0.0.1", port=free_port(), token=token)  # type: ignore[arg-type]
    async with served(faust_options(web, WORKER)) as get:
        yield get


async def test_without_a_token_everything_there_is_can_be_read() -> None:
    async with ours() as get:
        assert [(await get(path))[0] for path in (METRICS, LIVE, READY)] == [200, 200, 503]
        _, metrics, headers = await get(METRICS)
        assert "stream_app_ready" in metrics
        assert headers["Content-Type"].startswith("text/plain; version=")
        assert (await get(LIVE))[1] == '{"live": true}'
        assert (await get(READY))[1] == '{"ready": false}'


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "sent",
    [
        None,
        "",
        TOKEN,
        "Bearer",
        "Bearer ",
        f"Basic {TOKEN}",
        f"Bearer {TOKEN[:-1]}",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN.upper()}",
        "Bearer ünbekannt",
    ],
)
async def test_a_page_with_content_asks_for_the_token(path: str, sent: str | None) -> None:
    headers = {} if sent is None else {"Authorization": sent}
    async with ours(TOKEN) as get:
        status, body, answered = await get(path, **headers)
    if path == METRICS:
        assert status == 401
        assert answered["WWW-Authenticate"] == 'Bearer realm="stream-app"'
        assert "stream_app" not in body
        assert TOKEN not in body + str(answered)
    else:
        assert status == (200 if path == LIVE else 503)
        assert "WWW-Authenticate" not in answered


@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
async def test_who_has_the_token_gets_the_metrics(scheme: str) -> None:
    async with ours(TOKEN) as get:
        status, body, _ = await get(METRICS, Authorization=f"{scheme} {TOKEN}")
    assert status == 200
    assert "stream_app_ready" in body


@pytest.mark.parametrize("token", ["", TOKEN])
async def test_nothing_of_fausts_own_is_reached(token: str) -> None:
    async with ours(token) as get:
        for path in (*FAUSTS_OWN, "/metrics/", "/metrics/x", "/health", "/METRICS"):
            status, body, headers = await get(path, Authorization=f"Bearer {TOKEN}")
            assert (path, status, body) == (path, 404, "not found\n")
            assert headers["Server"] == "stream-app"


async def test_faust_would_show_its_own_pages() -> None:
    """Else the test above would prove nothing."""
    options = {"web_host": "127.0.0.1", "web_bind": "127.0.0.1", "web_port": free_port()}
    async with served(options) as get:
        found = [path for path in FAUSTS_OWN if (await get(path))[0] == 200]
    assert {"/", "/router/", "/assignment/"} <= set(found)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
async def test_pages_are_only_read(method: str) -> None:
    async with ours() as get:
        for path in PATHS:
            status, _, headers = await get(path, method)
            assert (status, headers["Allow"]) == (405, "GET, HEAD")
        assert (await get(METRICS, "HEAD"))[:2] == (200, "")


async def test_no_port_is_opened_when_it_is_0() -> None:
    assert faust_options(WebSettings(port=0), WORKER)["web_enabled"] is False
