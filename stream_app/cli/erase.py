"""`stream-app erase`: ask the workers to forget an account, or a contact of it, and wait."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stream_app.errors import StreamAppError, UsageError

if TYPE_CHECKING:
    from stream_app.cli.erase_request import Request
    from stream_app.events.control import EraseAccount, EraseContact
    from stream_app.settings import Settings

_CLIENT = "stream-app-erase"


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
    is done `known` (whether there was such an account), `erased_at`, `erased_before` (by an earlier
    request), `sequence` (of the account's last change).
    """
    from stream_app.cli.erase_request import Request  # noqa: PLC0415
    from stream_app.settings import load  # noqa: PLC0415

    settings = load()
    request = Request(_event(settings, account_id, contact))
    if not yes:
        _confirm(account_id, contact)
    try:
        asyncio.run(_run(settings, request, None if no_wait else timeout))
    except BaseException as error:  # Ctrl-C too
        _say_how_far(request, error)
        raise
    if as_json:
        from stream_app.cli.output import print_json  # noqa: PLC0415

        print_json(_summary(request))
    else:
        _show(request)


def _event(settings: Settings, account: str, contact: str | None) -> EraseAccount | EraseContact:
    """The control event; with a unique id, so that asking again is another request."""
    from uuid import uuid4  # noqa: PLC0415

    import msgspec  # noqa: PLC0415

    from stream_app.events.control import EraseAccount, EraseContact  # noqa: PLC0415
    from stream_app.events.decode import Pseudonyms  # noqa: PLC0415

    common: dict[str, Any] = {
        "id": f"erase-{uuid4()}",
        "occurred_at": _now(),
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


def _say_how_far(request: Request, error: BaseException) -> None:
    """There is no way back from a request that was sent, whatever went wrong afterwards."""
    if not request.said:
        return
    if isinstance(error, StreamAppError):
        error.args = (f"{error}; {request.said}",)
    else:
        error.add_note(request.said)


def _now() -> datetime:
    return datetime.now(UTC)


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


async def _run(settings: Settings, request: Request, wait_seconds: float | None) -> None:
    """Send, and wait unless `wait_seconds` is None."""
    from stream_app.cli.desk import desk  # noqa: PLC0415
    from stream_app.cli.erase_request import carry_out, send  # noqa: PLC0415
    from stream_app.streams.kafka_publisher import KafkaPublisher  # noqa: PLC0415
    from stream_app.streams.topics import ACCOUNT_CONTROL  # noqa: PLC0415

    topic = settings.kafka.topic_prefix + ACCOUNT_CONTROL.name
    if wait_seconds is not None:
        async with desk(settings, _CLIENT) as opened:
            await carry_out(opened, request, topic, wait_seconds)
        return
    publisher = KafkaPublisher(settings.kafka, _CLIENT)
    try:
        await send(publisher, request, topic)
    finally:
        await publisher.stop()


def _summary(request: Request) -> dict[str, Any]:
    return {
        "account_id": request.event.account_id,
        "contact_id": getattr(request.event, "contact_id", None),
        "request_id": request.event.id,
        "done": request.done,
        "known": request.known,
        "erased_at": request.erased_at,
        "erased_before": request.erased_before,
        "sequence": request.sequence,
    }


def _show(request: Request) -> None:
    from stream_app.cli.output import console, printable, when  # noqa: PLC0415

    account = printable(request.event.account_id)
    if not request.done:
        text = f"sent: the request {request.event.id} about {account}"
    elif not request.known and request.erased_before is not None:
        text = f"{account} was erased already at {when(request.erased_before)}"
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
