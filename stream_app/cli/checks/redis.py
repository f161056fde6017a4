"""Redis: reached, new enough, keeps what it is given, allows what a worker needs."""

from __future__ import annotations

import time
from collections.abc import Mapping

from stream_app.cli.checks.base import Check, failed, skipped, within_limit
from stream_app.errors import StreamAppError
from stream_app.settings import RedisSettings
from stream_app.streams.redis_calls import RedisCalls
from stream_app.streams.redis_store import RedisStore

_OLDEST = (6, 2)
_SKEW_SECONDS, _BAD_SKEW_SECONDS = 1.0, 60.0


async def redis_checks(settings: RedisSettings) -> tuple[list[Check], bool]:
    """The checks, and whether Redis was reached."""
    try:
        calls = RedisCalls(settings)
    except StreamAppError as error:
        return [failed("redis", error)], False
    try:
        began = time.monotonic()
        info = _info(await within_limit(calls.call(settings.prefix, "INFO"), "Redis"))
        took_ms = 1_000 * (time.monotonic() - began)
        reached = Check("redis", True, f"answers in {took_ms:.0f} ms")
        checks = [_version(info), _memory(info), _persistence(info)]
        return [reached, *checks, await _rights(settings, checks), await _clock(calls)], True
    except StreamAppError as error:
        return [failed("redis", error)], False
    finally:
        await calls.stop()


def _info(answer: bytes) -> dict[str, str]:
    lines = (line.partition(":") for line in answer.decode(errors="replace").splitlines())
    return {name: value for name, separator, value in lines if separator}


def _version(info: Mapping[str, str]) -> Check:
    version = info.get("redis_version", "")
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
    if len(numbers) < 2:
        return Check("redis version", None, "Redis does not tell its version")
    if numbers < _OLDEST:
        return Check("redis version", False, f"{version} is too old", "use Redis 6.2 or newer")
    return Check("redis version", True, version)


def _memory(info: Mapping[str, str]) -> Check:
    policy, limit = info.get("maxmemory_policy", "noeviction"), int(info.get("maxmemory", "0"))
    used = f"{info.get('used_memory_human', '?')} used"
    if not limit:
        return Check("redis memory", True, f"{used}, no limit")
    used += f" of {limit / 2**20:,.0f} MiB"
    if policy != "noeviction":
        detail = f"{used}, and then the policy {policy} drops state"
        return Check("redis memory", False, detail, "set maxmemory-policy to noeviction")
    if int(info.get("used_memory", "0")) > 0.9 * limit:
        return Check("redis memory", True, f"{used}, {policy}", "raise maxmemory before it is full")
    return Check("redis memory", True, f"{used}, {policy}")


def _persistence(info: Mapping[str, str]) -> Check:
    name = "redis persistence"
    for field, what in (
        ("aof_last_write_status", "the append-only file"),
        ("rdb_last_bgsave_status", "a snapshot"),
    ):
        if info.get(field, "ok") != "ok":
            return Check(name, False, f"Redis could not write {what}", "see the log of Redis")
    if info.get("aof_enabled") == "1":
        return Check(name, True, "append-only file")
    return Check(
        name,
        True,
        "no append-only file: after a crash of Redis, state and offsets go back to its last "
        "snapshot, and records are read again from there",
        "set appendonly to yes",
    )


async def _rights(settings: RedisSettings, before: list[Check]) -> Check:
    if any(check.ok is False for check in before):
        return skipped("mend the above first", "redis rights")[0]
    store = RedisStore(settings)
    try:
        await within_limit(store.start(), "Redis")
    except StreamAppError as error:
        return failed("redis rights", error)
    finally:
        await store.stop()
    return Check("redis rights", True, "all commands that a worker needs are allowed")


async def _clock(calls: RedisCalls) -> Check:
    before = time.time()
    try:
        seconds, microseconds = await within_limit(calls.call("", "TIME"), "Redis")
    except StreamAppError as error:
        return failed("clock", error)
    skew = int(seconds) + int(microseconds) / 1e6 - (before + time.time()) / 2
    detail = f"Redis is {abs(skew):.3f} s {'ahead of' if skew > 0 else 'behind'} this machine"
    hint = "" if abs(skew) < _SKEW_SECONDS else "let both machines keep their clocks by NTP"
    return Check("clock", abs(skew) < _BAD_SKEW_SECONDS, detail, hint)
