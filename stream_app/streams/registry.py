"""Which versions of the model there are, which one is in use, and who decided that.

One small value that the store holds. Everything that happens to it is a function here, from one
registry to the next; the store writes the next one if nobody else was faster.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from stream_app.changes.types import Why
from stream_app.segments.snapshot import Instant

BY_TRAINER = "trainer"
"""Who activates a version by itself."""
NEWEST_KEPT = 50
"""So many of the newest versions stay in the store, and besides them those that matter."""
_HISTORY = 20
_WAITING = 10

_KEEPS_WAITING = ("moved", "renamed", "rolled_back")
"""What changes nothing about the question whether a version that waits is better."""


class Activation(Struct, frozen=True, kw_only=True):
    """A version came into use."""

    number: int
    """Counts the activations, without gaps."""
    version: int
    previous: int
    """The version in use before; 0: none."""
    at: Instant
    by: str
    """`BY_TRAINER`, or a person."""
    why: Why


class Registry(Struct, frozen=True, kw_only=True):
    """What is known of all versions."""

    revision: int = 0
    """Counts the writes; whoever writes must have seen the last one."""
    newest: int = 0
    """The highest version ever issued; 0: none."""
    trained: int = 0
    """The newest version that came from a trainer, with its checkpoint."""
    active: int = 0
    """The version that workers use; 0: none."""
    pinned: bool = False
    """Whether the active version stays until a person says otherwise."""
    versions: tuple[int, ...] = ()
    """Those that are stored, oldest first."""
    waiting: tuple[int, ...] = ()
    """Those that were stored but not activated, and wait for a person; oldest first."""
    history: tuple[Activation, ...] = ()
    """The latest activations, oldest first."""
    activations: int = 0
    """How many there ever were."""
    announced_versions: int = 0
    """All versions up to this one are known to be on `segment-models`."""
    announced_activations: int = 0
    """All activations up to this number are."""
    refits_asked: int = 0
    """How often a person asked the trainer to choose the segments anew."""
    refits_done: int = 0
    """How many of these requests are done."""

    @property
    def before(self) -> int:
        """The version that was in use before the active one; 0: none, or it is gone."""
        previous = self.history[-1].previous if self.history else 0
        return previous if previous in self.versions else 0

    @property
    def refit_asked(self) -> bool:
        """Whether somebody waits for segments chosen anew."""
        return self.refits_done < self.refits_asked

    @property
    def unannounced(self) -> bool:
        """Whether something may be missing on `segment-models`."""
        return (
            self.announced_versions < self.newest or self.announced_activations < self.activations
        )

    def issued(self, version: int, *, by_trainer: bool) -> Registry:
        """With a new version, which waits. `version` must be the next one."""
        if version != self.newest + 1:
            raise ValueError(f"version {version} does not follow version {self.newest}")
        return replace(
            self,
            newest=version,
            trained=version if by_trainer else self.trained,
            versions=(*self.versions, version),
            waiting=(*self.waiting, version)[-_WAITING:],
        )._pruned()

    def activated(self, version: int, at: Instant, by: str, why: Why) -> Registry:
        """With another version in use. What is older than it waits no longer. `version` must be
        stored."""
        if version not in self.versions:
            raise ValueError(f"version {version} is not stored")
        activation = Activation(
            number=self.activations + 1,
            version=version,
            previous=self.active,
            at=at,
            by=by,
            why=why,
        )
        return replace(
            self,
            active=version,
            activations=activation.number,
            history=(*self.history, activation)[-_HISTORY:],
            waiting=tuple(
                v for v in self.waiting if v > version or (v < version and why in _KEEPS_WAITING)
            ),
        )._pruned()

    def with_pin(self, *, pinned: bool) -> Registry:
        """With the active version pinned, or not any more."""
        return replace(self, pinned=pinned)

    def with_refit_asked(self) -> Registry:
        """With one more request to choose the segments anew."""
        return replace(self, refits_asked=self.refits_asked + 1)

    def with_refits_done(self) -> Registry:
        """With all requests carried out."""
        return replace(self, refits_done=self.refits_asked)

    def is_first(self, activation: Activation) -> bool:
        """Whether the version was not in use before, as far as the history reaches."""
        return not any(
            a.version == activation.version for a in self.history if a.number < activation.number
        )

    def announced(self, versions: int, activations: int) -> Registry:
        """With `segment-models` known to have all up to these."""
        return replace(
            self,
            announced_versions=max(self.announced_versions, versions),
            announced_activations=max(self.announced_activations, activations),
        )

    def next(self) -> Registry:
        """As it is written: with the next revision."""
        return replace(self, revision=self.revision + 1)

    def _pruned(self) -> Registry:
        """Without the versions that nobody can need any more."""
        needed = {self.active, *self.waiting}
        needed |= {a.version for a in self.history} | {a.previous for a in self.history}
        newest = self.versions[-NEWEST_KEPT:]
        kept = tuple(v for v in self.versions if v in needed or v in newest)
        return replace(self, versions=kept)
