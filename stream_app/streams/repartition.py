"""Moving a deployment to more partitions, while no worker runs.

1. *Begin.* The deployment remembers that it is being moved; from here on no worker starts.
2. *Close* every partition: claim it so that nobody else can, and publish what its outbox has.
3. *Copy* accounts into partitions of a new generation, by `partition_of` their id.
4. *Seal* every new partition: read it back, count it, and give it offsets, topic names and what
   remains of erased accounts.
5. *Grow* the topics. Kafka cannot take partitions away, so from here on there is no way back.
6. *Switch* to the new generation, in one write.

Nothing of the old generation is changed but that it is closed, and every step can be repeated. So
after any interruption the same call goes on where it was, and up to step 5 `cancel` gives the old
partitions back. Fences: whoever owned an old partition can no longer write it, and of two that move
the same deployment the later one fences the earlier one's copies.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from msgspec.structs import replace

from stream_app.errors import Busy, Incompatible
from stream_app.streams.cluster import Cluster
from stream_app.streams.copying import OWNER, Copying
from stream_app.streams.deployment import Deployment, Former, MovableStore, Move
from stream_app.streams.partition import from_entry
from stream_app.streams.ports import Claim, Clock, LogReader, Publisher
from stream_app.streams.several import several
from stream_app.streams.survey import Survey, lag, unread

_PUBLISHED = 2_000
"""Messages of an outbox that are published in one call."""
_AT_ONCE = 8
"""Partitions that are copied at a time: Redis is busy while the others wait for it."""


@dataclass(frozen=True, slots=True)
class Done:
    """What a move came to."""

    accounts: int
    published: int
    """Messages of outboxes that were published."""


class Repartition:
    """Moves one deployment.

    Parameters
    ----------
    store
        Of a deployment with this program's own layout.
    topics
        The consumed ones, by their full names.
    say
        Is told of progress, a line at a time.
    at_once
        So many partitions are copied at a time.
    """

    def __init__(
        self,
        store: MovableStore,
        cluster: Cluster,
        reader: LogReader,
        publisher: Publisher,
        clock: Clock,
        topics: Sequence[str],
        say: Callable[[str], None] = lambda _: None,
        *,
        at_once: int = _AT_ONCE,
    ) -> None:
        self._store, self._cluster, self._reader = store, cluster, reader
        self._publisher, self._clock, self._topics, self._say = publisher, clock, topics, say
        self._at_once = at_once
        self.begun = False
        """Whether a move is under way, as far as this object knows."""

    async def survey(self, partitions: int) -> Survey:
        """How things stand; only reads. Raises as the ports do, and Incompatible when a topic is
        missing or ends before what was read of it."""
        deployment = await self._deployment()
        store = self._store.generation(deployment.generation)
        every = range(deployment.partitions)
        topics = await self._cluster.partitions()
        positions = tuple([await store.position(p) for p in every])
        enough = all(count >= len(positions) for count in topics.values())
        return Survey(
            partitions=partitions,
            deployment=deployment,
            members=await self._cluster.members(),
            topics=topics,
            positions=positions,
            accounts=tuple([await store.size(p) for p in every]),
            outbox=tuple([await store.outbox_length(p) for p in every]),
            unread=await unread(self._reader, self._topics, positions) if enough else {},
        )

    async def run(self, survey: Survey, *, allow_lag: bool = False) -> Done:
        """Move to the surveyed number of partitions, or go on with that.

        Parameters
        ----------
        allow_lag
            Whether records may be unread in the old partitions. They are read after the move; those
            of accounts that have moved are passed on through `engagement`, so they may come after
            newer ones of their account.

        Raises
        ------
        Busy
            Workers run, or records are unread. If nothing was copied yet, the deployment is as it
            was before.
        Incompatible
            Something stands in the way that does not go by itself.
        Unavailable, ConfigError
            Kafka or Redis did not answer, or refuse. Call again.
        """
        for obstacle in survey.obstacles(allow_lag=allow_lag):
            raise obstacle
        accounts = sum(survey.accounts)
        if survey.done:
            return Done(accounts, 0)
        allow_lag = allow_lag or survey.passed
        deployment, move = await self._begin(survey)
        old = self._store.generation(deployment.generation)
        sources = await self._close(old, survey)
        published = await self._publish(old, sources)
        await self._check_lag(sources, allow_lag=allow_lag, back=not move.copied)
        new = self._store.generation(move.generation)
        deployment, move = await self._copy(Copying(old, new, sources, move.partitions), deployment,
                                            move, accounts)  # fmt: skip
        await self._check_lag(sources, allow_lag=allow_lag, back=False)
        move = replace(move, growing=True)
        deployment = await self._change(deployment, deployment.moving(move))
        await self._grow(move)
        await self._change(deployment, deployment.moved())
        self.begun = False
        self._say(f"{move.partitions} partitions are in use")
        return Done(accounts, published)

    async def cancel(self) -> Move | None:
        """Give a move up: the old partitions can be claimed again. Returns what was given up; None:
        nothing was under way. Can be repeated. Raises Incompatible when topics have grown."""
        deployment = await self._deployment()
        move, old = deployment.move, self._store.generation(deployment.generation)
        if move is not None:
            await self._check_not_grown(deployment, move)
            # First of all: what was copied does not count any more.
            given_up = Move(partitions=move.partitions, generation=move.generation)
            deployment = await self._change(deployment, deployment.moving(given_up))
            new = self._store.generation(move.generation)
            for home in range(move.partitions):
                await new.claim(home, OWNER)
                await new.clear(home)
        for partition in range(deployment.partitions):
            await old.reopen(partition)
        if move is not None:
            await self._change(deployment, deployment.moving(None))
        self.begun = False
        return move

    async def forget(self) -> Former | None:
        """Remove what was in use before the last move. Returns what it was; None: there is nothing.
        Can be repeated."""
        deployment = await self._deployment()
        if (former := deployment.former) is None:
            return None
        old = self._store.generation(former.generation)
        for partition in range(former.partitions):
            await old.clear(partition)
            self._say(f"old partition {partition} of {former.partitions} is removed")
        await self._change(deployment, replace(deployment, former=None))
        return former

    async def _begin(self, survey: Survey) -> tuple[Deployment, Move]:
        deployment, move = survey.deployment, survey.deployment.move
        if move is None:
            move = Move(partitions=survey.partitions, generation=deployment.generation + 1)
            deployment = await self._change(deployment, deployment.moving(move))
        self.begun = True
        return deployment, move

    async def _close(self, old: MovableStore, survey: Survey) -> list[Claim]:
        """Close the old partitions. Nobody has worked on them since the survey."""
        self._say(f"closing {len(survey.positions)} partitions")
        sources = [await old.close(partition, OWNER) for partition in range(len(survey.positions))]
        for partition, (before, source) in enumerate(zip(survey.positions, sources, strict=True)):
            if source.position.revision != before.revision:
                await self.cancel()
                raise Busy(
                    f"partition {partition} was written just now: a worker runs that is not in "
                    "the group",
                    hint="stop all workers, also those whose kafka.group is another one",
                )
        return sources

    async def _publish(self, old: MovableStore, sources: Sequence[Claim]) -> int:
        """What is decided and perhaps not on Kafka, as the next owner would do it."""
        published = 0
        for partition, source in enumerate(sources):
            if not source.outbox:
                continue
            self._say(f"publishing {len(source.outbox):,} messages of partition {partition}")
            for start in range(0, len(source.outbox), _PUBLISHED):
                entries = source.outbox[start : start + _PUBLISHED]
                await self._publisher.publish([from_entry(entry) for entry in entries])
            first = source.position.outbox_first + len(source.outbox)
            await old.trim(partition, source.position.epoch, first)
            published += len(source.outbox)
        return published

    async def _check_lag(self, sources: Sequence[Claim], *, allow_lag: bool, back: bool) -> None:
        """Raises Busy if records are unread. `back`: give the move up before."""
        if allow_lag:
            return
        positions = [source.position for source in sources]
        if late := lag(await unread(self._reader, self._topics, positions)):
            if back:
                await self.cancel()
            raise late

    async def _copy(
        self, copying: Copying, deployment: Deployment, move: Move, accounts: int
    ) -> tuple[Deployment, Move]:
        """Copy and seal. Returns what the deployment remembers of it."""
        await copying.claim()
        left = set(range(deployment.partitions)).difference(move.copied)
        async with several(copying.copy, sorted(left), self._at_once) as done:
            async for source, copied in done:
                move = replace(move, copied=(*move.copied, source))
                deployment = await self._change(deployment, deployment.moving(move))
                self._say(f"partition {source} of {deployment.partitions}: {copied:,} accounts")
        sealed = 0
        seal = partial(copying.seal, now_us=self._clock.now_us())
        async with several(seal, range(move.partitions), self._at_once) as done:
            async for home, found in done:
                self._say(f"new partition {home} of {move.partitions}: {found:,} accounts")
                sealed += found
        if sealed != accounts:
            raise Incompatible(
                f"{accounts:,} accounts were stored, but {sealed:,} are in the new partitions",
                hint="give the move up with `stream-app repartition --cancel`, and report this",
            )
        return deployment, move

    async def _grow(self, move: Move) -> None:
        self._say(f"{len(self._topics)} topics get {move.partitions} partitions")
        await self._cluster.grow(move.partitions)
        counts = await self._cluster.partitions()
        if any(count != move.partitions for count in counts.values()):
            found = ", ".join(f"{name} has {count}" for name, count in counts.items())
            raise Incompatible(
                f"the topics were to have {move.partitions} partitions, but {found}",
                hint="somebody else has changed them just now",
            )

    async def _check_not_grown(self, deployment: Deployment, move: Move) -> None:
        counts = await self._cluster.partitions()
        if move.growing and any(count > deployment.partitions for count in counts.values()):
            raise Incompatible(
                f"topics have more than {deployment.partitions} partitions already, and Kafka "
                "cannot take any away",
                hint=f"go on with `stream-app repartition {move.partitions}`",
            )

    async def _deployment(self) -> Deployment:
        found = await self._store.deployed()
        if found is None:
            raise Incompatible("nothing is stored under this prefix")
        return found

    async def _change(self, expected: Deployment, changed: Deployment) -> Deployment:
        if not await self._store.redeploy(expected, changed):
            raise Busy(
                "somebody else has changed the deployment just now",
                hint="let only one `stream-app repartition` run at a time",
            )
        return changed
