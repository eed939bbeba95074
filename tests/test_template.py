"""The template writer: words that follow from gaze and image, and from nothing else."""

import inspect
import math
from dataclasses import astuple, replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from gazetools.describing import template
from gazetools.describing.record import ANSWERED, check_fields
from gazetools.describing.template import measure, words_from_gaze

WIDTH, HEIGHT = 120, 90


def disc_image(x=0.25, y=0.25, radius_px=18, colour=(230, 90, 90)):
    """A disc on dull brown."""
    image = np.full((HEIGHT, WIDTH, 3), (110, 95, 90), np.uint8)
    cv2.circle(image, (int(x * WIDTH), int(y * HEIGHT)), radius_px, colour, -1)
    return image


def gaze_at(points, *, duration_ms=300.0, track=0):
    """Fixations at shares of the image."""
    x, y = np.asarray(points, np.float64).T
    onset = np.arange(len(x)) * 400.0
    lasts = np.full(len(x), duration_ms)
    return np.column_stack((x * WIDTH, y * HEIGHT, onset, lasts, np.full(len(x), float(track))))


def around(x, y, along=0.08, across=0.08, angle_deg=0.0, count=12):
    """Places on an ellipse, after a first one in the middle of the image."""
    turn = np.linspace(0, 2 * np.pi, count, endpoint=False)
    u, v = along * np.cos(turn), across * np.sin(turn)
    tilt = np.radians(angle_deg)
    dx, dy = u * np.cos(tilt) + v * np.sin(tilt), -u * np.sin(tilt) + v * np.cos(tilt)
    ellipse = np.column_stack((x + dx, y + dy * WIDTH / HEIGHT))
    return np.vstack(((0.5, 0.5), ellipse))


# no share times 192 or 768 is a whole number: there, rounding has two sides
places = st.integers(0, 999).map(lambda i: (i + 0.37) / 1000)


@st.composite
def gazes(draw, width, height):
    count = draw(st.integers(1, 12))
    rows = [
        (draw(places) * width, draw(places) * height, 400.0 * i, draw(st.integers(1, 3000)))
        for i in range(count)
    ]
    tracks = np.sort(draw(st.lists(st.integers(0, 2), min_size=count, max_size=count)))
    return np.column_stack((np.array(rows, np.float64), tracks))


@st.composite
def images(draw):
    side = st.integers(1, 40)
    shape = (draw(side), draw(side), 3)
    return draw(arrays(np.uint8, shape, elements=st.integers(0, 255), fill=st.integers(0, 255)))


@given(st.data())
@settings(max_examples=60)
def test_any_image_and_gaze_give_words_that_the_format_takes(data):
    image = data.draw(images())
    gaze = data.draw(gazes(image.shape[1], image.shape[0]))
    words = words_from_gaze(image, gaze)
    assert tuple(words) == ANSWERED
    check_fields(words, ANSWERED)
    assert all(math.isfinite(value) for value in astuple(measure(image, gaze)))
    assert "nan" not in repr(words)
    assert words == words_from_gaze(image, gaze)


@given(gazes(WIDTH, HEIGHT))
@settings(max_examples=40)
def test_a_mirror_swaps_left_and_right(gaze):
    image = disc_image()
    mirrored = gaze.copy()
    mirrored[:, 0] = WIDTH - gaze[:, 0]
    seen, seen_mirrored = measure(image, gaze), measure(image[:, ::-1].copy(), mirrored)
    assert seen_mirrored.x == pytest.approx(1 - seen.x)
    assert seen_mirrored.y == pytest.approx(seen.y)
    # borders are those of a raster of 192 cells
    assert seen_mirrored.left == pytest.approx(1 - seen.right, abs=2.1 / 192)
    assert seen_mirrored.area_share == pytest.approx(seen.area_share, abs=0.02)
    if min(abs(seen.x - limit) for limit in (0.3, 0.44, 0.56, 0.7)) > 1e-6:
        assert swapped(centre_words(seen)) == centre_words(seen_mirrored)


def centre_words(seen):
    return template._location(seen).partition(" of the image")[0]


def swapped(words):
    return words.replace("left", "?").replace("right", "left").replace("?", "right")


def test_where_it_lies():
    for x, y, expected in (
        (0.2, 0.2, "Top far left"),
        (0.5, 0.5, "Centre"),
        (0.8, 0.5, "Middle far right"),
        (0.5, 0.65, "Lower centre"),
        (0.37, 0.37, "Upper left"),
    ):
        words = words_from_gaze(disc_image(x, y), gaze_at(around(x, y)))
        assert words["location"].startswith(f"{expected} of the image; across "), words["location"]


def test_how_far_it_reaches():
    wide = words_from_gaze(disc_image(), gaze_at(around(0.5, 0.5, along=0.45, across=0.02)))
    assert "across from the left edge to the right edge, down only the middle" in wide["location"]


def test_a_strip_is_described_as_any_image():
    strip = np.full((2, 3000, 3), 128, np.uint8)
    gaze = np.array([(x, 1.0, 400.0 * x, 300.0, 0) for x in (1500, 10, 2990)])
    assert words_from_gaze(strip, gaze)["boundary"].endswith("gaze widely scattered.")


@pytest.mark.parametrize(
    ("angle_deg", "expected"),
    [
        (0, "lying horizontally"),
        (45, "slanting, rising to the right"),
        (90, "upright"),
        (135, "slanting, falling to the right"),
        (175, "lying horizontally"),
    ],
)
def test_which_way_it_lies(angle_deg, expected):
    places = around(0.5, 0.5, along=0.2, across=0.1, angle_deg=angle_deg)
    shape = words_from_gaze(disc_image(), gaze_at(places))["shape"]
    assert shape.startswith(f"Elongated, {expected};"), shape


def test_round_has_no_direction_and_few_fixations_no_shape():
    assert words_from_gaze(disc_image(), gaze_at(around(0.5, 0.5)))["shape"].startswith("Round; ")
    alone = words_from_gaze(disc_image(), gaze_at([(0.3, 0.3)]))
    assert alone["shape"] == "Unknown, too few fixations; gaze gathers in one place."
    assert alone["remarks"] == "1 fixation in 1 viewing, 0.3 seconds in all."


def test_places_are_counted():
    apart = np.vstack((around(0.2, 0.2, 0.02, 0.02), around(0.8, 0.8, 0.02, 0.02)[1:]))
    assert "two separate places" in words_from_gaze(disc_image(), gaze_at(apart))["shape"]


def test_the_image_tells_texture_and_edge():
    gaze = gaze_at(around(0.25, 0.25, 0.1, 0.1))
    bright = words_from_gaze(disc_image(radius_px=22), gaze)
    assert "around: brighter, redder, stronger colour" in bright["texture"]
    assert bright["boundary"].startswith("Sharp edge")
    plain = words_from_gaze(disc_image(radius_px=0, colour=(110, 95, 90)), gaze)
    assert "as bright, as red, as strong a colour, as rough" in plain["texture"]
    assert plain["boundary"].startswith("Hardly any edge")
    white = words_from_gaze(disc_image(radius_px=22, colour=(255, 255, 255)), gaze)
    assert white["texture"].endswith("Many white spots.")
    assert {k: v for k, v in bright.items() if k not in ("texture", "boundary")} == {
        k: v for k, v in white.items() if k not in ("texture", "boundary")
    }


def test_noise_is_rough():
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    gaze = gaze_at(around(0.25, 0.25))
    assert ", rough. " in words_from_gaze(noise, gaze)["texture"]
    assert ", smooth. " in words_from_gaze(disc_image(radius_px=0), gaze)["texture"]


def test_a_black_frame_is_no_surroundings():
    framed = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    framed[:, 60:] = (110, 95, 90)
    gaze = gaze_at(around(0.55, 0.5))
    seen = measure(framed, gaze)
    assert abs(seen.lighter) < 1


@pytest.mark.parametrize("elsewhere", [(0.95, 0.95), (0.33, 0.3)])
def test_the_first_fixation_of_each_viewing_is_left_out(elsewhere):
    places = around(0.3, 0.3)
    strayed = np.vstack((elsewhere, places[1:]))
    two = [np.vstack((gaze_at(p, track=0), gaze_at(p, track=1))) for p in (places, strayed)]
    assert measure(disc_image(), two[0]) == measure(disc_image(), two[1])
    assert "in 2 viewings" in words_from_gaze(disc_image(), two[0])["remarks"]


def test_confidence_grows_with_fixations_and_falls_when_gaze_scatters():
    few, many = (gaze_at(around(0.5, 0.5, 0.02, 0.02, count=n)) for n in (5, 30))
    scattered = gaze_at(np.random.default_rng(1).random((31, 2)))
    few, many, scattered = (words_from_gaze(disc_image(), g) for g in (few, many, scattered))
    assert few["confidence"] == round(5 / 15, 3)
    assert many["confidence"] == round(30 / 40, 3)
    assert scattered["confidence"] < many["confidence"]


def test_other_gaze_and_other_images_give_other_words():
    gazes = [gaze_at(around(x, y)) for x in (0.2, 0.5, 0.8) for y in (0.2, 0.5, 0.8)]
    assert len({repr(words_from_gaze(disc_image(), gaze)) for gaze in gazes}) == len(gazes)


def test_it_is_given_no_mask():
    assert list(inspect.signature(words_from_gaze).parameters) == ["image", "gaze"]


def test_the_table_says_the_limits_that_hold():
    told = " ".join(template.__doc__.split())
    tables = [
        value
        for name, value in vars(template).items()
        if name.startswith("_") and isinstance(value, tuple) and isinstance(value[0], tuple)
    ]
    assert len(tables) == 17
    for table in tables:
        rows = [
            f"{word or '(nothing)'} {limit:g}".replace("0.", ".").rstrip(".").lower()
            for limit, word in table[:-1]
        ]
        assert ", ".join(rows).replace("spots.", "spots") in told, rows
        assert table[-1][1].rstrip(".").lower() in told


def test_limits_rise():
    for name, value in vars(template).items():
        if name.startswith("_") and isinstance(value, tuple) and isinstance(value[0], tuple):
            limits = [limit for limit, _ in value]
            assert limits == sorted(limits), name


def test_every_measure_has_a_word_for_its_extremes():
    seen = measure(disc_image(), gaze_at(around(0.5, 0.5)))
    for extreme in (0.0, 1.0):
        placed = dict.fromkeys(("x", "y", "left", "right", "top", "bottom", "glare"), extreme)
        template._location(replace(seen, **placed))
        template._texture(replace(seen, **placed, light=100 * extreme, roughness=100 * extreme))
    template._shape(replace(seen, angle_deg=180.0, elongation=1e9, places=99))
