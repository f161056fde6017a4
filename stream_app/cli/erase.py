"""`stream-app erase`: ask the workers to forget an account, or a contact of it, and wait."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stream_app.errors import NotDoneYet, NotFound, StreamAppError, Unavailable, UsageError

if TYPE_CHECKING:
    from stream_app.cli.stored import Stored
    from stream_app.events.control import EraseAccount, EraseContact
    from stream_app.features.table import Erased
    from stream_app.settings import Settings

_CLIENT = "stream-app-erase"
_POLL_SECONDS = 0.1
"""Between two looks at what the worker has stored."""


@dataclass
class _Request:
    """A request, and what became of it."""

    event: EraseAccount | EraseContact
    sent: bool = False
    done: bool = False
    known: bool | None = None
    """Whether there was such an account; None: nobody has looked yet."""
    erased_at: str | None = None
    sequence: int | None = None
    """Of the account's last change."""


def erase(
    account_id: Annotated[
        str, typer.Argument(metavar="ACCOUNT", help="Account id, as in the events.")
    ],
    contact: Annotated[
        str | None,
        typer.Option(
            metavar="ID",
            help="Forget only this person in the account: an id as in the events. An e-mail "
            "address is hashed before it leaves this process.",
            show_default=False,
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="Only send the request; Redis is not looked at.")
    ] = False,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", min=0, help="Wait so long for a worker.")
    ] = 30.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Erase an account for good. A later event of it begins a new life.

    The request goes to the topic account-control, and a worker carries it out. docs/erasure.md says
    what remains where, and for how long. Exit code 7: no worker has done so in time; the request
    stays on the topic. JSON: `account_id`, `contact_id` (hashed), `request_id`, `done`, and once it
    is done `known` (whether there was such an account), `erased_at`, `sequence` (of the account's
    last change).
    """
    from stream_app.settings import load  # noqa: PLC0415

    settings = load()
    request = _Request(_event(settings, account_id, contact))
    if not yes:
        _confirm(account_id, contact)
    try:
        asyncio.run(_run(settings, request, None if no_wait else timeout))
    except KeyboardInterrupt as stop:
        if request.sent:
            stop.add_note("the request was sent, and will be carried out")
        raise
    if as_json:
        from stream_app.cli.output import print_json  # noqa: PLC0415

        print_json(_summary(request))
    else:
        _show(request)


def _event(settings: Settings, account: str, contact: str | None) -> EraseAccount | EraseContact:
    """The control event; with a unique id, so that asking again is another request."""
    from datetime import UTC, datetime  # noqa: PLC0415
    from uuid import uuid4  # noqa: PLC0415

    import msgspec  # noqa: PLC0415

    from stream_app.events.control import EraseAccount, EraseContact  # noqa: PLC0415
    from stream_app.events.decode import Pseudonyms  # noqa: PLC0415

    common: dict[str, Any] = {
        "id": f"erase-{uuid4()}",
        "occurred_at": datetime.now(UTC),
        "account_id": account,
    }
    event: EraseAccount | EraseContact
    try:
        if contact is None:
            event = EraseAccount(**common)
        else:
            key = settings.input.contact_hash_key.get_secret_value().encode()
            event = EraseContact(**common, contact_id=Pseudonyms(key)(contact))
        return msgspec.json.decode(msgspec.json.encode(event), type=type(event))
    except UnicodeEncodeError:
        raise UsageError("an id is not UTF-8", hint="give ids as text") from None
    except msgspec.ValidationError as error:
        raise UsageError(
            f"a worker would refuse this: {error}", hint="ids have 1 to 256 characters"
        ) from None


def _confirm(account: str, contact: str | None) -> None:
    from stream_app.cli.output import printable, remarks  # noqa: PLC0415

    if not sys.stdin.isatty():
        raise UsageError("erasing must be confirmed, and there is no terminal to ask on",
                         hint="add --yes")  # fmt: skip
    what = "" if contact is None else f"the contact {printable(contact)} of "
    reply = _ask(f"Erase {what}{printable(account)}? There is no way back. [y/N] ")
    if reply.strip().lower() not in {"y", "yes"}:
        remarks().print("nothing was sent")
        raise typer.Exit(1)


def _ask(question: str) -> str:
    """The next line that is typed; empty at the end of the input."""
    sys.stderr.write(question)
    sys.stderr.flush()
    return sys.stdin.readline()


async def _run(settings: Settings, request: _Request, wait_seconds: float | None) -> None:
    """Send, and wait unless `wait_seconds` is None."""
    from stream_app.cli.stored import stored  # noqa: PLC0415

    if wait_seconds is None:
        await _send(settings, request)
        return
    async with stored(settings) as opened:  # a wrong prefix is found before anything is sent
        before = await opened.erased(request.event.account_id)
        partition, end = await _send(settings, request)
        topic = _topic(settings)
        try:
            async with asyncio.timeout(wait_seconds):
                while not await _passed(opened, partition, topic, end):  # noqa: ASYNC110
                    await asyncio.sleep(_POLL_SECONDS)  # Redis has no event for it
        except TimeoutError:
            raise NotDoneYet(
                f"the request was sent, but no worker has carried it out within {wait_seconds:g} s",
                hint=f"it stays on {topic}, and a worker that comes to it within the topic's "
                "retention carries it out; `stream-app doctor` tells whether workers run",
            ) from None
        await _look(opened, request, before)


async def _send(settings: Settings, request: _Request) -> tuple[int, int]:
    """Returns the partition, and an offset that lies behind the request."""
    import msgspec  # noqa: PLC0415

    from stream_app.streams.kafka_publisher import KafkaPublisher  # noqa: PLC0415
    from stream_app.streams.kafka_reader import KafkaReader  # noqa: PLC0415
    from stream_app.streams.partitioning import partition_of  # noqa: PLC0415
    from stream_app.streams.ports import Message  # noqa: PLC0415

    topic, key = _topic(settings), request.event.account_id.encode()
    reader = KafkaReader(settings.kafka, _CLIENT)
    publisher = KafkaPublisher(settings.kafka, _CLIENT)
    try:
        await reader.start()
        partition = partition_of(key, len(await reader.stretches(topic)))
        await publisher.publish([Message(topic, key, msgspec.json.encode(request.event))])
        request.sent = True
        return partition, (await reader.stretches(topic))[partition].stop
    finally:
        await publisher.stop()
        await reader.stop()


def _topic(settings: Settings) -> str:
    from stream_app.streams.topics import ACCOUNT_CONTROL  # noqa: PLC0415

    return ACCOUNT_CONTROL.with_prefix(settings.kafka.topic_prefix).name


async def _passed(opened: Stored, partition: int, topic: str, end: int) -> bool:
    """Whether a worker has applied the topic up to `end`."""
    with suppress(Unavailable):  # Redis may come back before the time is over
        return (await opened.offsets(partition)).get(topic, 0) >= end
    return False


async def _look(opened: Stored, request: _Request, before: Erased | None) -> None:
    """What has become of a request that a worker has passed."""
    from stream_app.events.control import EraseContact  # noqa: PLC0415
    from stream_app.events.instants import to_rfc3339  # noqa: PLC0415

    account = request.event.account_id
    if isinstance(request.event, EraseContact):
        request.known = True
        try:
            await opened.account(account)
        except NotFound:
            request.known = False
    else:
        past = await opened.erased(account)
        if past is None or past == before:
            raise StreamAppError(
                "the worker has refused the request",
                hint="its reason is in `dead-letters`; is the clock of this machine right?",
            )
        request.known = past.sequence > (before.sequence if before else 0)
        request.erased_at, request.sequence = to_rfc3339(past.at_us), past.sequence or None
    request.done = True


def _summary(request: _Request) -> dict[str, Any]:
    return {
        "account_id": request.event.account_id,
        "contact_id": getattr(request.event, "contact_id", None),
        "request_id": request.event.id,
        "done": request.done,
        "known": request.known,
        "erased_at": request.erased_at,
        "sequence": request.sequence,
    }


def _show(request: _Request) -> None:
    from stream_app.cli.output import console, printable, when  # noqa: PLC0415

    account = printable(request.event.account_id)
    if not request.done:
        text = f"sent: the request {request.event.id} about {account}"
    elif not request.known:
        text = f"there was no account {account}"
    elif request.erased_at is None:
        text = f"the contact was forgotten in {account}"
    else:
        text = (
            f"{account} was erased at {when(request.erased_at)}; "
            f"its last change has the sequence {request.sequence}"
        )
    console().print(text, soft_wrap=True)
