"""Compiled loops of distance maps: all nested levels of a track in one walk over its tiles.

A track of n fixations is n *primitives*: the point it starts from, then the segment to each
further fixation. Every level of a track is a beginning of its primitives, so one walk over
them serves all levels. A map value falls with the *cost* of a pixel, the least over the
primitives of squared distance (linear decay: distance), scaled, plus an offset; widths and
weights of maps are in the primitives, so that the value is exp(-cost), or 1 - cost.

Most primitives are the nearest nowhere in a given tile of 16 x 32 pixels, and are left out there:
see :mod:`gazetools.kernels.culling`. The same is done before with blocks of 4 x 4 tiles, so that
few primitives reach the tiles. Long tracks cross themselves so often that narrower tiles pay.
What a level adds no primitive to is copied from the level in it, what is far from all is 0; the
rest is plain arithmetic, and no cutoff enters it.

For numba to turn the inner loops into vector instructions, they run over contiguous float32
arrays whose length it does not know (short loops of known length are unrolled instead), touch
few arrays, and hold no conversion. So the costs of a tile lie one row after the other in one
array. Without `fastmath`, results are the same on every machine.
"""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gazetools.kernels.culling import keep_near

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]
Scalar = Any
"""A float32: numba cares, the type checker cannot."""

TILE_ROWS = 16
TILE_COLUMNS = 32
NARROW_COLUMNS = 16
"""Of a tile, where a track has more than LONG primitives."""
LONG = 50
TILES = 4
"""Tiles along either side of a block."""
LANES = 16
"""Cells are looked at so many at a time."""

# ---------------------------------------------------------------- one track as primitives


@njit(cache=True, nogil=True)
def make_primitives(
    x: Float64,
    y: Float64,
    share: Float64,
    joined: bool,
    linear: bool,
    weighted: bool,
    widened: bool,
    sigma: float,
) -> Float64:
    """Return rows of (cx, cy, ex, ey, half, offset, joint) of the fixations in nested order.

    A primitive has its midpoint at c, direction and scale e, and scaled half length; a point
    has half = 0. `share` is a fixation's duration over the longest; a segment has that of its
    longer end, and it scales the height of a map if `weighted`, the square of its width if
    `widened`. Where a primitive begins at the end of the one before, which costs no more
    there, `joint` is its beginning's place along e from the midpoint, and else -inf.
    """
    primitives = np.empty((len(x), 7))
    before = 0.0
    for i in range(len(x)):
        j = max(i - 1, 0) if joined else i
        strength = max(share[i], share[j])
        height = strength if weighted else 1.0
        width = sigma * np.sqrt(strength) if widened else sigma
        scale = height / width if linear else np.sqrt(0.5) / width
        length = np.hypot(x[i] - x[j], y[i] - y[j])
        primitives[i, 0] = (x[i] + x[j]) / 2
        primitives[i, 1] = (y[i] + y[j]) / 2
        primitives[i, 2] = scale * (x[i] - x[j]) / length if length > 0 else scale
        primitives[i, 3] = scale * (y[i] - y[j]) / length if length > 0 else 0.0
        primitives[i, 4] = scale * length / 2
        primitives[i, 5] = 1.0 - height if linear else -np.log(height)
        is_met = i > j and (strength <= before or not (weighted or widened))
        primitives[i, 6] = -primitives[i, 4] if is_met else -np.inf
        before = strength
    return primitives


# ---------------------------------------------------------------- one tile


@njit(cache=True, nogil=True)
def lower_tile(
    tile: Float32,
    primitives: Float32,
    picked: Integers,
    x: Float32,
    y: Float32,
    x0: Scalar,
    y0: Scalar,
    linear: bool,
) -> None:
    """Lower the costs of a tile to those of the picked primitives where they are smaller.

    `x` and `y` are the places of its pixels from the first one, `x0` and `y0` that one's.
    """
    zero = np.float32(0.0)
    for j in picked:
        ex, ey = primitives[j, 2], primitives[j, 3]
        half, offset = primitives[j, 4], primitives[j, 5]
        dx, dy = x0 - primitives[j, 0], y0 - primitives[j, 1]
        for pixel in range(len(tile)):
            right, down = x[pixel] + dx, y[pixel] + dy
            along = max(abs(right * ex + down * ey) - half, zero)
            across = down * ex - right * ey
            cost = along * along + across * across
            if linear:
                cost = np.sqrt(cost)
            tile[pixel] = min(tile[pixel], cost + offset)


@njit(cache=True, nogil=True)
def gaussian_value(cost: Scalar) -> Scalar:
    """exp(-cost) for cost >= 0, within 2e-6: a polynomial, as exp itself does not vectorise.

    The 16th power of a fit to exp(-cost / 16), least in its largest error.
    """
    x = min(cost, np.float32(16.0)) * np.float32(1 / 16)
    value = np.float32(0.03588895) * x - np.float32(0.16536768)
    value = value * x + np.float32(0.49989807)
    value = value * x - np.float32(0.99999786)
    value = value * x + np.float32(1.0)
    value *= value
    value *= value
    value *= value
    return value * value


@njit(cache=True, nogil=True)
def store_tile(
    tile: Float32,
    out: NDArray[np.generic],
    row0: int,
    column0: int,
    linear: bool,
    gain: Scalar,
    rounding: Scalar,
) -> None:
    """Turn costs into map values and store them as `gain` * value + `rounding`."""
    zero, one = np.float32(0.0), np.float32(1.0)
    columns = min(tile.shape[1], out.shape[1] - column0)
    for row in range(min(tile.shape[0], out.shape[0] - row0)):
        line = tile[row]
        target = out[row0 + row, column0 : column0 + columns]
        for column in range(columns):
            cost = line[column]
            value = max(one - cost, zero) if linear else gaussian_value(cost)
            target[column] = value * gain + rounding


@njit(cache=True, nogil=True)
def copy_tile(
    source: NDArray[np.generic], out: NDArray[np.generic], row0: int, column0: int, columns: int
) -> None:
    """Copy a tile from one level to another."""
    for row in range(row0, min(row0 + TILE_ROWS, out.shape[0])):
        line = source[row, column0 : column0 + columns]
        target = out[row, column0 : column0 + columns]
        for column in range(len(target)):
            target[column] = line[column]


# ---------------------------------------------------------------- all tiles, levels, tracks


@njit(cache=True, nogil=True)
def centres(
    height: int, width: int, rows: int, columns: int, step_x: float, step_y: float
) -> tuple[Float32, Float32]:
    """Centres of the cells of a grid, row by row; the last is repeated to fill the lanes."""
    across = -(-width // columns)
    cells = across * -(-height // rows)
    x = np.empty(-(-cells // LANES) * LANES, np.float32)
    y = np.empty_like(x)
    for lane in range(len(x)):
        cell = min(lane, cells - 1)
        x[lane] = (cell % across + 0.5) * columns * step_x
        y[lane] = (cell // across + 0.5) * rows * step_y
    return x, y


@njit(cache=True, nogil=True)
def distance_maps(
    primitives: Float64,
    counts: Integers,
    step_x: float,
    step_y: float,
    linear: bool,
    ceiling: float,
    gain: float,
    rounding: float,
    out: NDArray[np.generic],
) -> None:
    """Render all levels of one track.

    Parameters
    ----------
    primitives : float64 (n, 7)
        Of :func:`make_primitives`, in the units of the steps.
    counts : int64 (L,)
        Primitives of each level, not increasing.
    step_x, step_y : float
        Size of a pixel; pixel (row, column) has its centre at ((column + .5) * step_x, ...).
    linear : bool
        Whether a cost is a distance (value = 1 - cost, at least 0) or the square of one
        (value = exp(-cost)).
    ceiling : float
        A cost from which on a value is stored as 0.
    gain, rounding : float
        What is stored is gain * value + rounding: 1 and 0 for float32, 255 and .5 for uint8.
    out : (L, H, W), written in place
    """
    height, width = out.shape[1:]
    tile_columns = NARROW_COLUMNS if len(primitives) > LONG else TILE_COLUMNS
    rows, columns = TILES * TILE_ROWS, TILES * tile_columns
    tile_x, tile_y = centres(rows, columns, TILE_ROWS, tile_columns, step_x, step_y)
    block_x, block_y = centres(height, width, rows, columns, step_x, step_y)
    half_x = np.float32((tile_columns - 1) / 2 * step_x)
    half_y = np.float32((TILE_ROWS - 1) / 2 * step_y)
    far = np.float32(ceiling)
    in_block = np.empty((len(primitives), len(block_x)), np.bool_)
    keep_near(
        primitives.astype(np.float32),
        counts,
        block_x,
        block_y,
        np.float32((columns - 1) / 2 * step_x),
        np.float32((rows - 1) / 2 * step_y),
        linear,
        far,
        in_block,
    )
    in_tile = np.empty((len(primitives), len(tile_x)), np.bool_)
    near = np.empty(primitives.shape, np.float32)
    ends = np.empty_like(counts)
    out[:] = 0
    for block in range(-(-height // rows) * -(-width // columns)):
        top = block // -(-width // columns) * rows
        left = block % -(-width // columns) * columns
        take_block(primitives, counts, in_block[:, block], left * step_x, top * step_y, near, ends)
        keep_near(near, ends, tile_x, tile_y, half_x, half_y, linear, far, in_tile)
        draw_block(
            near,
            ends,
            in_tile,
            tile_columns,
            step_x,
            step_y,
            linear,
            np.float32(gain),
            np.float32(rounding),
            top,
            left,
            out,
        )


@njit(cache=True, nogil=True)
def draw_block(
    near: Float32,
    ends: Integers,
    in_tile: Flags,
    columns: int,
    step_x: float,
    step_y: float,
    linear: bool,
    gain: Scalar,
    rounding: Scalar,
    top: int,
    left: int,
    out: NDArray[np.generic],
) -> None:
    """Draw all levels of each tile of a block, the innermost first.

    `near` is measured from the block's corner; `columns` is how wide a tile is.
    """
    _, height, width = out.shape
    picked = np.empty(len(near), np.int64)
    tile = np.empty(TILE_ROWS * columns, np.float32)
    lines = tile.reshape((TILE_ROWS, columns))
    x, y = np.empty_like(tile), np.empty_like(tile)
    ramp = (np.arange(columns) * step_x).astype(np.float32)
    for row in range(TILE_ROWS):
        x[row * columns : (row + 1) * columns] = ramp
        y[row * columns : (row + 1) * columns] = np.float32(row * step_y)
    for cell in range(TILES * TILES):
        down, right = cell // TILES * TILE_ROWS, cell % TILES * columns
        row0, column0 = top + down, left + right
        if row0 >= height or column0 >= width:
            continue
        x0, y0 = np.float32((right + 0.5) * step_x), np.float32((down + 0.5) * step_y)
        tile[:] = np.inf
        begin = 0
        touched = False
        for level in range(len(ends) - 1, -1, -1):
            many = 0
            for j in range(begin, ends[level]):
                picked[many] = j
                many += int(in_tile[j, cell])
            begin = ends[level]
            if many > 0:
                lower_tile(tile, near, picked[:many], x, y, x0, y0, linear)
                store_tile(lines, out[level], row0, column0, linear, gain, rounding)
            elif touched:
                copy_tile(out[level + 1], out[level], row0, column0, columns)
            touched = touched or many > 0


@njit(cache=True, nogil=True)
def take_block(
    primitives: Float64,
    counts: Integers,
    kept: Flags,
    left: float,
    top: float,
    near: Float32,
    ends: Integers,
) -> None:
    """Copy the primitives kept in a block, measured from its corner; count them by level."""
    many = 0
    begin = 0
    for level in range(len(counts) - 1, -1, -1):
        for j in range(begin, counts[level]):
            if kept[j]:
                near[many, 0] = primitives[j, 0] - left
                near[many, 1] = primitives[j, 1] - top
                for k in range(2, primitives.shape[1]):
                    near[many, k] = primitives[j, k]
                many += 1
        ends[level] = many
        begin = counts[level]


@njit(cache=True, nogil=True)
def render_tracks(
    first: int,
    last: int,
    x: Float64,
    y: Float64,
    duration_ms: Float64,
    starts: Integers,
    counts: Integers,
    units: Float64,
    joined: bool,
    linear: bool,
    weighted: bool,
    widened: bool,
    sigma: float,
    ceiling: float,
    gain: float,
    rounding: float,
    out: NDArray[np.generic],
) -> None:
    """Render tracks `first` to `last`, less one, of a batch.

    Parameters
    ----------
    x, y, duration_ms : float64 (N,)
        Fixations of all tracks, each track in nested order; shares of the image.
    starts : int64 (m + 1,)
        Where each track begins.
    counts : int64 (m, L)
    units : float64 (m, 2)
        Width and height of each image in the unit of sigma.
    out : (m, L, H, W), written in place
        Each image depends on its own track only, in whatever order and thread they are drawn.

    For the other parameters see :func:`make_primitives` and :func:`distance_maps`.
    """
    height, width = out.shape[2:]
    for i in range(first, last):
        own = slice(starts[i], starts[i + 1])
        wide, high = units[i]
        share = duration_ms[own] / duration_ms[own].max()
        primitives = make_primitives(
            x[own] * wide, y[own] * high, share, joined, linear, weighted, widened, sigma
        )
        distance_maps(
            primitives,
            counts[i],
            wide / width,
            high / height,
            linear,
            ceiling,
            gain,
            rounding,
            out[i],
        )
