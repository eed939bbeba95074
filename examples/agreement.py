"""How well detected fixations agree with the vendor's, over all real exports of a folder.

    python examples/agreement.py path/to/exports
    python examples/agreement.py path/to/exports --json

Every export that holds raw samples and the vendor's own fixations is ingested as
`gazetools ingest` would do it. Where an export does not tell where the eyes were, a usual
screen is assumed, on which px are as many degrees as the vendor's saccades say, if it lists any;
and the row says so. Beside it stands pymovements' I-VT (30 deg/s, 60 ms)
on the same gaze, where pymovements is installed.

within 1: vendor fixations whose first and last sample ours meets to one sample; exact: to none.
A detector of another kind than the vendor's cannot meet its borders: Gazepoint's looks at
dispersion; how EyeLink's parser filters gaze and ends saccades is not published.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from gazetools.errors import GazeToolsError
from gazetools.geometry import Screen
from gazetools.ingestion import IngestSpec, ingest
from gazetools.readers import Recording, read

USUAL_MM_PER_PX, USUAL_DISTANCE_MM = 0.2745, 650.0
PROFILE_OF_OTHERS = "olsen2012"


@dataclass(frozen=True)
class Agreement:
    """What is compared, of one file."""

    file: str
    format: str
    eyes: str
    detector: str
    samples: int
    agree: float
    kappa: float
    vendor: int
    ours: int
    within_1: int
    exact: int


def runs(is_fixation: np.ndarray, index: np.ndarray) -> np.ndarray:
    """First and last sample of each fixation, (m, 2)."""
    label = np.where(is_fixation, index, -1)
    starts = np.flatnonzero(np.diff(label, prepend=-2) != 0)
    ends = np.append(starts[1:], len(label)) - 1
    kept = label[starts] >= 0
    return np.column_stack([starts[kept], ends[kept]])


def matched(vendor: np.ndarray, ours: np.ndarray, samples: int) -> int:
    """Count the vendor's fixations that one of ours meets at both ends."""
    if not len(ours):
        return 0
    near = np.abs(vendor[:, None] - ours[None]).max(axis=2) <= samples
    return int(near.any(axis=1).sum())


def compare(name: str, table: pd.DataFrame, found: np.ndarray, index: np.ndarray, **facts: str):
    """Compare fixations of ours, or of another, with the vendor's labels."""
    by_vendor = (table["vendor_event"] == "fixation").to_numpy()
    same = np.mean(by_vendor == found)
    chance = by_vendor.mean() * found.mean() + (1 - by_vendor.mean()) * (1 - found.mean())
    vendor = runs(by_vendor, table["vendor_event_index"].to_numpy())
    ours = runs(found, index)
    return Agreement(
        file=name,
        samples=len(table),
        agree=float(same),
        kappa=float((same - chance) / (1 - chance)) if chance < 1 else 1.0,
        vendor=len(vendor),
        ours=len(ours),
        within_1=matched(vendor, ours, 1),
        exact=matched(vendor, ours, 0),
        **facts,
    )


def screen_of(recording: Recording) -> Screen:
    """The display as the export tells it, by its gaze in px and mm and the eyes' distance."""
    samples = recording.samples
    if recording.screen is not None:
        return recording.screen
    width, height = recording.screen_px or (1920, 1080)
    mm_per_px, distance_mm = USUAL_MM_PER_PX, USUAL_DISTANCE_MM
    if {"left_eye_z_mm", "left_x_mm", "left_x_px"} <= set(samples):
        told = float((samples["left_x_mm"] / samples["left_x_px"]).median())
        distance = float(samples["left_eye_z_mm"].median())
        if np.isfinite([told, distance]).all():
            mm_per_px, distance_mm = told, distance
    elif (px_per_deg := px_of_a_degree(recording.saccades)) > 0:
        mm_per_px = distance_mm * np.tan(np.radians(1)) / px_per_deg
    return Screen(width, height, width * mm_per_px, height * mm_per_px, distance_mm)


def px_of_a_degree(saccades: pd.DataFrame) -> float:
    """What the vendor's saccades tell by their amplitudes; NaN if they tell none."""
    across = saccades["end_x_px"] - saccades["start_x_px"]
    down = saccades["end_y_px"] - saccades["start_y_px"]
    return float((np.hypot(across, down) / saccades["amplitude_deg"]).median())


def pymovements_ivt(table: pd.DataFrame, screen: Screen) -> tuple[np.ndarray, np.ndarray]:
    """Fixation or not of each sample, and its number, by pymovements' I-VT.

    Each recording is a series of its own; time is counted in samples.
    """
    import pymovements as pm

    found, index = np.zeros(len(table), bool), np.zeros(len(table), int)
    last = 0
    for _, rows in table.groupby(["subject", "recording"], sort=False):
        rate = 1e6 / rows["tracker_time_us"].diff().median()
        gaze = pm.gaze.from_numpy(
            time=np.arange(len(rows)),
            pixel=rows[["x_px", "y_px"]].to_numpy().T - 0.5,
            time_unit="step",
            experiment=pm.Experiment(
                screen_width_px=screen.width_px,
                screen_height_px=screen.height_px,
                screen_width_cm=screen.width_mm / 10,
                screen_height_cm=screen.height_mm / 10,
                distance_cm=screen.distance_mm / 10,
                origin="upper left",
                sampling_rate=rate,
            ),
        )
        gaze.pix2deg()
        gaze.pos2vel(method="neighbors")
        step = 1000 / rate
        gaze.detect("ivt", velocity_threshold=30, minimum_duration=round(60 / step) * step)
        for onset, offset in gaze.events.frame.select("onset", "offset").rows():
            last += 1
            at = rows.index[round(onset / step) : round(offset / step) + 1]
            found[at], index[at] = True, last
    return found, index


def _has_labels(recording: Recording) -> bool:
    samples = recording.samples
    return "vendor_event" in samples and bool((samples["vendor_event"] == "fixation").any())


def agreements(path: Path, name: str, *, with_pymovements: bool) -> Iterator[Agreement]:
    """Compare one export; nothing comes of what has no samples or no labels."""
    recordings = read(path)
    labelled = [r for r in recordings if _has_labels(r)]
    if not labelled:
        return
    screen = screen_of(labelled[0])
    spec = IngestSpec(events="ivt", screen=screen)
    ingested = ingest([path], spec, keep=["samples"])
    table = ingested.samples[ingested.samples["vendor_event"].notna()].reset_index(drop=True)
    source = next(iter(ingested.summary.source), PROFILE_OF_OTHERS)
    facts = {
        "format": labelled[0].format,
        "eyes": "assumed" if "assumed" in source else "told",
    }
    found = (table["event"] == "fixation").to_numpy()
    detector = source.split(" (")[0]
    yield compare(name, table, found, table["event_index"].to_numpy(), detector=detector, **facts)
    if with_pymovements:
        try:
            other = pymovements_ivt(table, screen)
        except Exception as error:  # noqa: BLE001 - whatever it is, the table says so
            print(f"{name}: pymovements: {error}", file=sys.stderr)
        else:
            yield compare(name, table, *other, detector="pymovements ivt", **facts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("exports", type=Path)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    try:
        import pymovements  # noqa: F401
    except ImportError:
        with_pymovements = False
        print("pymovements is not installed: its rows are left out", file=sys.stderr)
    else:
        with_pymovements = True
    rows = []
    for path in sorted(p for p in arguments.exports.rglob("*") if p.is_file()):
        name = path.relative_to(arguments.exports).as_posix()
        try:
            rows += agreements(path, name, with_pymovements=with_pymovements)
        except GazeToolsError as error:
            print(f"{name}: left out: {str(error)[:200]}", file=sys.stderr)
    table = pd.DataFrame(rows)
    if arguments.json:
        print(json.dumps(table.to_dict("records")))
        return
    table["agree"] = (100 * table["agree"]).map("{:.2f} %".format)
    table["kappa"] = table["kappa"].map("{:.3f}".format)
    print(table.to_string(index=False))


if __name__ == "__main__":
    main()
