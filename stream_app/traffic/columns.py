"""Sessions and events as columns: what the samplers pass on before anything is text."""

import numpy as np
import numpy.typing as npt

Sessions = npt.NDArray[np.void]
Events = npt.NDArray[np.void]

SESSION = np.dtype(
    [
        ("at", "i8"),  # start, microseconds since 1970
        ("account", "i8"),
        ("contact", "i8"),
        ("habit", "i8"),  # habit row
        ("topic", "i8"),
        ("pages", "i8"),  # 0: draw from the habit
        ("referrer", "i8"),  # index in REFERRERS
        ("campaign", "i8"),  # index of the campaign, -1: none
    ]
)

VISIT, DOWNLOAD, EMAIL = 0, 1, 2
STREAMS = ("website-visits", "content-downloads", "email-events")
TYPES = ("website.visit", "content.download", "email.engagement")

KINDS = (
    "sent", "delivered", "opened", "clicked", "replied", "bounced", "unsubscribed", "complained",
)  # fmt: skip
SENT, DELIVERED, OPENED, CLICKED, REPLIED, BOUNCED, UNSUBSCRIBED, COMPLAINED = range(8)

FLAWS = ("", "duplicate", "late", "malformed")
DUPLICATE, LATE, MALFORMED = 1, 2, 3

EVENT = np.dtype(
    [
        ("delivered", "i8"),  # arrival in its topic, microseconds since 1970
        ("at", "i8"),  # occurred, microseconds since 1970, whole milliseconds
        ("number", "i8"),  # gives the event id
        ("account", "i8"),
        ("contact", "i8"),
        ("session", "i8"),  # visits
        ("content", "i4"),  # page, or asset
        ("referrer", "i4"),  # visits: below len(REFERRERS) an outside one, then the page before
        ("campaign", "i4"),  # visits and emails; -1: none
        ("dwell", "f4"),  # visits, seconds
        ("stream", "i1"),  # index in STREAMS
        ("kind", "i1"),  # emails, index in KINDS
        ("machine", "?"),  # emails
        ("flaw", "i1"),  # index in FLAWS
    ]
)


def blank(count: int) -> Events:
    """`count` events with every column 0, and no campaign."""
    events = np.zeros(count, dtype=EVENT)
    events["campaign"] = -1
    return events
