"""The number of segments: whether planted numbers are found, and what synthetic traffic gets.

The criterion was chosen on groups of the seeds 23 to 28 and traffic of the seeds 31 to 36. Reported
are other seeds.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from stream_app.segments.review import Limits, better_centres
from tests.quality.section import Options, Section
from tests.quality.vectors import Floats, generated, stationary_traffic

_NUMBERS = range(3, 9)


def run(options: Options) -> Section:
    """Groups of every number within the default limits, at a warm start and at a refit."""
    section = Section("Number of segments (2)")
    for kind in ("even", "unequal"):
        for n, occasion in ((500, "warm start"), (4_000, "refit")):
            tried = [
                (k, chosen(generated(kind, k, dimensions, seed=120 + k, n=n).x))
                for k in _NUMBERS
                for dimensions in ((6,) if options.quick else (6, 12))
            ]
            wrong = [f"{k} as {found}" for k, found in tried if k != found]
            section.add(
                f"planted number found: {kind} groups, {occasion}",
                sum(k == found for k, found in tried) / len(tried),
                at_least=0.9 if kind == "even" else None,
                note="; ".join(wrong),
            )
    seeds = range(131, 133) if options.quick else range(131, 137)
    found = []
    for seed in seeds:
        vectors = stationary_traffic(seed)
        found.append(chosen(vectors.x[vectors.days > 70]))
    spread = ", ".join(f"{k} in {n}" for k, n in sorted(Counter(found).items()))
    section.add(
        "stationary traffic: runs with the 5 planted behaviours",
        float(np.mean(np.array(found) == 5)),
        note=f"segments: {spread}",
    )
    return section


def chosen(vectors: Floats, least: int = 3, most: int = 8) -> int:
    """How many groups a fit to these vectors has."""
    found = better_centres(vectors, [], Limits(least, most, 500, 7), at_any_rate=True)
    assert found is not None
    return len(found[1])
