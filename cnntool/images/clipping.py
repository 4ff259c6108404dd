"""Numbers that a picture has no colour for: how many were drawn as the ends of its scale, and of what range."""

from __future__ import annotations

import dataclasses
import math
import threading

import numpy as np


@dataclasses.dataclass
class Clipped:
    """Counts over any number of pictures; several threads may look at once.

    `count` of `total` numbers lie outside of their scale, from `low` to `high`; `missing` are NaN.
    """

    count: int = 0
    total: int = 0
    low: float = math.inf
    high: float = -math.inf
    missing: int = 0

    def __post_init__(self) -> None:
        self._lock = threading.Lock()

    def look(self, values: np.ndarray, low: float, high: float) -> None:
        """Counts the numbers of a picture that is drawn from `low` to `high`."""
        outside = values[(values < low) | (values > high)]
        missing = int(np.isnan(values).sum())
        with self._lock:
            self.total += values.size
            self.missing += missing
            self.count += outside.size
            if outside.size:
                self.low = min(self.low, float(outside.min()))
                self.high = max(self.high, float(outside.max()))

    def line(self) -> str | None:
        """What is to be told, or None where everything was shown."""
        parts = []
        if self.count:
            parts.append(
                f"{self.count:,} of {self.total:,} numbers, from {self.low:.4g} to {self.high:.4g}, are clipped"
            )
        if self.missing:
            parts.append(f"{self.missing:,} {'is' if self.missing == 1 else 'are'} NaN")
        return ", ".join(parts) or None
