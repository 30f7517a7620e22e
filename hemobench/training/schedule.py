"""Learning rate as a pure function of the step: nothing to save, so a resumed run cannot get it wrong."""

from __future__ import annotations

import math

WARM_UP = 0.3
START_DIVISOR = 25.0
END_DIVISOR = 1e4


def learning_rate_at(step: int, total_steps: int, schedule: str, peak: float) -> float:
    """Learning rate of step 0..total_steps-1.

    constant: `peak`. cosine: from `peak` down to 0 over half a cosine. onecycle: up from peak/25 over the first 30% of
    the steps, then down to peak/250,000, both along a cosine (Smith and Topin 2018, with torch's numbers).

    >>> [learning_rate_at(step, 4, "cosine", 1.0) for step in (0, 2)]
    [1.0, 0.5]
    """
    if schedule == "constant":
        return peak
    if schedule == "cosine":
        return peak * _down(step / max(1, total_steps))
    start, end = peak / START_DIVISOR, peak / START_DIVISOR / END_DIVISOR
    turn = WARM_UP * total_steps - 1
    if step <= turn:
        return peak - (peak - start) * _down(step / turn if turn > 0 else 1.0)
    return end + (peak - end) * _down((step - turn) / (total_steps - 1 - turn))


def _down(share: float) -> float:
    """Half a cosine from 1 at share 0 to 0 at share 1."""
    return (1 + math.cos(math.pi * share)) / 2
