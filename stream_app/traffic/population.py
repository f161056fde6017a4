"""The companies and their people: ids, time zones, size, interests."""

from dataclasses import dataclass

import numpy as np

from stream_app.traffic.behaviours import BEHAVIOURS, Behaviour, Bools, Floats, HabitTable, Ints
from stream_app.traffic.config import TrafficConfig
from stream_app.traffic.content import TOPICS
from stream_app.traffic.rhythm import ZONE_CDF

MAX_CONTACTS = 20
MANY_PEOPLE = (Behaviour.PRICING_RESEARCHER, Behaviour.TRIAL_EVALUATOR)
"""Behaviours that take several people."""
_MIN_CONTACTS = 4

_COMPANIES = (
    "northwind", "alderbrook", "bluequarry", "castleford", "driftwell", "eastmarch",
    "fernhollow", "graniteway", "harrowgate", "ironvale", "juniperco", "kestrelworks",
    "lanternhill", "millrace", "nettlestone", "oakenshaw", "pinecrest", "quillmark",
    "ravensford", "saltmarsh", "thornbury", "umberfield", "valleygate", "westlock",
    "yarrowdale", "zephyrline", "amberlode", "brightwater", "coppervane", "dunmoor",
)  # fmt: skip
_FIRST = ("anna", "ben", "clara", "david", "elif", "femi", "grace", "hugo", "ines", "jonas",
          "kira", "liam", "mei", "nora", "omar", "paula")  # fmt: skip
_LAST = ("keller", "adams", "rossi", "novak", "sato", "okafor", "lund", "garcia", "meyer",
         "singh", "dubois", "costa", "larsen", "brown", "ivanov", "chen")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Population:
    """Accounts and contacts as columns. Contacts are numbered through, account by account."""

    account_ids: tuple[str, ...]
    contact_ids: tuple[str, ...]
    first_contact: Ints
    contacts: Ints
    """Contacts per account."""
    owner: Ints
    """Account of each contact."""
    zone: Ints
    """Index in ZONES_MINUTES, per account."""
    pace: Floats
    """Factor on the account's own sessions, mean 1."""
    topics: Ints
    """Three different topics that interest the account, most interesting first. (accounts, 3)"""
    proxied: Bools
    """A mail proxy of this account opens nearly every mail."""
    subscribed: Bools
    """Per contact: on the mailing list at the start."""


def populate(config: TrafficConfig, first_row: Ints, busy: Bools, habits: HabitTable) -> Population:
    """Draw the population.

    `first_row` is each account's habit row at the start, `busy` marks accounts that have at
    some time a behaviour of MANY_PEOPLE.
    """
    rng = np.random.default_rng([config.seed, 1])
    n = config.accounts
    drawn = rng.lognormal(np.log(4.0), 0.7, n).round().astype(np.int64)
    contacts: Ints = np.clip(drawn, np.where(busy, _MIN_CONTACTS, 1), MAX_CONTACTS)
    owner = np.repeat(np.arange(n), contacts)
    popularity = np.log(1.0 / np.arange(2, len(TOPICS) + 2))
    # The three largest of log-weight plus Gumbel noise are a weighted draw without replacement.
    keys = popularity + rng.gumbel(size=(n, len(TOPICS)))
    words = rng.integers(len(_COMPANIES), size=n)
    width = max(4, len(str(n - 1)))
    account_ids = tuple(f"{_COMPANIES[w]}-{i:0{width}d}" for i, w in enumerate(words))
    return Population(
        account_ids=account_ids,
        contact_ids=_contact_ids(rng, config, account_ids, owner),
        first_contact=np.cumsum(contacts) - contacts,
        contacts=contacts,
        owner=owner,
        zone=np.searchsorted(ZONE_CDF[:-1], rng.random(n), side="right"),
        pace=rng.lognormal(-0.06, 0.35, n),
        topics=np.argsort(-keys, axis=1)[:, :3],
        proxied=rng.random(n) < 0.4,
        subscribed=rng.random(len(owner)) < habits.subscribed[first_row[owner]],
    )


def _contact_ids(
    rng: np.random.Generator, config: TrafficConfig, account_ids: tuple[str, ...], owner: Ints
) -> tuple[str, ...]:
    """Opaque ids, and for some contacts a mail address at a reserved domain. All different."""
    shift = int(rng.integers(2**32))
    # An odd factor makes the map one to one, so the ids look random and cannot collide.
    ids = [f"c-{(i * 2_654_435_761 + shift) % 2**32:08x}" for i in range(len(owner))]
    names = rng.integers(len(_FIRST) * len(_LAST), size=len(owner))
    used: set[str] = set()
    for contact in np.flatnonzero(rng.random(len(owner)) < config.email_contact_share).tolist():
        first, last = divmod(int(names[contact]), len(_LAST))
        name, domain = f"{_FIRST[first]}.{_LAST[last]}", f"{account_ids[owner[contact]]}.example"
        if f"{name}@{domain}" in used:
            name += str(contact)
        used.add(f"{name}@{domain}")
        ids[contact] = f"{name}@{domain}"
    return tuple(ids)


def many_people_rows() -> list[int]:
    """Habit rows that take several people, moved forms included."""
    plain = [BEHAVIOURS.index(b) for b in MANY_PEOPLE]
    return plain + [row + len(BEHAVIOURS) for row in plain]
