"""Drawn endoscopy: a folded, shaded, glistening wall with a lesion, and the lesion's mask.

A picture is a height field and an albedo under one lamp at the camera. Folds run around
the lumen, domes stand on the wall; only the domes that differ in colour and texture and
have a rim are lesions, the others are bulges of healthy wall. What decides the look is
drawn per image: contrast, hue, exposure, the frame of the instrument.

Fields are float32 arrays (height, width). Lengths are in units of the square root of the
image area, so that nothing depends on the number of pixels.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from gazetools.synthetic.spec import CohortSpec

Field = NDArray[np.float32]

_WORKING_SIDE_PX = 320
"""Smooth fields are made at about this size and enlarged: the lens blurs anyway."""
_WIDE_SHARE = 0.08
_WIDE_ASPECT = (1.2, 1.6)
_LUMEN_SHARE = 0.7
_NEAR_WALL_SHARE = 0.45
_BUBBLES_SHARE = 0.4
_MUCUS_SHARE = 0.2
_LESION_AREA = (0.02, 0.35)
_LESION_AREA_MEDIAN = 0.12
_LESION_AREA_LOG_SD = 0.7
_TWO_LESIONS_SHARE = 0.04
_VISIBLE_SHARE = 0.7
"""At least so much of a lesion lies within the frame."""
_STATURES, _STATURE_SHARES = (0.15, 0.45, 0.9), (0.25, 0.35, 0.4)
"""Height over radius of flat, sessile and standing lesions, and how often they occur."""
_NEARNESS = 2.5
"""How much brighter what stands out is, being nearer to the lamp; per unit of height."""
_OUTLINE_WAVES = 5
_TISSUE_RGB = np.array(
    [[0.86, 0.42, 0.38], [0.90, 0.33, 0.20], [0.74, 0.42, 0.35], [0.92, 0.48, 0.19]]
)
"""Mucosa as endoscopes show it: pink, red, brownish, orange; images mix them."""
_MUCUS_RGB = (0.86, 0.56, 0.14)
_BLOOD_RGB = np.array([0.95, 0.62, 0.60])
"""What a vessel leaves of the light, channel by channel."""


@dataclass(frozen=True)
class _Dome:
    """A bump on the wall: its outline and height.

    `rho` is the distance from its centre in units of its outline: 1 on the outline.
    """

    rho: Field
    height: float


def image_size(rng: np.random.Generator, spec: CohortSpec) -> tuple[int, int]:
    """Draw (width, height) in px: mostly near the typical size, some images wider."""
    stretch = rng.uniform(*_WIDE_ASPECT) if rng.random() < _WIDE_SHARE else 1.0
    width = spec.width_px * stretch * (1 + 0.02 * rng.standard_normal())
    height = spec.height_px * (1 + 0.02 * rng.standard_normal())
    return max(32, round(width)), max(32, round(height))


def synthetic_image(
    rng: np.random.Generator, spec: CohortSpec
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Draw one image and the mask of its lesion.

    Returns
    -------
    image : uint8 (height, width, 3)
        RGB.
    mask : bool (height, width)
        Where the lesion is; never empty.
    """
    width, height = image_size(rng, spec)
    shrink = min(1.0, _WORKING_SIDE_PX / max(width, height))
    shape = round(height * shrink), round(width * shrink)
    x, y = _coordinates(shape)

    window = _window(rng, x, y)
    lesions = [
        _visible_lesion(rng, x, y, window) for _ in range(1 + (rng.random() < _TWO_LESIONS_SHARE))
    ]
    rho = np.minimum.reduce([lesion.rho for lesion in lesions])
    inside = _smoothstep((1.0 - rho) / rng.uniform(0.05, 0.16) + 0.5)

    relief, lamp = _cover(rng, *_wall(rng, x, y), inside)
    for lesion in lesions:
        relief = relief + lesion.height * _dome_profile(lesion.rho, 0.65)
        lamp = lamp * (1 + _NEARNESS * lesion.height * _dome_profile(lesion.rho, 1.0))
    shading, gloss = _shade(rng, relief)
    contact = 1 - rng.uniform(0.05, 0.35) * np.exp(-(((rho - 1.06) / 0.09) ** 2))
    light = lamp * shading * contact

    linear = _enlarge(_albedo(rng, shape, inside) * light[..., None], (height, width))
    linear = _add_highlights(rng, linear, _enlarge(gloss * np.sqrt(lamp), (height, width)))
    linear = _add_bubbles(rng, linear)
    window = _enlarge(window, (height, width))
    mask = (_enlarge(rho, (height, width)) < 1) & (window > 0.5)
    return _stamp(_expose(rng, linear, window), window), mask


def _coordinates(shape: tuple[int, int]) -> tuple[Field, Field]:
    """Return x, y of the pixel centres from the middle of the image."""
    height, width = shape
    unit = np.sqrt(height * width)
    x = (np.arange(width, dtype=np.float32) + 0.5 - width / 2) / unit
    y = (np.arange(height, dtype=np.float32) + 0.5 - height / 2) / unit
    xx, yy = np.meshgrid(x, y)
    return xx, yy


def _noise(rng: np.random.Generator, shape: tuple[int, int], cells: int, octaves: int = 3) -> Field:
    """Smooth noise of about unit variance: `cells` bumps across, halved `octaves` times."""
    height, width = shape
    total = np.zeros(shape, np.float32)
    power = 0.0
    for octave in range(octaves):
        n, weight = cells * 2**octave + 3, 0.5**octave
        grid = rng.standard_normal((n, n)).astype(np.float32)
        bumps = _enlarge(grid, (height * n // (n - 2), width * n // (n - 2)))
        total += weight * bumps[-height:, -width:]
        power += weight**2
    return total / np.float32(0.75 * np.sqrt(power))


def _smoothstep(t: Field) -> Field:
    t = np.clip(t, 0, 1)
    return t * t * (3 - 2 * t)


def _enlarge(field: Field, shape: tuple[int, int]) -> Field:
    return np.asarray(cv2.resize(field, shape[::-1], interpolation=cv2.INTER_CUBIC), np.float32)


def _blurred(field: Field, sigma_px: float) -> Field:
    return np.asarray(cv2.GaussianBlur(field, (0, 0), sigma_px), np.float32)


def _window(rng: np.random.Generator, x: Field, y: Field) -> Field:
    """Transparency of the instrument's black frame: an octagon, a disc or nothing."""
    kind = rng.choice(["octagon", "disc", "none"], p=[0.72, 0.16, 0.12])
    half_x, half_y = float(x.max()), float(y.max())
    if kind == "none":
        return np.ones_like(x)
    if kind == "disc":
        radius = rng.uniform(0.98, 1.15) * max(half_x, half_y)
        return _smoothstep((np.float32(radius) - np.hypot(x, y)) / 0.012 + 0.5)
    corner = rng.uniform(0.66, 0.80) * (half_x + half_y)
    frame = np.minimum(half_x * 0.99 - np.abs(x), half_y * 1.01 - np.abs(y))
    frame = np.minimum(frame, (corner - np.abs(x) - np.abs(y)) / np.sqrt(2))
    if rng.random() < 0.4:  # the corner where the position of the scope is drawn
        box = rng.uniform(0.2, 0.32), rng.uniform(0.2, 0.36)
        frame = np.minimum(frame, np.maximum(x + half_x - box[0], half_y - box[1] - y))
    return _smoothstep(frame / 0.008 + 0.5)


def _visible_lesion(rng: np.random.Generator, x: Field, y: Field, window: Field) -> _Dome:
    """Draw lesions until one lies for the most part within the frame."""
    while True:
        lesion = _lesion(rng, x, y)
        seen = window[lesion.rho < 1]
        if seen.size and np.mean(seen > 0.5) >= _VISIBLE_SHARE:
            return lesion


def _lesion(rng: np.random.Generator, x: Field, y: Field) -> _Dome:
    """Draw a lesion of random area, place, outline and height."""
    area = _LESION_AREA_MEDIAN * np.exp(_LESION_AREA_LOG_SD * rng.standard_normal())
    radius = np.sqrt(np.clip(area, *_LESION_AREA) / np.pi)
    turn, reach = rng.uniform(0, 2 * np.pi), 0.9 * np.sqrt(rng.random())
    room_x = max(float(x.max()) - 0.85 * radius, 0.02)
    room_y = max(float(y.max()) - 0.85 * radius, 0.02)
    centre = reach * room_x * np.cos(turn), reach * room_y * np.sin(turn)
    height = radius * rng.uniform(0.7, 1.2) * float(rng.choice(_STATURES, p=_STATURE_SHARES))
    return _Dome(_outline_distance(rng, x - centre[0], y - centre[1], radius), height)


def _outline_distance(rng: np.random.Generator, dx: Field, dy: Field, radius: float) -> Field:
    """Distance from the centre over the distance of a wavy outline of area pi radius²."""
    waves = np.arange(1, _OUTLINE_WAVES + 1)
    size = 0.16 / waves * rng.standard_normal(_OUTLINE_WAVES)
    phase = rng.uniform(0, 2 * np.pi, _OUTLINE_WAVES)
    turn, squeeze = rng.uniform(0, np.pi), np.sqrt(rng.uniform(0.65, 1.0))
    u = (dx * np.cos(turn) + dy * np.sin(turn)) * squeeze
    v = (dy * np.cos(turn) - dx * np.sin(turn)) / squeeze
    angles = np.linspace(-np.pi, np.pi, 721)
    outline = np.exp((size * np.cos(waves * angles[:, None] + phase)).sum(axis=1))
    outline *= radius / np.sqrt(np.mean(outline**2))
    reach = np.interp(np.arctan2(v, u), angles, outline)
    return np.asarray(np.hypot(u, v) / reach, np.float32)


def _dome_profile(rho: Field, steepness: float) -> Field:
    """Height of a dome of unit height: steep at the rim for a small `steepness`."""
    return np.asarray(np.clip(1 - rho**2, 0, 1) ** steepness, np.float32)


def _wall(rng: np.random.Generator, x: Field, y: Field) -> tuple[Field, Field]:
    """Return the height of the wall and how much lamp light reaches it."""
    shape = x.shape
    from_lumen = _distance_from_lumen(rng, x, y)
    fold = _folds(rng, from_lumen)
    relief = rng.uniform(0.015, 0.04) * fold
    relief += 0.015 * _noise(rng, shape, 3, 2) + 0.0015 * _noise(rng, shape, 16, 2)
    for _ in range(rng.integers(0, 4)):
        relief += _bulge(rng, x, y)

    depth = np.exp(-((from_lumen / rng.uniform(0.07, 0.2)) ** 1.5))
    falloff = 0.45 + 0.55 * _smoothstep(from_lumen / rng.uniform(0.5, 0.9))
    lamp = falloff * (1 - 0.93 * depth) * (0.62 + 0.5 * fold) * (1 + 0.08 * _noise(rng, shape, 2))
    if rng.random() < _NEAR_WALL_SHARE:
        lamp += _near_wall(rng, x, y)
    return relief, np.clip(lamp, 0.02, None)


def _distance_from_lumen(rng: np.random.Generator, x: Field, y: Field) -> Field:
    """Distance from the dark end of the tube, on warped ground; it may lie off the image."""
    bend = rng.uniform(0.02, 0.07)
    u, v = x + bend * _noise(rng, x.shape, 2, 2), y + bend * _noise(rng, x.shape, 2, 2)
    away = rng.uniform(0.1, 0.55) if rng.random() < _LUMEN_SHARE else rng.uniform(0.8, 1.4)
    turn, flat = rng.uniform(0, 2 * np.pi), rng.uniform(0.7, 1.3)
    u, v = u - away * np.cos(turn), v - away * np.sin(turn)
    return np.asarray(np.hypot(u * flat, v / flat), np.float32)


def _folds(rng: np.random.Generator, from_lumen: Field) -> Field:
    """Partial rings around the lumen, 0 to 1: each rises towards it and falls off behind."""
    shape = from_lumen.shape
    rings = -rng.uniform(1.0, 2.6) * np.log(from_lumen + 0.06) + 0.2 * _noise(rng, shape, 2, 1)
    saw = rings % 1.0
    ridge = saw**1.5 * _smoothstep((1 - saw) / rng.uniform(0.12, 0.35))
    return np.asarray(ridge * _smoothstep(0.6 + 0.5 * _noise(rng, shape, 2)), np.float32)


def _cover(
    rng: np.random.Generator, relief: Field, lamp: Field, inside: Field
) -> tuple[Field, Field]:
    """Let the lesion hide the wall behind it: even out relief and light where it is `inside`."""
    broad = 0.08 * np.sqrt(relief.size)
    small = 0.008 * _noise(rng, relief.shape, 7, 2) * rng.uniform(0.2, 1.5)
    level = np.asarray(_blurred(relief, broad) + small, np.float32)
    lit = np.asarray(np.maximum(_blurred(lamp, broad), rng.uniform(0.4, 0.7)), np.float32)
    hidden = np.asarray(rng.uniform(0.8, 1.0) * inside, np.float32)
    return relief + hidden * (level - relief), lamp + hidden * (lit - lamp)


def _bulge(rng: np.random.Generator, x: Field, y: Field) -> Field:
    """Draw a bulge of healthy wall: no rim, no colour of its own."""
    dx = x - rng.uniform(x.min(), x.max())
    dy = y - rng.uniform(y.min(), y.max())
    radius = rng.uniform(0.08, 0.22)
    rho = _outline_distance(rng, dx, dy, radius)
    return rng.uniform(0.15, 0.5) * radius * _dome_profile(rho, 1.6)


def _near_wall(rng: np.random.Generator, x: Field, y: Field) -> Field:
    """Light of a wall so near the lamp, at the border, that it is overexposed."""
    turn = rng.uniform(0, 2 * np.pi)
    along = (x * np.cos(turn) + y * np.sin(turn)) / 0.5 + 0.1 * _noise(rng, x.shape, 2, 2)
    return rng.uniform(0.4, 2.2) * _smoothstep((along - rng.uniform(0.5, 0.85)) / 0.6)


def _shade(rng: np.random.Generator, relief: Field) -> tuple[Field, Field]:
    """Return the Lambertian shading of `relief` and its gloss (both about 0 to 1)."""
    unit = np.sqrt(relief.size)
    soft = _blurred(relief, 0.004 * unit)
    slope_y, slope_x = np.gradient(soft * unit)
    turn, tilt = rng.uniform(0, 2 * np.pi), rng.uniform(0.1, 0.6)
    slope_x, slope_y = slope_x / (1 + np.abs(slope_x)), slope_y / (1 + np.abs(slope_y))
    steep = np.sqrt(1 + slope_x**2 + slope_y**2)
    shading = (1 - tilt * (slope_x * np.cos(turn) + slope_y * np.sin(turn))) / steep**1.5

    wet_x = slope_x + 0.16 * _noise(rng, relief.shape, 32, 2) + tilt * np.cos(turn)
    wet_y = slope_y + 0.16 * _noise(rng, relief.shape, 32, 2) + tilt * np.sin(turn)
    gloss = np.exp(-(wet_x**2 + wet_y**2) / 0.012) * _smoothstep(_noise(rng, relief.shape, 4) - 0.3)
    return np.clip(shading, 0.05, 1.6).astype(np.float32), gloss.astype(np.float32)


def _albedo(rng: np.random.Generator, shape: tuple[int, int], inside: Field) -> Field:
    """Return the colour of wall and lesion, (height, width, 3)."""
    base = (rng.dirichlet(np.full(len(_TISSUE_RGB), 0.6)) @ _TISSUE_RGB).astype(np.float32)
    mottle = 1 + 0.05 * _noise(rng, shape, 4)[..., None] * np.array([0.5, 1.0, 1.1], np.float32)
    grain = 1 + 0.025 * _noise(rng, shape, 40, 2)[..., None]
    wall = base * mottle * grain
    wall = wall * (1 - _vessels(rng, shape)[..., None] * (1 - _BLOOD_RGB.astype(np.float32)))

    strength = rng.uniform(0.35, 1.2)
    tint = 1 + strength * _lesion_tint(rng)
    pits = 1 + rng.uniform(0.02, 0.06) * _noise(rng, shape, 36, 2)[..., None]
    lesion = base * tint * pits * (1 + 0.6 * (mottle - 1))
    mixed = wall + inside[..., None] * (lesion - wall)
    if rng.random() < _MUCUS_SHARE:
        cover = _smoothstep(0.9 * _noise(rng, shape, 4, 4) - rng.uniform(0.5, 1.1))
        cover *= rng.uniform(0.4, 0.9)
        mixed += cover[..., None] * (np.array(_MUCUS_RGB, np.float32) - mixed)
    return np.asarray(np.clip(mixed, 0, 1), np.float32)


def _lesion_tint(rng: np.random.Generator) -> Field:
    """Relative change of red, green and blue of a lesion against the wall."""
    tints = [[0.0, -0.20, -0.18], [0.08, 0.14, 0.14], [0.04, 0.06, -0.16], [-0.10, -0.12, -0.04]]
    chosen = np.array(tints[rng.integers(len(tints))]) + 0.03 * rng.standard_normal(3)
    return chosen.astype(np.float32)


def _vessels(rng: np.random.Generator, shape: tuple[int, int]) -> Field:
    """Draw branching lines, 0 to 1."""
    canvas = np.zeros(shape, np.uint8)
    for _ in range(rng.integers(0, 14)):
        start = rng.uniform(0, 1, 2) * shape[::-1]
        _branch(rng, canvas, start, rng.uniform(0, 2 * np.pi), int(rng.integers(1, 3)))
    soft = cv2.GaussianBlur(canvas, (0, 0), 0.6)
    return np.asarray(rng.uniform(0.3, 0.8) / 255 * soft, np.float32)


def _branch(
    rng: np.random.Generator,
    canvas: NDArray[np.uint8],
    start: NDArray[np.float64],
    heading: float,
    order: int,
) -> None:
    """Draw one meandering vessel and, while `order` lasts, its branches."""
    steps = int(rng.integers(20, 60))
    stride = 0.012 * np.sqrt(canvas.size)
    turns = heading + np.cumsum(0.22 * rng.standard_normal(steps))
    path = start + stride * np.cumsum(np.stack([np.cos(turns), np.sin(turns)], axis=1), axis=0)
    cv2.polylines(canvas, [np.round(path * 8).astype(np.int32)], False, 255, 1, cv2.LINE_AA, 3)
    if order == 0:
        return
    for fork in rng.choice(steps, 3, replace=False):
        side = rng.choice([-1, 1]) * rng.uniform(0.5, 1.1)
        _branch(rng, canvas, path[fork], turns[fork] + side, order - 1)


def _add_highlights(rng: np.random.Generator, linear: Field, gloss: Field) -> Field:
    """Add mirror reflections of the lamp where the wet wall faces it."""
    level = rng.uniform(0.3, 0.6)
    sharp = _smoothstep((gloss - level) / 0.15)
    bloom = _blurred(sharp, 0.008 * np.sqrt(gloss.size))
    return linear + (1.6 * sharp + 0.25 * bloom)[..., None]


def _add_bubbles(rng: np.random.Generator, linear: Field) -> Field:
    """Add a few foam bubbles: thin bright rings, each with a glint."""
    if rng.random() > _BUBBLES_SHARE:
        return linear
    ring = np.zeros(linear.shape[:2], np.uint8)
    unit = np.sqrt(ring.size)
    middle = rng.uniform(0.15, 0.85, 2) * ring.shape[::-1]
    for _ in range(rng.integers(3, 25)):
        x, y = middle + 0.06 * unit * rng.standard_normal(2)
        radius = unit * rng.uniform(0.004, 0.022)
        cv2.circle(ring, (int(x * 8), int(y * 8)), int(radius * 8), 130, 1, cv2.LINE_AA, 3)
        glint = int((x - 0.5 * radius) * 8), int((y - 0.5 * radius) * 8)
        cv2.circle(ring, glint, int(radius * 2), 255, -1, cv2.LINE_AA, 3)
    return linear + np.float32(0.7 / 255) * ring[..., None]


def _expose(rng: np.random.Generator, linear: Field, window: Field) -> NDArray[np.uint8]:
    """Turn light into an 8-bit picture: white balance, film curve, lens, sensor noise."""
    balance = 1 + 0.05 * rng.standard_normal(3).astype(np.float32)
    seen = 1 - np.exp(-rng.uniform(1.6, 2.8) * np.maximum(linear, 0) * balance)
    seen = seen ** np.float32(rng.uniform(0.9, 1.3)) * window[..., None]
    unit = np.sqrt(window.size)
    seen = _blurred(seen, rng.uniform(0.0004, 0.0018) * unit + 0.2)
    noise = rng.standard_normal(window.shape, dtype=np.float32)[..., None]
    noisy = 255 * seen + rng.uniform(0.8, 3.0) * noise * (0.3 + window[..., None])
    return np.clip(np.round(noisy), 0, 255).astype(np.uint8)


def _stamp(image: NDArray[np.uint8], window: Field) -> NDArray[np.uint8]:
    """Write into the black corner, where instruments print the date, that this is drawn."""
    height, width = window.shape
    if window[: height // 12, : width // 6].max() < 0.5:
        at = round(0.01 * width), round(0.05 * height)
        font = cv2.FONT_HERSHEY_SIMPLEX
        cv2.putText(image, "SYNTHETIC", at, font, height / 1500, (200,) * 3, 1, cv2.LINE_AA)
    return image
