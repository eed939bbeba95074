"""Screen and placement: there and back is where one was."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gazetools.errors import GeometryError
from gazetools.geometry import PLACEMENTS, Placement, Screen, parse_screen

sizes_px = st.integers(1, 10_000)
sizes_mm = st.floats(1, 5000)
screens = st.builds(Screen, sizes_px, sizes_px, sizes_mm, sizes_mm, st.floats(50, 5000))
image_sizes = st.tuples(sizes_px, sizes_px)
placements = st.builds(
    Placement,
    st.floats(-5000, 5000),
    st.floats(-5000, 5000),
    st.floats(0.5, 10_000),
    st.floats(0.5, 10_000),
    sizes_px,
    sizes_px,
)
points = st.tuples(st.floats(-1e4, 2e4), st.floats(-1e4, 2e4))


@given(screens, points)
def test_px_to_degrees_and_back(screen, point):
    there = screen.to_deg(*point)
    assert all(abs(angle) < 90 for angle in there)
    # far out, a degree holds ever more px
    np.testing.assert_allclose(screen.to_px(*there), point, rtol=1e-6, atol=1e-3)


@given(placements, points)
def test_image_to_screen_and_back(place, point):
    np.testing.assert_allclose(place.to_image(*place.to_screen(*point)), point, atol=1e-3)


def test_degrees_by_hand():
    screen = Screen(1000, 500, 400.0, 200.0, 200.0)
    x, y = screen.to_deg([500, 1000, 0], [250, 250, 0])
    np.testing.assert_allclose(x, [0, 45, -45])
    np.testing.assert_allclose(y, [0, 0, -math.degrees(math.atan(0.5))])
    assert screen.mm_per_px == 0.4


def test_nan_stays_nan():
    screen, place = Screen(10, 10, 1, 1, 1), Placement(0, 0, 10, 10, 5, 5)
    for convert in (screen.to_deg, screen.to_px, place.to_image, place.to_screen):
        x, y = convert(np.array([np.nan, 1.0]), np.array([1.0, np.nan]))
        assert np.isnan(x).tolist() == [True, False]
        assert np.isnan(y).tolist() == [False, True]


@given(st.sampled_from(PLACEMENTS), image_sizes, image_sizes)
def test_rules_keep_what_they_promise(how, image, screen):
    place = Placement.of(how, image, screen)
    assert (place.image_width, place.image_height) == image
    middle = place.to_screen(image[0] / 2, image[1] / 2)
    if how == "none":
        assert place.to_image(3.0, 4.0) == (3.0, 4.0)
        return
    np.testing.assert_allclose(middle, (screen[0] / 2, screen[1] / 2), atol=1e-6)
    if how == "centre":
        assert (place.width_px, place.height_px) == image
    if how == "fill":
        np.testing.assert_allclose(place.to_screen(0, 0), (0, 0), atol=1e-9)
    if how == "fit":
        width, height = place.width_px, place.height_px
        assert width <= screen[0] + 1e-6
        assert height <= screen[1] + 1e-6
        assert math.isclose(width, screen[0]) or math.isclose(height, screen[1])
        assert math.isclose(width / height, image[0] / image[1])


def test_a_pixel_has_a_height_where_it_is_not_square():
    assert Screen(1280, 1024, 400.0, 300.0, 650.0).pixel_mm == (400 / 1280, 300 / 1024)
    assert Screen(1920, 1080, 527.0, 296.0, 650.0).pixel_mm == (527 / 1920, 527 / 1920)


def test_a_screen_in_words():
    screen = Screen(1920, 1080, 527.0, 296.5, 650.0)
    assert parse_screen("1920x1080:527x296.5:650") == ((1920, 1080), screen)
    assert parse_screen("1920X1080") == ((1920, 1080), None)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1920",
        "0x1080",
        "1920x1080:527x296",
        "1920x1080:527:650",
        "a x b:527x296:650",
        "0x1080:527x296:650",
        "1920x1080:527x296:-1",
        "1920x1080:527x296:nan",
        "1920x1080:infx296:650",
    ],
)
def test_wrong_screens_are_refused(text):
    with pytest.raises(GeometryError):
        parse_screen(text)


@pytest.mark.parametrize(
    "wrong",
    [
        {"width_px": 0},
        {"height_px": math.nan},
        {"width_px": math.inf},
        {"x_px": math.nan},
        {"image_height": 0},
    ],
)
def test_wrong_placements_are_refused(wrong):
    fine = {"x_px": 0, "y_px": 0, "width_px": 5, "height_px": 5}
    with pytest.raises(GeometryError, match="must be positive"):
        Placement(**{**fine, "image_width": 5, "image_height": 5, **wrong})


def test_an_unknown_rule_is_refused():
    with pytest.raises(GeometryError, match="expected fit, fill, centre, none"):
        Placement.of("tile", (1, 1), (1, 1))
