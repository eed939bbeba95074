"""One item: decode its image, draw its gaze, make its pseudo-mask."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from gazetools.cache import Record
from gazetools.errors import FormatError
from gazetools.images import (
    UInt8,
    decode_image,
    decode_mask,
    decode_probability,
    encode_png,
    file_content,
    resize_image,
    resize_mask,
)
from gazetools.maps import Track, heatmap, pooled, track_maps
from gazetools.masks import UNCERTAIN, pseudo_mask
from gazetools.rendering.planning import Job, sha256
from gazetools.rendering.spec import RenderSpec


def render_item(job: Job, spec: RenderSpec) -> Record:
    """Make all pictures of an item.

    Raises
    ------
    FormatError
        The image or the mask cannot be read, or is another than when it was planned.
    """
    size = (spec.size_px, spec.size_px)
    image = decode_image(_planned(job.image, job.image_sha256), job.image)
    mask = None
    if job.mask is not None:
        mask = decode_mask(_planned(job.mask, job.mask_sha256), job.mask)
    small = resize_image(image, size)
    probability = None
    if job.probability is not None:
        grey = _planned(job.probability, job.probability_sha256)
        probability = decode_probability(grey, job.probability)
    # the CRF's reach is in px of the image itself
    seen = image if spec.masks.source == "crf" else small
    return Record(
        name=job.name,
        split=job.split,
        width=job.width,
        height=job.height,
        image=small,
        **_gaze_pictures(seen, _tracks(job, spec.px_per_deg), probability, spec),
        fixations=job.gaze,
        mask=resize_mask(mask, size) if mask is not None else None,
        mask_png=encode_png(mask * np.uint8(255)) if mask is not None else b"",
        made_from=job.made_from,
    )


def _planned(path: Path, planned_sha256: str | None) -> bytes:
    content = file_content(path)
    if sha256(content) != planned_sha256:
        raise FormatError(f"{path}: was changed while the cache was rendered; render again")
    return content


def _tracks(job: Job, px_per_deg: float | None) -> list[Track]:
    """One track per presentation: whoever looked, however often."""
    size_deg = (job.width / px_per_deg, job.height / px_per_deg) if px_per_deg else None
    x, y, _, duration_ms, track = job.gaze.T
    rows = np.split(np.arange(len(track)), np.flatnonzero(np.diff(track)) + 1)
    return [
        Track(x[r] / job.width, y[r] / job.height, duration_ms[r], job.width / job.height, size_deg)
        for r in rows
        if len(r)
    ]


def _gaze_pictures(
    image: UInt8, tracks: list[Track], probability: UInt8 | None, spec: RenderSpec
) -> dict[str, UInt8]:
    """Draw maps, heatmap and pseudo-mask; where nobody looked, nothing is known."""
    size = (spec.size_px, spec.size_px)
    if not tracks:
        return {
            "maps": np.zeros((spec.tracks.levels, *size), np.uint8),
            "heatmap": np.zeros(size, np.uint8),
            "pseudo_mask": np.full(size, UNCERTAIN, np.uint8),
        }
    heat = heatmap(pooled(tracks), size, spec.masks.heatmap_sigma)
    return {
        "maps": _level_maps(tracks, spec, size),
        "heatmap": np.rint(heat * 255).astype(np.uint8),
        "pseudo_mask": resize_mask(pseudo_mask(image, tracks, spec.masks, probability), size),
    }


def _level_maps(tracks: list[Track], spec: RenderSpec, size: tuple[int, int]) -> UInt8:
    """Level maps of an image; where several tracks exist, their mean."""
    if len(tracks) == 1:
        return np.asarray(track_maps(tracks[0], spec.tracks, spec.maps, size, as_uint8=True))
    total = np.zeros((spec.tracks.levels, *size), np.float32)
    for track in tracks:
        total += track_maps(track, spec.tracks, spec.maps, size)
    mean: npt.NDArray[np.float32] = total / np.float32(len(tracks))
    return np.asarray(np.rint(mean * 255), np.uint8)
