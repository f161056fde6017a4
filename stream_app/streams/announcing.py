"""What happened to the model, from the store to `segment-models`: at least once, with stable ids.

The registry says how far publishing has come. Whoever changes it (the trainer, an operator's
command) publishes what is new; should he die in between, the trainer does it, before it learns on.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping

import msgspec

from stream_app.segments.snapshot import Snapshot
from stream_app.streams.messages import Messages
from stream_app.streams.ports import Message, Publisher, StateStore
from stream_app.streams.registry import Registry

log = logging.getLogger(__name__)

_decode = msgspec.json.Decoder(Snapshot).decode


async def announce(
    registry: Registry, store: StateStore, publisher: Publisher, messages: Messages
) -> Registry:
    """Publish what the registry has and `segment-models` may lack: versions, then activations,
    each in order. Returns the registry as it is afterwards, which somebody else may have changed.

    Raises
    ------
    Unavailable
        The store or the log did not answer. Call again: what is published twice has the same id.
    """
    if not registry.unannounced:
        return registry
    wanted = set(range(registry.announced_versions + 1, registry.newest + 1))
    wanted |= {a.version for a in registry.history if a.number > registry.announced_activations}
    found = {version: await _read(store, version) for version in sorted(wanted)}
    snapshots = {version: snapshot for version, snapshot in found.items() if snapshot}
    await publisher.publish(list(_messages(registry, snapshots, messages)))
    published = registry
    while True:
        announced = registry.announced(published.newest, published.activations)
        if await store.update_registry(registry, announced):
            return announced.next()
        registry = await store.registry()
        if registry.revision < published.revision:
            # Redis became an older copy of itself, and gives the same numbers to other versions.
            return registry


async def _read(store: StateStore, version: int) -> Snapshot | None:
    """A version to be published; one of another catalogue is, too. None, with a log line: it went
    because so many newer ones came, or nobody of us wrote it."""
    found = await store.snapshot(version)
    try:
        if found is not None:
            return _decode(found[1])
        log.warning("model version %d is not stored any more: not published", version)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        log.warning("model version %d cannot be read: not published: %s", version, error)
    return None


def _messages(
    registry: Registry, snapshots: Mapping[int, Snapshot], messages: Messages
) -> Iterator[Message]:
    for version, snapshot in snapshots.items():
        if version > registry.announced_versions:
            yield messages.model(snapshot)
    for activation in registry.history:
        if activation.number <= registry.announced_activations:
            continue
        if (used := snapshots.get(activation.version)) is not None:
            if registry.is_first(activation):
                yield from messages.lineage(used, activation.at)
            yield messages.activation(activation, used)
