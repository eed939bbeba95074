"""One recording on its way from the export to fixations on the screen, piece by piece."""

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gazetools import events
from gazetools.errors import FormatError, GazeToolsError, GeometryError
from gazetools.geometry import Placement, inside
from gazetools.ingestion.detection import Detected, Detection
from gazetools.ingestion.spec import IngestSpec, IngestSummary
from gazetools.placing import WITH_POSITIONS, Locator, in_px, scaled, screen_of
from gazetools.readers import Recording
from gazetools.readers.vendor_events import CUT_OFF
from gazetools.tables import BLINKS, FIXATIONS, SACCADES, SAMPLES, Schema
from gazetools.timeline import sample_interval_us
from gazetools.trials import cut_at_trials, too_short

_VENDOR_MIN_PART_MS = 60.0


class Session:
    """Takes the pieces of a recording and gives its samples with their events.

    Attributes
    ----------
    placements : dict of str to Placement
        Where each stimulus lay, as far as it was told up to now.
    screen : Screen or None
        As the user told it, else as the export does.
    """

    def __init__(
        self,
        first: Recording,
        spec: IngestSpec,
        locate: Locator,
        summary: IngestSummary,
        wanted: Collection[str] = (),
    ) -> None:
        name = first.profile if spec.profile == "auto" else spec.profile_told()
        params = spec.detector(first.profile)
        self._path = first.path
        self._spec = spec
        self._locate = locate
        self._summary = summary
        self._profile = f"{name}, changed" if spec.settings else name
        self._least_ms = getattr(params, "min_fixation_ms", _VENDOR_MIN_PART_MS)
        self.screen = screen_of(first, spec.screen)
        self._detection = Detection(params, spec.blink, self.screen, first.path, wanted)
        self._by_vendor = self._wants_vendor = spec.takes_vendor(first)
        self._cannot_detect: GeometryError | None = None
        self._fixations: list[pd.DataFrame] = []
        self._saccades: list[pd.DataFrame] = []
        self._blinks: list[pd.DataFrame] = []
        self._saccades_told: list[pd.DataFrame] = []
        self._blinks_told: list[pd.DataFrame] = []
        self._vendors = 0
        self._told: dict[str, Placement] = {}
        self._trials: set[int] = set()
        self._has_rate = False
        self._are_shares = False
        self._wants_samples = "samples" in wanted
        self.placements: dict[str, Placement] = {}
        summary.recordings += 1
        summary.formats[first.format] += 1

    def add(self, piece: Recording) -> Iterator[pd.DataFrame]:
        """Take the next piece; give SAMPLES whose events are settled by it.

        Raises
        ------
        FormatError
            Our events are asked for and there are no samples.
        GeometryError
            They are asked for and cannot be detected.
        """
        told = self._locate(piece)
        if piece.normalised and self._spec.display_px() is None and told:
            told = _whole_images(told)
            piece = _in_image_px(piece, told)
        piece = in_px(piece, self._spec.display_px())
        self._are_shares = piece.normalised
        if piece.normalised and self._wants_samples:
            raise GeometryError(
                f"{piece.path}: positions are shares of a display or surface whose size in px the "
                "export does not tell; for a table of samples pass --screen, e.g. 1920x1080, or, "
                "where an image fills the surface, --placement fill --images FOLDER"
            )
        self._told |= told
        self.placements = {**piece.placements, **self._told}
        skipped = Counter(piece.skipped)
        cut_off = skipped.pop(CUT_OFF, 0)
        self._summary.skipped_rows.update(skipped)
        self._summary.vendor_fixations += len(piece.fixations)
        self._vendors += len(piece.fixations)
        for table in (piece.samples, piece.fixations):
            self._trials |= set(table["trial"].unique()) - {0}
        if piece.samples.empty:
            self._take_ready_made(piece)
        else:
            self._count_samples(piece)
            yield from self._labelled(piece.samples)
        if piece.is_over:
            yield from self._rest()
        if self._by_vendor:
            self._summary.fixations_cut_off += cut_off
            self._saccades_told.append(piece.saccades)
            self._blinks_told.append(piece.blinks)
        if self._by_vendor and not piece.samples.empty:
            gaze = events.smoothed_gaze(piece.samples)
            self._keep(piece.fixations, piece.samples, gaze, _VENDOR_MIN_PART_MS)

    def finish(self) -> Iterator[pd.DataFrame]:
        """Give the rest."""
        self._summary.trials += len(self._trials)
        self._summary.recordings_in_shares += self._are_shares
        yield from self._rest()
        if self._by_vendor:
            unasked = self._cannot_detect is not None and not self._wants_vendor
            why = ", as ours needs --screen with mm" if unasked else ""
            self._summary.source[f"vendor{why}"] += self._vendors

    def complaint(self) -> GazeToolsError | None:
        """Say why there are no fixations, if they are to be the vendor's and it has none."""
        if not self._by_vendor or self._vendors:
            return None
        if self._cannot_detect is not None and self._spec.events != "vendor":
            return self._cannot_detect
        return FormatError(
            f"{self._path}: has no fixations of the vendor's own; export them too (in "
            "Tobii Pro Lab 'Eye movement type' and 'Gaze event duration'), or use --events ivt"
        )

    def fixations(self) -> pd.DataFrame:
        """Return all fixations of the recording, a FIXATIONS table."""
        table = _concatenated(self._fixations, FIXATIONS)
        return _as_shares(table) if self._are_shares else table

    def saccades(self) -> pd.DataFrame:
        """Return all saccades of the recording, a SACCADES table; empty if not wanted."""
        table = _concatenated(self._taken(self._saccades, self._saccades_told), SACCADES)
        ends = [f"{end}_{axis}_px" for end in ("start", "end") for axis in "xy"]
        return table.assign(**dict.fromkeys(ends, np.nan)) if self._are_shares else table

    def blinks(self) -> pd.DataFrame:
        """Return all blinks of the recording, a BLINKS table; empty if not wanted."""
        return _concatenated(self._taken(self._blinks, self._blinks_told), BLINKS)

    def _taken(self, found: list[pd.DataFrame], told: list[pd.DataFrame]) -> list[pd.DataFrame]:
        """Choose the vendor's events where its fixations are taken, unless it lists none of them.

        Asked for the vendor's, it is the vendor's nevertheless.
        """
        lists_some = any(len(table) for table in told)
        return told if self._by_vendor and (lists_some or self._spec.events == "vendor") else found

    def _take_ready_made(self, piece: Recording) -> None:
        if self._spec.events == "ivt":
            raise FormatError(
                f"{self._path}: holds fixations only, no raw samples to detect events in; "
                "use --events vendor or auto"
            )
        self._by_vendor = True
        self._fixations.append(piece.fixations)

    def _labelled(self, samples: pd.DataFrame) -> Iterator[pd.DataFrame]:
        """Give samples whose events are settled; without labels if there can be none."""
        if self._cannot_detect is None:
            try:
                for stretch in self._detection.add(samples):
                    yield self._use(stretch)
            except GeometryError as error:
                if self._spec.events == "ivt":
                    raise
                # the vendor may have known more than was exported
                self._cannot_detect = error
                self._by_vendor = True
                samples = self._detection.held()
        if self._cannot_detect is not None:
            yield SAMPLES.conform(samples.assign(event=None, event_index=0))

    def _rest(self) -> Iterator[pd.DataFrame]:
        if self._cannot_detect is None:
            for stretch in self._detection.finish():
                yield self._use(stretch)

    def _use(self, stretch: Detected) -> pd.DataFrame:
        _compare_with_vendor(stretch.samples, self._summary)
        if not self._by_vendor:
            eyes = " (eyes assumed at the screen's axis)" if self._detection.assumes_eyes else ""
            self._summary.source[f"{self._profile}{eyes}"] += len(stretch.fixations)
            self._keep(stretch.fixations, stretch.samples, stretch.gaze, self._least_ms)
        self._saccades.append(stretch.saccades)
        self._blinks.append(stretch.blinks)
        return stretch.samples

    def _keep(
        self,
        fixations: pd.DataFrame,
        samples: pd.DataFrame,
        gaze: NDArray[np.float64],
        min_part_ms: float,
    ) -> None:
        """Cut fixations at the borders of trials; leave out parts that are too short to be any."""
        if fixations.empty:
            return
        parts = cut_at_trials(fixations, samples, gaze)
        short = too_short(parts, min_part_ms)
        self._summary.fixations_cut += len(fixations) - int(parts["whole"].sum())
        self._summary.fixations_dropped["cut short by a change of stimulus"] += int(short.sum())
        self._fixations.append(parts[~short].drop(columns=["first_row", "last_row", "whole"]))

    def _count_samples(self, piece: Recording) -> None:
        samples, counts = piece.samples, self._summary.samples
        if len(samples) > 1 and not self._has_rate:
            self._has_rate = True
            interval_us = sample_interval_us(samples["tracker_time_us"].to_numpy(np.int64))
            self._summary.rates_hz.append(1e6 / interval_us)
        x, y = samples["x_px"].to_numpy(), samples["y_px"].to_numpy()
        seen = ~np.isnan(x)
        counts["read"] += len(samples)
        counts["missing"] += int((~seen).sum())
        screen_px = piece.screen_px or self._spec.display_px()
        if screen_px is not None:
            counts["off screen"] += int((seen & ~inside(x, y, *screen_px)).sum())
        code, names = pd.factorize(samples["stimulus"])
        places = [self.placements.get(name) for name in names]
        # the last is what code -1 takes
        rectangles = np.array(
            [
                (p.x_px, p.y_px, p.width_px, p.height_px) if p else (np.nan,) * 4
                for p in (*places, None)
            ]
        )
        left, top, width, height = rectangles.T[:, code]
        off = seen & ~np.isnan(width) & ~inside(x - left, y - top, width, height)
        counts["off image"] += int(off.sum())


def _concatenated(tables: list[pd.DataFrame], schema: Schema) -> pd.DataFrame:
    some = [table for table in tables if len(table)]
    table = pd.concat(some, ignore_index=True) if some else schema.empty()
    table = table.drop(columns=["first_row", "last_row"], errors="ignore")
    if schema is not FIXATIONS:
        return table.drop(columns="order", errors="ignore")
    return table.assign(order=np.arange(1, len(table) + 1))  # each stretch counted its own


def _whole_images(told: dict[str, Placement]) -> dict[str, Placement]:
    """Let each image be a display of its own."""
    return {
        name: Placement(0, 0, p.image_width, p.image_height, p.image_width, p.image_height)
        for name, p in told.items()
    }


def _in_image_px(piece: Recording, told: dict[str, Placement]) -> Recording:
    """Turn shares of a surface that is filled by its image into px of the image."""
    sizes = pd.DataFrame(
        [(place.image_width, place.image_height) for place in told.values()],
        index=list(told),
        dtype=float,
    )
    tables = {}
    for name in WITH_POSITIONS:
        table = getattr(piece, name)
        width, height = sizes.reindex(table["stimulus"]).to_numpy().T
        tables[name] = scaled(table, width, height)
    return replace(piece, **tables, normalised=False)


def _as_shares(fixations: pd.DataFrame) -> pd.DataFrame:
    """Put shares where they can stand: on an image of 1 x 1."""
    return FIXATIONS.conform(
        fixations.assign(
            x_im=fixations["x_px"],
            y_im=fixations["y_px"],
            image_width=1,
            image_height=1,
            x_px=np.nan,
            y_px=np.nan,
        )
    )


def _compare_with_vendor(samples: pd.DataFrame, summary: IngestSummary) -> None:
    if "vendor_event" in samples and samples["vendor_event"].notna().any():
        agree = (samples["event"] == "fixation") == (samples["vendor_event"] == "fixation")
        summary.samples_compared += len(agree)
        summary.samples_agreeing += int(agree.sum())
