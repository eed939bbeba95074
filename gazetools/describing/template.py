"""Descriptions without a language model: what gaze and image say, put in words by rules.

Nothing here reads a mask. The region that was looked at is where the prior of
:mod:`gazetools.grabcut` is above one half: the first fixation of each viewing is dropped, as it
falls where the image appeared. No word names an organ or a finding; for that somebody would have
to understand the image. What such texts can teach a network is therefore what gaze and colours
say anyway, in another form.

======================  ==========================================================================
measure                 words, and the measure's upper limit for each
======================  ==========================================================================
location
 centre across          far left .3, left .44, centre .56, right .7, far right
 centre down            top .3, upper .44, middle .56, lower .7, bottom
 borders across         left edge .03, far left .2, left .4, centre .6, right .8, far right .97,
                        right edge
 borders down           top edge .03, top .2, upper part .4, middle .6, lower part .8, bottom .97,
                        bottom edge
boundary
 edge                   hardly any edge 4, soft edge 8, clear edge 13, sharp edge
 spread                 close together .1, over a middling area .18, widely scattered
shape
 elongation             round 1.35, oval 1.75, elongated 2.5, long and narrow; unknown if fewer
                        than 3 fixations
 angle_deg              lying horizontally 22.5, slanting, rising to the right 67.5, upright 112.5,
                        slanting, falling to the right 157.5, lying horizontally
 places                 in one place, in two separate places ...
texture
 light                  dark 50, moderately bright 60, bright 70, very bright
 redness                pale 22, pink 28, red 34, deep red
 saturation             weak colour .5, moderate colour .63, strong colour
 roughness              smooth 3, slightly uneven 4.5, rough
 lighter                darker -3, as bright 3, brighter 12, much brighter
 redder                 less red -3, as red 3, redder
 more_saturated         weaker colour -.05, as strong a colour .05, stronger colour
 rougher                smoother .8, as rough 1.25, rougher
 glare                  (nothing) .005, a few white spots .03, many white spots
area_share              the number, as it is
confidence              concentration * n / (n + 10), with n fixations after the first
remarks                 how many fixations and viewings, and how long in all
======================  ==========================================================================

The measures are those of :class:`Measures`. Limits lie such that each word occurs on the training
images of Kvasir-SEG; its masks played no part in that. They did in the settings of GrabCut, from
which the prior is: these were chosen on the masks of 50 of its training images.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from gazetools.grabcut import GrabCut, gaze_prior
from gazetools.images import UInt8, resize_image
from gazetools.maps import Track

Float64 = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

_SPEC = GrabCut()
_INSIDE, _HOT = 0.5, 0.5
_BLACK = 24  # an endoscope's image has a black frame
_WHITE = 230
_RIM_PX = 9
_FINE_PX = 2.0

_ACROSS = ((0.3, "far left"), (0.44, "left"), (0.56, "centre"), (0.7, "right"), (9, "far right"))
_DOWN = ((0.3, "top"), (0.44, "upper"), (0.56, "middle"), (0.7, "lower"), (9, "bottom"))
_BORDERS_ACROSS = (
    (0.03, "left edge"),
    (0.2, "far left"),
    (0.4, "left"),
    (0.6, "centre"),
    (0.8, "right"),
    (0.97, "far right"),
    (9, "right edge"),
)
_BORDERS_DOWN = (
    (0.03, "top edge"),
    (0.2, "top"),
    (0.4, "upper part"),
    (0.6, "middle"),
    (0.8, "lower part"),
    (0.97, "bottom"),
    (9, "bottom edge"),
)
_EDGE = (
    (4, "hardly any edge"),
    (8, "soft edge"),
    (13, "clear edge"),
    (999, "sharp edge"),
)
_SPREAD = ((0.1, "close together"), (0.18, "over a middling area"), (np.inf, "widely scattered"))
_SHAPE = ((1.35, "round"), (1.75, "oval"), (2.5, "elongated"), (np.inf, "long and narrow"))
_DIRECTION = (
    (22.5, "lying horizontally"),
    (67.5, "slanting, rising to the right"),
    (112.5, "upright"),
    (157.5, "slanting, falling to the right"),
    (180.1, "lying horizontally"),
)
_PLACES = ("one place", "two separate places", "three separate places", "many separate places")
_LIGHT = ((50, "dark"), (60, "moderately bright"), (70, "bright"), (999, "very bright"))
_REDNESS = ((22, "pale"), (28, "pink"), (34, "red"), (999, "deep red"))
_SATURATION = ((0.5, "weak colour"), (0.63, "moderate colour"), (9, "strong colour"))
_ROUGHNESS = ((3, "smooth"), (4.5, "slightly uneven"), (999, "rough"))
_LIGHTER = ((-3, "darker"), (3, "as bright"), (12, "brighter"), (999, "much brighter"))
_REDDER = ((-3, "less red"), (3, "as red"), (999, "redder"))
_MORE_SATURATED = (
    (-0.05, "weaker colour"),
    (0.05, "as strong a colour"),
    (9, "stronger colour"),
)
_ROUGHER = ((0.8, "smoother"), (1.25, "as rough"), (9999, "rougher"))
_GLARE = ((0.005, ""), (0.03, "A few white spots."), (9, "Many white spots."))
_FEWEST_FOR_SHAPE = 3
_HALF_SURE = 10


@dataclass(frozen=True)
class Measures:
    """What gaze and image say of the region that was looked at.

    Attributes
    ----------
    x, y : float
        Its centre, as shares of the image's width and height.
    left, right, top, bottom : float
        Its borders, likewise.
    area_share : float
        Its share of the image.
    places : int
        Spots where the heatmap is above half of its maximum and that do not touch.
    fixations, viewings : int
        How many, the first of each viewing included.
    dwell_s : float
        Time spent in all of them.
    settled : int
        Fixations that centre, shape and spread are taken from: those where the heatmap is warm,
        the first of each viewing left out.
    elongation : float
        Standard deviation of these along their main direction, over that across it.
    angle_deg : float
        Of the main direction: 0 along the rows, 45 if it rises to the right, below 180.
    spread : float
        Root mean square distance of these from their mean, over the root of the image's area.
    concentration : float
        Share of the time after the first fixation that was spent where the heatmap is above
        half of its maximum.
    edge : float
        Difference of colour (Lab) between the rims inside and outside of its border.
    light, redness, saturation, roughness : float
        Means of the region: Lab lightness 0 to 100, Lab a*, saturation 0 to 1, and standard
        deviation of lightness within few pixels.
    lighter, redder, more_saturated, rougher : float
        The same, less those of its surroundings; roughness as a ratio.
    glare : float
        Share of the region that is almost white.
    """

    x: float
    y: float
    left: float
    right: float
    top: float
    bottom: float
    area_share: float
    places: int
    fixations: int
    viewings: int
    dwell_s: float
    settled: int
    elongation: float
    angle_deg: float
    spread: float
    concentration: float
    edge: float
    light: float
    redness: float
    saturation: float
    roughness: float
    lighter: float
    redder: float
    more_saturated: float
    rougher: float
    glare: float


def words_from_gaze(image: UInt8, gaze: Float64) -> dict[str, Any]:
    """Describe the region that was looked at.

    Parameters
    ----------
    image : ndarray of uint8, shape (height, width, 3)
        RGB.
    gaze : ndarray of float64, shape (n, 5)
        x_im, y_im (px), onset_ms, duration_ms, track: as in
        :class:`gazetools.rendering.matching.Source`, with n >= 1.

    Returns
    -------
    dict
        location, boundary, shape, texture, area_share, confidence, remarks: what is answered in
        a :class:`gazetools.describing.record.Description`.
    """
    seen = measure(image, gaze)
    after_first = max(seen.fixations - seen.viewings, 1)
    return {
        "location": _location(seen),
        "boundary": f"{_word(seen.edge, _EDGE).capitalize()}; gaze {_word(seen.spread, _SPREAD)}.",
        "shape": _shape(seen),
        "texture": _texture(seen),
        "area_share": round(seen.area_share, 3),
        "confidence": round(seen.concentration * after_first / (after_first + _HALF_SURE), 3),
        "remarks": _remarks(seen),
    }


def _word(value: float, limits: tuple[tuple[float, str], ...]) -> str:
    return next(word for limit, word in limits if value < limit)


def _location(seen: Measures) -> str:
    row, column = _word(seen.y, _DOWN), _word(seen.x, _ACROSS)
    centre = column if (row, column) == ("middle", "centre") else f"{row} {column}"
    across = _reach(_word(seen.left, _BORDERS_ACROSS), _word(seen.right, _BORDERS_ACROSS))
    down = _reach(_word(seen.top, _BORDERS_DOWN), _word(seen.bottom, _BORDERS_DOWN))
    return f"{centre.capitalize()} of the image; across {across}, down {down}."


def _reach(begin: str, end: str) -> str:
    return f"only the {begin}" if begin == end else f"from the {begin} to the {end}"


def _shape(seen: Measures) -> str:
    place = _PLACES[min(seen.places, len(_PLACES)) - 1]
    if seen.settled < _FEWEST_FOR_SHAPE:
        return f"Unknown, too few fixations; gaze gathers in {place}."
    shape = _word(seen.elongation, _SHAPE)
    direction = "" if shape == "round" else f", {_word(seen.angle_deg, _DIRECTION)}"
    return f"{shape.capitalize()}{direction}; gaze gathers in {place}."


def _texture(seen: Measures) -> str:
    own = (
        _word(seen.light, _LIGHT),
        _word(seen.redness, _REDNESS),
        _word(seen.saturation, _SATURATION),
        _word(seen.roughness, _ROUGHNESS),
    )
    against = (
        _word(seen.lighter, _LIGHTER),
        _word(seen.redder, _REDDER),
        _word(seen.more_saturated, _MORE_SATURATED),
        _word(seen.rougher, _ROUGHER),
    )
    told = f"{', '.join(own).capitalize()}. Against what is around: {', '.join(against)}."
    return f"{told} {_word(seen.glare, _GLARE)}".rstrip()


def _remarks(seen: Measures) -> str:
    fixations = "1 fixation" if seen.fixations == 1 else f"{seen.fixations} fixations"
    viewings = "1 viewing" if seen.viewings == 1 else f"{seen.viewings} viewings"
    return f"{fixations} in {viewings}, {seen.dwell_s:.1f} seconds in all."


def measure(image: UInt8, gaze: Float64) -> Measures:
    """Measure the region that was looked at; parameters as in :func:`words_from_gaze`."""
    height, width = image.shape[:2]
    shares = gaze[:, :2] / (width, height)
    tracks = [
        Track(shares[at, 0], shares[at, 1], gaze[at, 3], width / height)
        for at in (gaze[:, 4] == track for track in np.unique(gaze[:, 4]))
    ]
    heat, prior = gaze_prior(tracks, _SPEC)
    region = prior > _INSIDE
    later = _later(gaze)
    cells = (np.clip(shares[later], 0, 1 - 1e-9) * _SPEC.side_px).astype(np.int64)
    columns, rows = cells.T
    warm, hot = (heat[rows, columns] > level for level in (_SPEC.hull_heat, _HOT))
    lasts = gaze[later, 3]
    return Measures(
        **_placed(shares[later][warm], lasts[warm], region),
        places=cv2.connectedComponents((heat > _HOT).astype(np.uint8))[0] - 1,
        fixations=len(gaze),
        viewings=len(tracks),
        dwell_s=float(gaze[:, 3].sum() / 1000),
        settled=int(warm.sum()),
        **_spread(gaze[later][warm, :2] / np.sqrt(width * height), lasts[warm]),
        concentration=float(lasts[hot].sum() / lasts.sum()),
        **_looks(resize_image(image, region.shape), region),
    )


def _later(gaze: Float64) -> Bools:
    """Tell all but the first fixation of each viewing, which has a place only if it is alone."""
    begins = np.append(True, np.diff(gaze[:, 4]) != 0)
    alone = begins & np.append(begins[1:], True)
    return np.asarray(~begins | alone)


def _placed(points: Float64, lasts: Float64, region: Bools) -> dict[str, float]:
    x, y = np.average(points, axis=0, weights=lasts)
    rows, columns = (np.flatnonzero(region.any(axis=axis)) for axis in (1, 0))
    side = len(region)
    return {
        "x": float(x),
        "y": float(y),
        "left": float(columns[0] / side),
        "right": float((columns[-1] + 1) / side),
        "top": float(rows[0] / side),
        "bottom": float((rows[-1] + 1) / side),
        "area_share": float(region.mean()),
    }


def _spread(points: Float64, lasts: Float64) -> dict[str, float]:
    """Spread of fixations; where they all fall on one place, it is round."""
    away = points - np.average(points, axis=0, weights=lasts)
    covariance = (away * lasts[:, None]).T @ away / lasts.sum()
    (least, most), axes = np.linalg.eigh(covariance)
    across, along = axes[:, 1]
    floor = 1e-3**2  # below, it is the tracker's noise
    return {
        "elongation": float(np.sqrt((max(most, 0) + floor) / (max(least, 0) + floor))),
        "angle_deg": float(np.degrees(np.arctan2(-along, across)) % 180),
        "spread": float(np.sqrt(max(least + most, 0))),
    }


def _looks(square: UInt8, region: Bools) -> dict[str, float]:
    lit = square.max(axis=2) > _BLACK
    around = _widened(region, _SPEC.surroundings_px) & ~region & lit
    inside = region & lit if (region & lit).any() else region
    around = around if around.any() else inside
    lab = cv2.cvtColor(square.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    saturation = cv2.cvtColor(square, cv2.COLOR_RGB2HSV)[..., 1] / 255
    fine = lab[..., 0] - cv2.GaussianBlur(lab[..., 0], (0, 0), _FINE_PX)
    rough, rough_around = (float(fine[part].std()) for part in (inside, around))
    mean, mean_around = lab[inside].mean(axis=0), lab[around].mean(axis=0)
    inner = inside & _widened(~region, _RIM_PX)
    outer = around & _widened(region, _RIM_PX)
    edge = lab[inner].mean(axis=0) - lab[outer].mean(axis=0) if inner.any() and outer.any() else 0
    return {
        "edge": float(np.linalg.norm(edge)),
        "light": float(mean[0]),
        "redness": float(mean[1]),
        "saturation": float(saturation[inside].mean()),
        "roughness": rough,
        "lighter": float(mean[0] - mean_around[0]),
        "redder": float(mean[1] - mean_around[1]),
        "more_saturated": float(saturation[inside].mean() - saturation[around].mean()),
        "rougher": (rough + 0.1) / (rough_around + 0.1),
        "glare": float((square.min(axis=2) > _WHITE)[inside].mean()),
    }


def _widened(region: Bools, margin_px: int) -> Bools:
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * margin_px + 1,) * 2)
    return np.asarray(cv2.dilate(region.astype(np.uint8), disc) > 0)
