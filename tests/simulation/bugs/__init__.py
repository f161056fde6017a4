"""Deliberate bugs, to show that the simulation finds them. Nothing in `stream_app` knows of them.

Each function replaces a piece of the product for as long as the stack is open. The oracle runs
without them.
"""

from tests.simulation.bugs import commits, erasures, outbox, ownership, records
from tests.simulation.bugs.registry import BUGS, planted

__all__ = ["BUGS", "commits", "erasures", "outbox", "ownership", "planted", "records"]
