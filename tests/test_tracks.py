"""Reverse truncation: fractions to counts, nested by construction."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gazetools.errors import ConfigError
from gazetools.tracks import TrackSpec, level_counts, nested_order

DURATIONS = st.lists(st.floats(1.0, 5000.0), min_size=1, max_size=120).map(np.array)
SPECS = st.builds(
    TrackSpec,
    levels=st.integers(1, 8),
    keep=st.sampled_from(["suffix", "prefix"]),
    by=st.sampled_from(["count", "duration"]),
)


@given(DURATIONS, SPECS)
def test_levels_are_nested_and_never_empty(durations, spec):
    counts = level_counts(durations, spec)
    assert counts.shape == (spec.levels,)
    assert counts[0] == len(durations)
    assert (np.diff(counts) <= 0).all()
    assert counts[-1] >= 1


@given(DURATIONS, st.integers(1, 8))
def test_count_is_the_least_that_reaches_the_fraction(durations, levels):
    counts = level_counts(durations, TrackSpec(levels))
    for level, count in enumerate(counts):
        # exact, in integers: count / n >= (levels - level) / levels
        assert count * levels >= (levels - level) * len(durations)
        assert (count - 1) * levels < (levels - level) * len(durations)


@given(DURATIONS, SPECS)
def test_duration_is_the_least_that_reaches_the_fraction(durations, spec):
    spec = TrackSpec(spec.levels, spec.keep, "duration")
    ordered = durations[::-1] if spec.keep == "suffix" else durations
    for fraction, count in zip(spec.kept_fractions(), level_counts(durations, spec), strict=True):
        wanted = fraction * durations.sum()
        assert ordered[:count].sum() >= wanted * (1 - 1e-9)
        assert ordered[: count - 1].sum() < wanted * (1 + 1e-9)


def test_four_levels_of_eight_fixations():
    assert level_counts(np.ones(8), TrackSpec(4)).tolist() == [8, 6, 4, 2]
    assert level_counts(np.ones(5), TrackSpec(4)).tolist() == [5, 4, 3, 2]
    assert level_counts([1, 1, 1, 7], TrackSpec(2, by="duration")).tolist() == [4, 1]
    assert level_counts([1, 1, 1, 7], TrackSpec(2, "prefix", "duration")).tolist() == [4, 4]


def test_rounding_does_not_add_a_fixation():
    assert 0.07 * 100 > 7  # in floating point
    assert level_counts(np.ones(100), TrackSpec(2, fractions=(1.0, 0.07))).tolist() == [100, 7]


def test_suffix_keeps_the_end_and_prefix_the_beginning():
    order = np.array([1.0, 2.0, 3.0])
    assert nested_order(order, TrackSpec())[:2].tolist() == [3, 2]
    assert nested_order(order, TrackSpec(keep="prefix"))[:2].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"levels": 0}, "levels is 0"),
        ({"keep": "middle"}, "keep is 'middle'"),
        ({"by": "length"}, "by is 'length'"),
        ({"levels": 2, "fractions": (1.0,)}, "expected 2 values"),
        ({"levels": 2, "fractions": (0.5, 1.0)}, "none larger than the one before"),
        ({"levels": 2, "fractions": (1.0, 0.0)}, "in \\(0, 1\\]"),
        ({"levels": 2, "fractions": (1.5, 1.0)}, "in \\(0, 1\\]"),
        ({"levels": 2, "fractions": (1.0, float("nan"))}, "in \\(0, 1\\]"),
        ({"levels": 1, "fractions": ()}, "expected 1 values"),
    ],
)
def test_impossible_options_are_refused(options, found):
    with pytest.raises(ConfigError, match=found):
        TrackSpec(**options)
