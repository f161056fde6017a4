"""Engagement and intent as scores from 0 to 100, and the bands they fall into."""

from __future__ import annotations

from bisect import bisect_right

import numpy as np
import numpy.typing as npt

from stream_app.features.values import Floats, Values
from stream_app.settings import ScoreSettings

BANDS = ("cold", "warm", "engaged", "hot")


def scores_of(values: Values, settings: ScoreSettings) -> Floats:
    """(n, 2) engagement and intent: 100 * (1 - exp(-points / scale)).

    Engagement is counted in active days. How much was done on them adds less and less (ln), because
    it says little about whether somebody comes again: docs/segment-quality.md has the evidence.
    """
    contacts = values.derived[:, 1]  # contacts_28d
    engagement = (
        values.column("active_days_28d")
        + settings.activity_days * np.log1p(values.column("engagement_points_28d"))
        + settings.contact_days * contacts
    )
    points = np.empty((len(engagement), 2))
    points[:, 0] = engagement / settings.engagement_scale
    points[:, 1] = values.column("intent_points_7d") / settings.intent_scale
    scores: Floats = -100.0 * np.expm1(-points)
    return scores


def bands_of(
    scores: Floats, before: npt.NDArray[np.uint8], settings: ScoreSettings
) -> npt.NDArray[np.uint8]:
    """Bands after `scores`, entered at one threshold and left at a lower one.

    >>> s = ScoreSettings(enter=(20, 45, 70), leave=(15, 38, 62))
    >>> bands_of(np.array([46.0, 40.0, 37.0]), np.array([0, 2, 2], np.uint8), s).tolist()
    [2, 2, 1]
    """
    entered = np.array(settings.enter).searchsorted(scores, side="right")
    kept = np.array(settings.leave).searchsorted(scores, side="right")
    return np.maximum(entered, np.minimum(before, kept)).astype(np.uint8)


def band_of(score: float, before: int, settings: ScoreSettings) -> int:
    """`bands_of` for a single score."""
    entered = bisect_right(settings.enter, score)
    return max(entered, min(before, bisect_right(settings.leave, score)))
