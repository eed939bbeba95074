"""A whole synthetic cohort in a folder: images, masks, one eye-tracker export, and the truth."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gazetools.errors import OutputError
from gazetools.images import encode_png
from gazetools.synthetic.drawing import synthetic_image
from gazetools.synthetic.prolab import ExportOptions, write_prolab_export
from gazetools.synthetic.session import simulate_session
from gazetools.synthetic.spec import CohortSpec

EXPORT_NAME = "tobii_export.tsv"
_JPEG = [cv2.IMWRITE_JPEG_QUALITY, 92]


@dataclass(frozen=True, eq=False)
class Cohort:
    """Where a cohort was written, and the truth about it.

    Attributes
    ----------
    folder, export, images, masks
        The folder; in it the export and the folders of images and masks (same stems).
    fixations
        The true fixations on images in FIXATIONS columns, all readers in one table;
        ``stimulus`` is the file name of the image.
    """

    folder: Path
    export: Path
    images: Path
    masks: Path
    fixations: pd.DataFrame


def write_cohort(
    folder: Path, spec: CohortSpec | None = None, options: ExportOptions | None = None
) -> Cohort:
    """Write images, masks (0 and 255) and the export of a synthetic cohort into `folder`.

    The same `spec` and `options` give the same bytes. The export is written last: where
    it is, the cohort is complete.

    Raises
    ------
    OutputError
        `folder` holds something already, or its parent does not exist.
    """
    spec = spec or CohortSpec()
    images, masks = _make_folders(folder)
    lesions = _write_images(images, masks, spec)
    sessions = [simulate_session(lesions, spec, reader) for reader in range(spec.readers)]
    export = folder / EXPORT_NAME
    write_prolab_export(export, sessions, spec, options)
    fixations = pd.concat([session.fixations for session in sessions], ignore_index=True)
    return Cohort(folder, export, images, masks, fixations)


def _make_folders(folder: Path) -> tuple[Path, Path]:
    """Create `folder` with its two image folders."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OutputError(f"{folder}: is not empty; name a new folder, or empty it")
    if not folder.parent.is_dir():
        raise OutputError(f"{folder}: folder {folder.parent} does not exist; create it first")
    images, masks = folder / "images", folder / "masks"
    try:
        for path in (folder, images, masks):
            path.mkdir(exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be created ({error.strerror})") from error
    return images, masks


def _write_images(images: Path, masks: Path, spec: CohortSpec) -> dict[str, NDArray[np.bool_]]:
    """Draw and write all images and masks; return the masks by image file name."""
    drawn = {}
    for i in range(spec.images):
        image, mask = synthetic_image(spec.rng("image", i), spec)
        stem = f"synthetic_{i + 1:04d}"
        _, jpeg = cv2.imencode(".jpg", image[:, :, ::-1], _JPEG)
        _write(images / f"{stem}.jpg", jpeg.tobytes())
        _write(masks / f"{stem}.png", encode_png(mask.astype(np.uint8) * 255))
        drawn[f"{stem}.jpg"] = mask
    return drawn


def _write(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror})") from error
