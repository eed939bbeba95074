"""From a scanpath to track levels: reverse truncation.

A *track* is a truncated scanpath. Level 1 is the whole scanpath, every further level keeps
less of it, and each level lies inside the one before. GradTrack (Wang et al., MICCAI 2025)
names the idea, "reverse-truncated gaze tracks"; ratios and direction are not published, so
they are options here, and their defaults are ours.
"""

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from gazetools.errors import ConfigError

Values = TypeVar("Values", npt.NDArray[np.float64], npt.NDArray[np.float32])


@dataclass(frozen=True)
class TrackSpec:
    """How a scanpath is truncated.

    Attributes
    ----------
    levels : int
        Number of levels, L.
    keep : {"suffix", "prefix", "shuffled"}
        "suffix" drops the beginning, the search phase, and keeps what was looked at last;
        "prefix" is the opposite. "shuffled" puts the fixations in a random but fixed order
        first, the same for all scanpaths of a length, and a path that joins them follows it:
        it tells what the order of looking is worth.
    by : {"count", "duration"}
        Whether a fraction is one of the fixations or of the time spent in them.
    fractions : tuple of float or None
        Fraction kept at each level, not increasing; None is (L - l + 1) / L for l = 1 .. L.
    """

    levels: int = 4
    keep: str = "suffix"
    by: str = "count"
    fractions: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if self.levels < 1:
            raise ConfigError(f"levels is {self.levels}; expected at least 1")
        if self.keep not in ("suffix", "prefix", "shuffled"):
            raise ConfigError(f"keep is {self.keep!r}; expected suffix, prefix or shuffled")
        if self.by not in ("count", "duration"):
            raise ConfigError(f"by is {self.by!r}; expected count or duration")
        fractions = self.kept_fractions()
        falling = all(a >= b for a, b in pairwise(fractions))
        if (
            len(fractions) != self.levels
            or not falling
            or not 0 < min(fractions) <= max(fractions) <= 1
        ):
            raise ConfigError(
                f"fractions are {fractions}; expected {self.levels} values in (0, 1], "
                "none larger than the one before"
            )

    def kept_fractions(self) -> tuple[float, ...]:
        """Fraction of the scanpath kept at levels 1 .. L."""
        if self.fractions is not None:
            return self.fractions
        return tuple((self.levels - level) / self.levels for level in range(self.levels))


def level_counts(durations_ms: npt.ArrayLike, spec: TrackSpec) -> npt.NDArray[np.int64]:
    """Count the fixations that each level keeps.

    Parameters
    ----------
    durations_ms : array_like, shape (n,)
        In the order of the scanpath, n >= 1.

    Returns
    -------
    ndarray of int64, shape (L,)
        Not increasing, each from 1 to n: the number of fixations from the beginning of
        :func:`nested_order`.
    """
    durations = np.asarray(durations_ms, np.float64)
    fractions = np.asarray(spec.kept_fractions())
    if spec.by == "count":
        # 0.75 * 4 may come out a hair above 3: forgive that before rounding up
        counts = np.ceil(fractions * len(durations) - 1e-9)
    else:
        spent = np.cumsum(nested_order(durations, spec))
        counts = np.searchsorted(spent, fractions * spent[-1] * (1 - 1e-12)) + 1
    return np.clip(counts, 1, len(durations)).astype(np.int64)


def nested_order(values: Values, spec: TrackSpec) -> Values:
    """Order rows so that every level is a beginning of the result: for "suffix", last first."""
    if spec.keep == "shuffled":
        return values[_shuffled(len(values))]
    return values[::-1] if spec.keep == "suffix" else values


@lru_cache(maxsize=1024)
def _shuffled(n: int) -> npt.NDArray[np.int64]:
    """Permutation drawn from a seed that is its length, so that x, y and durations share it.

    From raw bits, whose stream NumPy keeps from version to version, as it does not that of its
    ``permutation``.
    """
    return np.argsort(np.random.PCG64(n).random_raw(n), kind="stable")
