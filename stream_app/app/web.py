"""The HTTP port: metrics and health, and nothing else that Faust would serve."""

from __future__ import annotations

import hmac
import json
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import hdrs, web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from stream_app.connections import WebSettings
from stream_app.errors import ConfigError
from stream_app.streams.worker import Worker

METRICS, LIVE, READY = "/metrics", "/health/live", "/health/ready"
PATHS: Mapping[str, bool] = {METRICS: True, LIVE: False, READY: False}
"""Every page there is, and whether it asks for the token. The health pages do not: a kubelet has no
token, and all that they tell is yes or no."""

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def faust_options(settings: WebSettings, worker: Worker) -> dict[str, Any]:
    """The settings of Faust that open the port and let it serve our pages only."""
    return {
        "web_bind": settings.host,
        "web_host": settings.host,
        "web_port": settings.port or 1,
        "web_enabled": settings.port != 0,
        "web_cors_options": None,
        "web_application_options": {"middlewares": [_pages(worker, settings)]},
    }


def check_port(settings: WebSettings) -> None:
    """Raises ConfigError when the port cannot be opened."""
    if not settings.port:
        return
    try:
        with socket.create_server((settings.host, settings.port)):
            pass
    except OSError as error:
        raise ConfigError(
            f"the HTTP port {settings.port} of {settings.host} cannot be opened: {error.strerror}",
            hint="set STREAM_APP_WEB__PORT to another port, or to 0 for none",
        ) from None


def _pages(worker: Worker, settings: WebSettings) -> Any:
    """All pages in one place, in front of Faust's router: of what Faust adds by itself (`/`,
    `/router`, `/table`, and more in a debug mode) nothing is reached, whatever its version."""
    token = settings.token.get_secret_value()

    @web.middleware
    async def answer(request: web.Request, handler: _Handler) -> web.StreamResponse:  # noqa: ARG001
        response = _answer(request, worker, token)
        response.headers[hdrs.SERVER] = "stream-app"  # else the versions of aiohttp and Python
        return response

    return answer


def _answer(request: web.Request, worker: Worker, token: str) -> web.Response:
    if request.path not in PATHS:
        return web.Response(status=404, text="not found\n")
    if request.method not in {hdrs.METH_GET, hdrs.METH_HEAD}:
        return web.Response(status=405, headers={hdrs.ALLOW: "GET, HEAD"}, text="only GET\n")
    if token and PATHS[request.path] and not _knows(request, token):
        challenge = {hdrs.WWW_AUTHENTICATE: 'Bearer realm="stream-app"'}
        return web.Response(status=401, headers=challenge, text="the token is missing or wrong\n")
    if request.path == METRICS:
        return _metrics(worker.metrics.registry)
    if request.path == LIVE:
        return _health("live", worker.alive)
    return _health("ready", worker.ready)


def _knows(request: web.Request, token: str) -> bool:
    """Whether the caller sent the token. Takes as long for any wrong one of that length."""
    scheme, _, given = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(
        given.strip().encode(errors="surrogateescape"), token.encode()
    )


def _metrics(registry: CollectorRegistry) -> web.Response:
    return web.Response(
        body=generate_latest(registry), headers={hdrs.CONTENT_TYPE: CONTENT_TYPE_LATEST}
    )


def _health(name: str, good: bool) -> web.Response:
    body = json.dumps({name: good})
    return web.Response(status=200 if good else 503, text=body, content_type="application/json")
