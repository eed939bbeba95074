"""Reverse truncation: fractions to counts, nested by construction."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gazetools.errors import ConfigError
from gazetools.maps import MapSpec, Track, batch_maps, track_maps
from gazetools.tracks import TrackSpec, level_counts, nested_order

DURATIONS = st.lists(st.floats(1.0, 5000.0), min_size=1, max_size=120).map(np.array)
SPECS = st.builds(
    TrackSpec,
    levels=st.integers(1, 8),
    keep=st.sampled_from(["suffix", "prefix", "shuffled"]),
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
    ordered = nested_order(durations, spec)
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


@given(DURATIONS, st.integers(1, 8), st.sampled_from(["count", "duration"]))
def test_shuffled_levels_are_nested_subsets(durations, levels, by):
    spec = TrackSpec(levels, "shuffled", by)
    rows = nested_order(np.arange(float(len(durations))), spec)
    assert sorted(rows) == list(range(len(durations)))  # level 1 has every fixation once
    np.testing.assert_array_equal(nested_order(durations, spec), durations[rows.astype(int)])
    kept = [set(rows[:count]) for count in level_counts(durations, spec)]
    assert all(inner <= outer for outer, inner in pairwise(kept))
    spent = [durations[[int(row) for row in level]].sum() for level in kept]
    if by == "duration":
        assert (np.array(spent) >= np.array(spec.kept_fractions()) * spent[0] * (1 - 1e-9)).all()


def test_rows_of_any_kind_are_shuffled_alike():
    spec, rows = TrackSpec(keep="shuffled"), np.arange(24.0)
    order = nested_order(rows, spec).astype(int)
    table = np.random.default_rng(0).random((24, 5)).astype(np.float32)
    np.testing.assert_array_equal(nested_order(table, spec), table[order])


def test_shuffling_is_the_same_in_every_process():
    """These orders are kept: a cache that is rendered again has the same bytes."""
    spec = TrackSpec(keep="shuffled")
    assert nested_order(np.arange(1.0), spec).tolist() == [0]
    assert nested_order(np.arange(8.0), spec).tolist() == [2, 0, 7, 5, 6, 3, 4, 1]


@pytest.mark.parametrize("n", [8, 25, 99])
def test_shuffled_is_neither_end_of_the_scanpath(n):
    rows = np.arange(float(n))
    half = set(nested_order(rows, TrackSpec(keep="shuffled"))[: (n + 1) // 2])
    for keep in ("suffix", "prefix"):
        assert half != set(nested_order(rows, TrackSpec(keep=keep))[: (n + 1) // 2])


def test_shuffled_levels_keep_any_part_of_the_scanpath():
    """Over scanpaths of all lengths, what is kept lies in the middle on average."""
    spec = TrackSpec(keep="shuffled")
    middles = [nested_order(np.arange(float(n)), spec)[: n // 2].mean() / n for n in range(4, 100)]
    assert abs(np.mean(middles) - 0.5) < 0.02


@pytest.mark.parametrize("decay", ["gaussian", "sum"])
@pytest.mark.parametrize("by", ["count", "duration"])
def test_maps_of_shuffled_tracks(decay, by):
    rng = np.random.default_rng(1)
    batch = [Track(*rng.random((2, n)), rng.uniform(100, 900, n)) for n in (1, 5, 25, 40)]
    maps, spec = MapSpec("points", decay), TrackSpec(3, "shuffled", by)
    found = batch_maps(batch, spec, maps, (24, 32), as_uint8=True)
    threaded = batch_maps(batch, spec, maps, (24, 32), as_uint8=True, threads=4)
    np.testing.assert_array_equal(found, threaded)
    suffix = batch_maps(batch, TrackSpec(3, "suffix", by), maps, (24, 32), as_uint8=True)
    # sums are added up in the order of the fixations: a step of uint8 may flip
    assert abs(found[:, 0].astype(int) - suffix[:, 0]).max() <= (decay == "sum")
    assert (found[-1, 1:] != suffix[-1, 1:]).any()
    assert (found[:, 1:] <= found[:, :-1]).all()


@pytest.mark.parametrize("by", ["count", "duration"])
def test_a_shuffled_level_is_the_map_of_its_fixations(by):
    rng = np.random.default_rng(2)
    track, spec = (
        Track(*rng.random((2, 25)), rng.uniform(100, 900, 25)),
        TrackSpec(3, "shuffled", by),
    )
    found = track_maps(track, spec, MapSpec("points"), (24, 32))
    order = nested_order(np.arange(25.0), spec).astype(int)
    for count, level in zip(level_counts(track.duration_ms, spec), found, strict=True):
        rows = order[:count]
        kept = Track(track.x[rows], track.y[rows], track.duration_ms[rows])
        alone = track_maps(kept, TrackSpec(1), MapSpec("points"), (24, 32))
        np.testing.assert_array_equal(level, alone[0])


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
