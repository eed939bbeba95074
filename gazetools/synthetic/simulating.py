"""Gaze for images that nobody has looked at yet, from their masks: fixations, and raw samples."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gazetools.errors import FormatError, OutputError
from gazetools.files import check_output
from gazetools.images import list_images, read_image, read_mask
from gazetools.progress import Progress, unseen
from gazetools.synthetic.prolab import write_prolab_export
from gazetools.synthetic.scanpath import ReaderModel, simulate_scanpath
from gazetools.synthetic.session import Session, record_session
from gazetools.synthetic.spec import CohortSpec
from gazetools.synthetic.tracker import Subject
from gazetools.tables import FIXATIONS, validate_fixations, writing

SOURCE = "simulated"
_SACCADE_MS = 40.0
"""Between two fixations, where no tracker is simulated."""
_IMAGES_PER_RECORDING = 100
"""A quarter of an hour before the display; also bounds the memory that samples take."""


@dataclass
class SimulateSummary:
    """What was looked at.

    Attributes
    ----------
    images, readers, fixations : int
    recordings, samples : int
        Of the simulated eye tracker.
    off_image : int
        Fixations that would have been off the image; they are left out.
    without_mask, empty : list of str
        Images that nobody looks at: there is no mask, or nothing in it.
    """

    images: int = 0
    readers: int = 0
    fixations: int = 0
    recordings: int = 0
    samples: int = 0
    off_image: int = 0
    without_mask: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return plain types, for JSON."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class _Look:
    """One reader's fixations on one image of `size` (width, height) px."""

    number: int
    trial: int
    image: str
    size: tuple[int, int]
    scanpath: pd.DataFrame


def simulate_to(
    images: Path,
    masks: Path,
    out: Path,
    reader: ReaderModel | None = None,
    *,
    readers: int = 1,
    seed: int = 0,
    export: Path | None = None,
    tracker: CohortSpec | None = None,
    overwrite: bool = False,
    progress: Progress = unseen,
) -> SimulateSummary:
    """Simulate readers who look at every image that has a mask.

    What a reader does on an image depends on the seed, the reader's number and the image's name
    alone: more images do not change the others, but for the number of their trial.

    Parameters
    ----------
    images, masks : Path
        Folders; an image and its mask have one name, but for the suffix, and one size.
    out : Path
        FIXATIONS, Parquet; its provenance holds the reader. With an `export` it has places on the
        screen, and the recordings, trials and times of the export.
    readers : int
        How many look, each at all images.
    export : Path, optional
        What an eye tracker would have recorded of it: an export as Tobii Pro Lab writes it, with
        the true fixations as the vendor's.
    tracker : CohortSpec, optional
        The screen, and the tracker's rate, noise and losses.

    Raises
    ------
    FormatError
        An image or a mask cannot be read, their sizes differ, or no image has a mask.
    OutputError
        An output exists and `overwrite` is false, the disk refuses it, or both are one file.
    """
    for path in (out,) if export is None else (out, export):
        check_output(path, overwrite=overwrite)
    if export is not None and export.resolve() == out.resolve():
        raise OutputError(f"{out}: named for fixations and for the export; name two files")
    for path in (out,) if export is None else (out, export):
        if path.resolve().parent in (images.resolve(), masks.resolve()):
            raise OutputError(f"{path}: lies among the images or masks; name another folder")
    reader = reader or ReaderModel()
    tracker = tracker or CohortSpec(seed=seed)
    summary = SimulateSummary(readers=readers)
    found = list_images(images), list_images(masks)
    looks = list(_looks(*found, reader, readers, seed, summary, progress))
    if not any(len(look.scanpath) for look in looks):
        raise FormatError(f"{masks}: no mask with something in it for an image of {images}")
    made_by: dict[str, Any] = {"reader": asdict(reader), "readers": readers, "seed": seed}
    with writing(out, FIXATIONS, overwrite=overwrite) as writer:
        if export is None:
            tables = [_as_table(look) for look in looks]
        else:
            made_by["tracker"] = asdict(tracker)
            tables = []
            sessions = _recorded(looks, tracker, summary, tables, progress)
            write_prolab_export(export, sessions, tracker, overwrite=overwrite)
        table = pd.concat(tables, ignore_index=True).sort_values(
            ["subject", "recording", "trial", "order"], kind="stable", ignore_index=True
        )
        summary.fixations = len(table)
        writer.add(validate_fixations(FIXATIONS.conform(table)))
        screens = {} if export is None else {"screens": [asdict(tracker.screen)]}
        writer.close({"simulated": made_by, **screens})
    return summary


def _looks(
    images: dict[str, Path],
    masks: dict[str, Path],
    reader: ReaderModel,
    readers: int,
    seed: int,
    summary: SimulateSummary,
    progress: Progress,
) -> Iterator[_Look]:
    for trial, (stem, path) in enumerate(images.items(), start=1):
        progress(trial, len(images), stem)
        if stem not in masks:
            summary.without_mask.append(stem)
            continue
        mask = read_mask(masks[stem]) == 1
        height, width, _ = read_image(path).shape
        if mask.shape != (height, width):
            raise FormatError(
                f"{masks[stem]}: is {mask.shape[1]} x {mask.shape[0]} px, its image {width} x "
                f"{height}; expected the size of the image"
            )
        if not mask.any():
            summary.empty.append(stem)
            continue
        summary.images += 1
        for number in range(1, readers + 1):
            found = simulate_scanpath(_draws(seed, number, stem), mask, reader)
            inside = found["x_im"].between(0, width, inclusive="left") & found["y_im"].between(
                0, height, inclusive="left"
            )
            summary.off_image += int((~inside).sum())
            on = found[inside].assign(order=np.arange(1, inside.sum() + 1))
            yield _Look(number, trial, path.name, (width, height), on)


def _draws(seed: int, number: int, stem: str) -> np.random.Generator:
    name = int.from_bytes(hashlib.sha256(stem.encode()).digest()[:8], "little")
    return np.random.default_rng([seed, number, name])


def _as_table(look: _Look) -> pd.DataFrame:
    lasts_ms = look.scanpath["duration_ms"].to_numpy()
    ends_ms = np.cumsum(lasts_ms + _SACCADE_MS)
    return look.scanpath.assign(
        recording=f"{SOURCE}{look.number}",
        subject=f"{SOURCE}{look.number}",
        trial=look.trial,
        stimulus=look.image,
        onset_ms=ends_ms - lasts_ms - _SACCADE_MS,
        image_width=look.size[0],
        image_height=look.size[1],
        source=SOURCE,
    )


def _recorded(
    looks: Sequence[_Look],
    tracker: CohortSpec,
    summary: SimulateSummary,
    tables: list[pd.DataFrame],
    progress: Progress,
) -> Iterator[Session]:
    """Yield recordings, some for every reader; add their true fixations to `tables`."""
    for number in range(1, summary.readers + 1):
        own = {look.image: look for look in looks if look.number == number and len(look.scanpath)}
        subject = Subject.draw(tracker.rng("subject", number), f"{SOURCE}{number}", tracker)
        parts = range(0, len(own), _IMAGES_PER_RECORDING)
        for part, first in enumerate(parts, start=1):
            name = f"{SOURCE}{number}-{part:02d}"
            shown = list(own)[first : first + _IMAGES_PER_RECORDING]
            scanpaths = {image: own[image].scanpath for image in shown}
            progress(part, len(parts), name)
            session = record_session(
                tracker.rng("recording", 1000 * number + part),
                name,
                subject,
                {image: own[image].size for image in shown},
                scanpaths.__getitem__,
                tracker,
            )
            summary.recordings += 1
            summary.samples += len(session.samples)
            tables.append(session.fixations.assign(source=SOURCE))
            yield session
