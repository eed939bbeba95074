"""Fully connected CRF: a foreground probability refined by the colours of its image.

Krähenbühl & Koltun, "Efficient inference in fully connected CRFs with Gaussian edge
potentials", NeurIPS 2011: every pixel is joined to every other, and mean-field inference is a
few rounds of high-dimensional Gaussian filtering. Filtered on the permutohedral lattice of
Adams, Baek & Davis, "Fast high-dimensional filtering using the permutohedral lattice",
Eurographics 2010. Conventions are those of pydensecrf, whose results the lattice gives.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gazetools.errors import ConfigError, GeometryError, SchemaError
from gazetools.images import UInt8
from gazetools.kernels import crf as kernels

Float32 = npt.NDArray[np.float32]
Floats = npt.NDArray[np.floating[Any]]
Filter = Callable[[Floats], Floats]
"""Sums a kernel times the values of all pixels, shape (n,), at each pixel."""

LEAST_PROBABILITY = 1e-5
"""A label's probability counts as at least this, so that its energy stays finite."""
MOST_STEPS = 2**20
"""Lattice coordinates stay within this: as float32, they then tell sixteenths of a step."""
SMALL_PX = 80 * 80
"""Of images of no more pixels each kernel is kept as a matrix: at most 156 MB in each thread."""


@dataclass(frozen=True)
class CrfSpec:
    """Energies of the CRF, and how they are minimised; the defaults are GazeMedSeg's.

    With p, q the positions of two pixels and I, J their colours, they are drawn to the same
    label by `compat` * k / sqrt(K K') with the kernel::

        k = exp(-|p - q|**2 / (2 sxy**2) - |I - J|**2 / (2 srgb**2))

    and K, K' the sums of k over all pixels, each pixel itself included (Potts model, symmetric
    normalisation). So `compat` is about the most by which colours can shift a pixel's log odds.

    Attributes
    ----------
    sxy : float
        Reach of the bilateral kernel in px of the image.
    srgb : float
        Its reach in grey values, of 255.
    compat : float
        Its strength; 0 leaves it out.
    gaussian_sxy : float
        Reach in px of a second kernel, of positions alone: it smooths outlines.
    gaussian_compat : float
        Its strength; 0 leaves it out.
    iterations : int
        Rounds of mean-field inference, all pixels at once.
    filtering : {"lattice", "exact"}
        How kernels are summed: on the permutohedral lattice, some per cent off, but in images
        of up to :data:`SMALL_PX` pixels over all pairs of them; or over all pairs whatever the
        size, in float64 (64 x 64: half a second, 224 x 224: a minute).
    """

    sxy: float = 80.0
    srgb: float = 13.0
    compat: float = 1.0
    gaussian_sxy: float = 3.0
    gaussian_compat: float = 0.0
    iterations: int = 10
    filtering: str = "lattice"

    def __post_init__(self) -> None:
        for name in ("sxy", "srgb", "gaussian_sxy"):
            if not 0 < getattr(self, name) < np.inf:
                raise ConfigError(f"{name} is {getattr(self, name)}; expected a width above 0")
        for name in ("compat", "gaussian_compat"):
            if not 0 <= getattr(self, name) < np.inf:
                raise ConfigError(f"{name} is {getattr(self, name)}; expected a strength, or 0")
        if self.iterations < 0:
            raise ConfigError(f"iterations is {self.iterations}; expected 0 or more")
        if self.filtering not in ("lattice", "exact"):
            raise ConfigError(f"filtering is {self.filtering!r}; expected lattice or exact")


def refine(probability: Float32, image: UInt8, spec: CrfSpec | None = None) -> Float32:
    """Refine a foreground probability by mean-field inference in the CRF.

    The result is the same for any number of threads.

    Parameters
    ----------
    probability : ndarray of float, shape (height, width)
        In [0, 1].
    image : ndarray of uint8, shape (height, width, 3)
        RGB.
    spec : CrfSpec, optional

    Returns
    -------
    ndarray of float32, shape (height, width)
        Foreground probability.

    Raises
    ------
    GeometryError
        Probability and image differ in size, or the image is not RGB.
    SchemaError
        A probability is not within [0, 1].
    ConfigError
        A width is so small that the lattice has no room for the image.
    """
    spec = spec or CrfSpec()
    if image.shape != (*probability.shape, 3):
        raise GeometryError(
            f"the probability has shape {probability.shape}, the image {image.shape}; expected "
            "(height, width) and (height, width, 3), resize one of them"
        )
    if not ((probability >= 0) & (probability <= 1)).all():
        raise SchemaError(
            f"the probability ranges from {probability.min()} to {probability.max()}; expected "
            "values within [0, 1] and none missing, scale it"
        )
    dtype = np.float64 if spec.filtering == "exact" else np.float32
    foreground = probability.astype(dtype).ravel()
    energies = [np.log(np.maximum(p, LEAST_PROBABILITY)) for p in (foreground, 1 - foreground)]
    terms = []
    if spec.compat > 0:
        terms.append((spec.compat, _filter(_bilateral_features(image, spec), spec.filtering)))
    if spec.gaussian_compat > 0:
        positions = _positions(image, spec.gaussian_sxy)
        terms.append((spec.gaussian_compat, _filter(positions, spec.filtering)))
    log_odds = _mean_field(energies[0] - energies[1], terms, spec.iterations)
    return np.asarray(0.5 + 0.5 * np.tanh(log_odds / 2), np.float32).reshape(probability.shape)


def _mean_field(unary: Floats, terms: list[tuple[float, Filter]], iterations: int) -> Floats:
    """Log odds of the foreground after some rounds.

    Of two labels one number tells all: with s = Q(foreground) - Q(background), a pixel's log odds
    are its own plus, for each kernel, the normalised sum of all other pixels' s.
    """
    ones = np.ones_like(unary)
    # a pixel's own kernel value is 1: no sum is 0, but where the lattice rounds
    norms = [1 / np.sqrt(np.maximum(filtered(ones), 1e-20)) for _, filtered in terms]
    log_odds = unary
    for _ in range(iterations):
        leaning = np.tanh(log_odds / 2)
        log_odds = unary.copy()
        for (compat, filtered), norm in zip(terms, norms, strict=True):
            log_odds += unary.dtype.type(compat) * norm * filtered(norm * leaning)
    return log_odds


# ---------------------------------------------------------------- kernels as filters


def _positions(image: UInt8, sxy: float) -> Floats:
    """Position of each pixel in units of `sxy`, x first: shape (n, 2)."""
    rows, columns = np.indices(image.shape[:2])
    return np.column_stack((columns.ravel(), rows.ravel())) / sxy


def _bilateral_features(image: UInt8, spec: CrfSpec) -> Floats:
    """Position and colour of each pixel in units of their widths: shape (n, 5)."""
    return np.column_stack((_positions(image, spec.sxy), image.reshape(-1, 3) / spec.srgb))


def _filter(features: Floats, filtering: str) -> Filter:
    if filtering == "exact":
        return _exact_filter(features)
    return _matrix_filter(features) if len(features) <= SMALL_PX else _lattice_filter(features)


def _exact_filter(features: Floats) -> Filter:
    columns = np.ascontiguousarray(features.T, np.float64)

    def filtered(values: Floats) -> Floats:
        out = np.empty_like(values)
        kernels.filter_exactly(values, columns, out)
        return out

    return filtered


def _matrix_filter(features: Floats) -> Filter:
    matrix = np.empty((len(features), len(features)), np.float32)
    kernels.fill_matrix(np.ascontiguousarray(features.T, np.float64), matrix)

    def filtered(values: Floats) -> Floats:
        out = np.empty_like(values)
        kernels.filter_by_matrix(values, matrix, out)
        return out

    return filtered


def _lattice_filter(features: Floats) -> Filter:
    scale = _lattice_scale(features.shape[1])
    _check_room(features, scale)
    corners, weights, neighbours = kernels.build_lattice(features.astype(np.float32), scale)

    def filtered(values: Floats) -> Floats:
        out = np.empty_like(values)
        kernels.filter_on_lattice(values, corners, weights, neighbours, out)
        return out

    return filtered


def _lattice_scale(dimensions: int) -> Float32:
    """Scale at which one blur along each direction has a variance of 1 (Adams et al., 3.1)."""
    k = np.arange(dimensions)
    steps = (dimensions + 1) * np.sqrt(2 / 3)
    return np.asarray(steps / np.sqrt((k + 1) * (k + 2)), np.float32)


def _check_room(features: Floats, scale: Float32) -> None:
    """Refuse points whose lattice coordinates fit no packed corner, or are no longer told apart."""
    dimensions = len(scale)
    extent = features.max(axis=0) * scale
    reach = max(extent.sum(), (extent * np.arange(1, dimensions + 1)).max())
    packed = 2 ** (kernels.PACKED_BITS // dimensions - 1) - 2 * (dimensions + 1)
    room = min(packed, MOST_STEPS)
    if reach > room:
        raise ConfigError(
            f"the CRF's widths are too small for this image: its lattice would reach to "
            f"{reach:.0f}, expected at most {room}; take wider ones, or filtering exact"
        )
