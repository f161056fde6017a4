"""Published accounts as the model sees them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stream_app.changes.types import AccountSegment
from stream_app.features.catalogue import MODEL_VECTOR
from stream_app.features.values import Floats


def vectors_of(accounts: Sequence[AccountSegment]) -> Floats:
    """(n, dimensions) model vectors, unscaled, from published features."""
    sums = [
        [sum(account.features[name] for name in d.features) for d in MODEL_VECTOR]
        for account in accounts
    ]
    vectors: Floats = np.log1p(np.array(sums))
    return vectors
