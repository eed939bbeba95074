"""How fast, and in how much memory, a long Tobii Pro Lab export becomes fixations.

    python examples/bench_ingest.py                2 million rows, 40 columns
    python examples/bench_ingest.py --all-columns  101, as Pro Lab 24 exports
    python examples/bench_ingest.py --rows 200000 --json

Each side runs in a process of its own on the same file: `gazetools ingest`, from the export
to the Parquet file; and pandas' C reader over all columns followed by a bare velocity
threshold in numpy, which is the least that a notebook does.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

RATE_HZ = 300
# with it, every run would compile our sources anew, which no installed package does
_ENVIRONMENT = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}

NOTEBOOK = """
import sys
import numpy as np
import pandas as pd
table = pd.read_csv(sys.argv[1], sep="\\t", low_memory=False)
table = table[table["Sensor"] == "Eye Tracker"]
x = (table["Gaze point left X [DACS mm]"] + table["Gaze point right X [DACS mm]"]).to_numpy() / 2
y = (table["Gaze point left Y [DACS mm]"] + table["Gaze point right Y [DACS mm]"]).to_numpy() / 2
t = table["Eyetracker timestamp [us]"].to_numpy() / 1e6
step = np.hypot(x[6:] - x[:-6], y[6:] - y[:-6])
velocity = np.degrees(np.arctan2(step, 650.0)) / (t[6:] - t[:-6])
fixating = np.flatnonzero(np.diff((velocity < 30).astype(int)))
print(len(fixating) // 2)
"""


class Looking:
    """Looks of 100 to 500 ms with noise, lost eyes and blinks."""

    def __init__(self, rows: int, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.rows = rows
        self.time_us = np.arange(rows) * 1_000_000 // RATE_HZ
        self.lengths = self.rng.integers(30, 150, rows // 30 + 1)
        self.look = np.repeat(np.arange(len(self.lengths)), self.lengths)[:rows]
        self.x_mm = self.rng.uniform(60, 460, len(self.lengths))[self.look]
        self.y_mm = self.rng.uniform(40, 250, len(self.lengths))[self.look]
        self.lost = dict(zip(("left", "right"), self.rng.random((2, rows)) < 0.002, strict=True))
        begins = self.rng.random(rows) < 1 / (RATE_HZ * 4)
        self.blink = np.convolve(begins, np.ones(45), "same") > 0

    def noise(self, sd: float = 0.3) -> np.ndarray:
        return self.rng.normal(0, sd, self.rows)

    def seen(self, values: np.ndarray, lost: np.ndarray, decimals: int) -> pa.Array:
        return pa.array(np.round(values, decimals), mask=lost | self.blink)

    def always(self, text: str) -> pa.Array:
        codes = np.zeros(self.rows, np.int32)
        return pa.DictionaryArray.from_arrays(codes, [text]).cast(pa.string())

    def never(self) -> pa.Array:
        return pa.nulls(self.rows, pa.string())


def usual_columns(looking: Looking) -> dict[str, pa.Array]:
    """Forty columns: who, when, gaze and pupil of both eyes, and what was shown."""
    both_lost = looking.lost["left"] & looking.lost["right"]
    columns = {
        "Recording timestamp [us]": pa.array(looking.time_us),
        "Computer timestamp [us]": pa.array(looking.time_us + 5_000_000),
        "Sensor": looking.always("Eye Tracker"),
        "Project name": looking.always("bench"),
        "Export date": looking.always("22.11.2026"),
        "Participant name": looking.always("P01"),
        "Recording name": looking.always("Recording1"),
        "Recording Fixation filter name": looking.always("Tobii I-VT (Fixation)"),
        "Recording resolution width [px]": looking.always("1920"),
        "Recording resolution height [px]": looking.always("1080"),
        "Eyetracker timestamp [us]": pa.array(looking.time_us + 9_000_000),
        "Event": looking.never(),
        "Event value": looking.never(),
        "Gaze point X [DACS px]": looking.seen(looking.x_mm / 0.275, both_lost, 0),
        "Gaze point Y [DACS px]": looking.seen(looking.y_mm / 0.275, both_lost, 0),
    }
    columns |= eye_columns(looking, "left", -30.0) | eye_columns(looking, "right", 30.0)
    trial = (np.arange(looking.rows) // (RATE_HZ * 6)).astype(str)
    return columns | {
        "Presented Stimulus name": pa.array(np.char.add("image", trial)),
        "Presented Media name": pa.array(np.char.add("image", trial)),
        "Presented Media position X [DACS px]": looking.always("460"),
        "Presented Media position Y [DACS px]": looking.always("40"),
        "Presented Media width [px]": looking.always("1000"),
        "Presented Media height [px]": looking.always("1000"),
        "Unnamed": looking.never(),
    }


def eye_columns(looking: Looking, eye: str, shift_mm: float) -> dict[str, pa.Array]:
    """Gaze, pupil, validity and position of one eye."""
    lost = looking.lost[eye]
    x_mm, y_mm = looking.x_mm + looking.noise(), looking.y_mm + looking.noise()
    position_mm = {"X": 264 + shift_mm, "Y": 150, "Z": 650}
    return {
        f"Gaze point {eye} X [DACS px]": looking.seen(x_mm / 0.275, lost, 0),
        f"Gaze point {eye} Y [DACS px]": looking.seen(y_mm / 0.275, lost, 0),
        f"Pupil diameter {eye} [mm]": looking.seen(3 + looking.noise(0.05), lost, 3),
        f"Validity {eye}": pa.array(np.where(lost | looking.blink, "Invalid", "Valid")),
        **{
            f"Eye position {eye} {axis} [DACS mm]": looking.seen(at + looking.noise(), lost, 1)
            for axis, at in position_mm.items()
        },
        f"Gaze point {eye} X [DACS mm]": looking.seen(x_mm, lost, 2),
        f"Gaze point {eye} Y [DACS mm]": looking.seen(y_mm, lost, 2),
    }


def further_columns(looking: Looking) -> dict[str, pa.Array]:
    """What else Pro Lab 24 exports; with columns that are empty, 61 of them.

    What is known of the recording as a whole, directions of gaze, and the vendor's own events.
    """
    columns = {f"Recording {what}": looking.always("22.11.2026") for what in ("date", "date UTC")}
    columns |= {
        f"Recording start time{zone}": looking.always("14:39:57.651") for zone in ("", " UTC")
    }
    columns |= {
        f"Average {when} {what} [{unit}]": looking.always("1.25")
        for when in ("calibration", "validation")
        for what in ("accuracy", "precision SD", "precision RMS")
        for unit in ("mm", "deg", "px")
    }
    for eye, lost in looking.lost.items():
        columns[f"Eye openness {eye} [mm]"] = looking.seen(9 + looking.noise(0.05), lost, 3)
        for axis, towards in (("X", 0.05), ("Y", 0.15), ("Z", -0.98)):
            name = f"Gaze direction {eye} {axis} [DACS norm]"
            columns[name] = looking.seen(towards + looking.noise(0.001), lost, 5)
    look, blink = looking.look, looking.blink
    columns |= {
        "Eye movement type": pa.array(np.where(blink, "EyesNotFound", "Fixation")),
        "Eye movement event duration [ms]": pa.array(looking.lengths[look] * 1000 // RATE_HZ),
        "Eye movement type index": pa.array(look + 1),
        "Fixation point X [DACS px]": pa.array(np.round(looking.x_mm / 0.275), mask=blink),
        "Fixation point Y [DACS px]": pa.array(np.round(looking.y_mm / 0.275), mask=blink),
    }
    return columns | {f"AOI hit {i}": looking.never() for i in range(61 - len(columns))}


def write_export(path: Path, rows: int, *, all_columns: bool = False, seed: int = 0) -> None:
    """Write an export; all columns are as many bytes a row as in one of Pro Lab 24."""
    looking = Looking(rows, seed)
    columns = usual_columns(looking)
    if all_columns:
        columns |= further_columns(looking)
    options = pacsv.WriteOptions(delimiter="\t", quoting_style="none")
    pacsv.write_csv(pa.table(columns), path, options)


def timed(command: list[str]) -> dict[str, float]:
    """Wall and CPU seconds and peak memory of a process."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=_ENVIRONMENT)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{command[0]} failed")
    return {
        "s": time.perf_counter() - began,
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "peak_mb": usage.ru_maxrss / 1024,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--all-columns", action="store_true")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        export, out = Path(folder) / "export.tsv", Path(folder) / "fixations.parquet"
        # in a process of its own: the peak of a child counts what its parent held when it forked
        writer = get_context("spawn").Process(
            target=write_export,
            args=(export, arguments.rows),
            kwargs={"all_columns": arguments.all_columns},
        )
        writer.start()
        writer.join()
        gazetools = [str(Path(sys.executable).with_name("gazetools")), "ingest", str(export)]
        ours = [timed([*gazetools, "-o", str(out), "--overwrite"]) for _ in range(3)]
        theirs = timed([sys.executable, "-c", NOTEBOOK, str(export)])
        size_mb = export.stat().st_size / 2**20
    best = min(ours, key=lambda run: run["s"])
    facts = {
        "rows": arguments.rows,
        "columns": 101 if arguments.all_columns else 40,
        "file_mb": size_mb,
        "ingest_s": best["s"],
        "ingest_first_call_s": ours[0]["s"],
        "ingest_cpu_s": min(run["cpu_s"] for run in ours),
        "ingest_peak_mb": max(run["peak_mb"] for run in ours),
        "ingest_rows_per_s": arguments.rows / best["s"],
        "pandas_s": theirs["s"],
        "pandas_cpu_s": theirs["cpu_s"],
        "pandas_peak_mb": theirs["peak_mb"],
        "ratio": theirs["s"] / best["s"],
    }
    if arguments.json:
        print(json.dumps(facts))
    else:
        for name, value in facts.items():
            print(f"{name:<20} {value:>12,.2f}")


if __name__ == "__main__":
    main()
