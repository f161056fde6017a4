"""A simulation: how much more than the others the busiest partition has to do.

`python -m benchmarks.skew` prints the table; it needs no server, and the same seeds give the same
figures on every machine.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from benchmarks.bench import Bench
from benchmarks.measurement import Measurement
from benchmarks.section import Section
from stream_app.streams.partitioning import partition_of

EXPONENTS = (0.0, 0.5, 0.8, 1.0, 1.2)
"""Of the Zipf distribution of events over accounts; 0: all accounts are equally busy."""
PARTITIONS = (8, 64, 256, 1_024)
SEEDS = 9
"""Draws of which accounts are the busy ones."""
_WHOLE = 2**31
"""`partition_of` among so many partitions is the whole hash."""
_METHOD = """\
A simulation, not a measurement. Account number k has a share of the events that is proportional
to 1 / k^s (Zipf); which account has which number is drawn with a seed, and `partition_of` says
where each one lies, as Kafka's clients do. A million accounts are placed one by one. Of a hundred
million, the million busiest are, and what remains is spread evenly: it consists of shares so
small that chance evens them out, to a per cent. The median of nine draws counts, with the least
and the most beside it."""

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Skew:
    """The busiest partition of one distribution."""

    exponent: float
    accounts: int
    partitions: int
    busiest: Measurement
    """Its events by those of the mean partition, a value per draw."""
    largest_account: float
    """Share of all events that the busiest account has. However many partitions there are, the
    busiest one has at least that."""

    @property
    def useful_partitions(self) -> int:
        """With more partitions than these, the mean one has less than the busiest account alone."""
        return int(1.0 / self.largest_account)


def skews(
    accounts: int,
    placed: int,
    exponents: tuple[float, ...] = EXPONENTS,
    partitions: tuple[int, ...] = PARTITIONS,
    draws: int = SEEDS,
) -> Iterator[Skew]:
    """One `Skew` for each exponent and number of partitions.

    Parameters
    ----------
    accounts
        That have events.
    placed
        So many of the busiest are placed one by one, the rest evenly.
    """
    placed = min(placed, accounts)
    hashes = _hashes(placed)
    orders = [np.random.default_rng(seed).permutation(placed) for seed in range(draws)]
    for exponent in exponents:
        shares = zipf_shares(accounts, placed, exponent)
        rest = max(1.0 - float(shares.sum()), 0.0)
        for count in partitions:
            homes = hashes % count
            busiest = [
                float(np.bincount(homes[order], shares, count).max()) * count + rest
                for order in orders
            ]
            yield Skew(exponent, accounts, count, Measurement.of(busiest), float(shares[0]))


def zipf_shares(accounts: int, first: int, exponent: float) -> Floats:
    """(first,) share of the events that each of the busiest accounts has, of so many.

    Those beyond the first are summed up by the midpoint rule, whose relative error is below
    exponent^2 / (12 first^2).
    """
    weights = np.arange(1, first + 1, dtype=np.float64) ** -exponent
    low, high = first + 0.5, accounts + 0.5
    if exponent == 1.0:
        tail = float(np.log(high / low))
    else:
        tail = (high ** (1.0 - exponent) - low ** (1.0 - exponent)) / (1.0 - exponent)
    shares: Floats = weights / (float(weights.sum()) + tail)
    return shares


@lru_cache(maxsize=2)
def _hashes(accounts: int) -> Ints:
    """What `partition_of` takes the remainder of, for as many account ids."""
    keys = (b"account-%09d" % number for number in range(accounts))
    return np.fromiter((partition_of(key, _WHOLE) for key in keys), np.int64, accounts)


async def run(bench: Bench) -> Section:
    """As a part of `make bench`."""
    placed = bench.plan.many_accounts
    section = Section("Skew of partitions", _METHOD)
    found = [skew for n in (placed, 100 * placed) for skew in skews(n, placed)]
    for skew in found:
        name = f"s = {skew.exponent:g}, {skew.accounts:,} accounts, {skew.partitions:,} partitions"
        note = f"the busiest account has {100 * skew.largest_account:.3g} %"
        section.add(name, skew.busiest, "x mean", form=".2f", note=note)
    section.figures["skew"] = [figure(skew) for skew in found]
    return section


def figure(skew: Skew) -> dict[str, float]:
    """For the JSON object."""
    return {
        "exponent": skew.exponent,
        "accounts": skew.accounts,
        "partitions": skew.partitions,
        "busiest_by_mean": round(skew.busiest.median, 4),
        "largest_account": skew.largest_account,
    }


def table(accounts: int, placed: int) -> list[str]:
    """The simulation as lines of Markdown: one per exponent, one column per number of
    partitions."""
    found = list(skews(accounts, placed))
    heads = [f"{count:,} partitions" for count in PARTITIONS]
    lines = [
        f"| s | {' | '.join(heads)} | busiest account | so many partitions at most |",
        "|---|" + "---|" * (len(heads) + 2),
    ]
    for exponent in EXPONENTS:
        row = [skew for skew in found if skew.exponent == exponent]
        cells = [skew.busiest.text(".2f") for skew in row]
        largest = f"{100 * row[0].largest_account:.3g} %"
        cells += [largest, f"{row[0].useful_partitions:,}"]
        lines.append(f"| {exponent:g} | {' | '.join(cells)} |")
    return lines


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.skew", description=__doc__)
    parser.add_argument("--accounts", type=int, default=1_000_000)
    parser.add_argument("--placed", type=int, default=1_000_000, help="the others lie evenly")
    options = parser.parse_args()
    print("\n".join(table(options.accounts, options.placed)))


if __name__ == "__main__":
    main()
