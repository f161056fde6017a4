"""How much memory the process has."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

_STATUS = Path("/proc/self/status")


def rss_mb() -> float:
    """Resident memory now; where the system does not tell, the largest so far."""
    if _STATUS.exists():
        lines = _STATUS.read_text().splitlines()
        (found,) = (line for line in lines if line.startswith("VmRSS:"))
        return round(int(found.split()[1]) / 1_024, 1)
    return peak_mb()


def peak_mb() -> float:
    """The largest resident memory so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1_048_576 if sys.platform == "darwin" else 1_024), 1)
