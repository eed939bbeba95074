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


def write_export(path: Path, rows: int, *, all_columns: bool = False, seed: int = 0) -> None:
    """Write an export with looks of 100 to 500 ms, noise, lost eyes and blinks.

    All columns are as many, with as many of them empty and as many bytes a row, as in an export of
    Pro Lab 24: besides the 40 what is known of the recording as a whole, directions of gaze, and
    the vendor's own events.
    """
    rng = np.random.default_rng(seed)
    time_us = np.arange(rows) * 1_000_000 // RATE_HZ
    lengths = rng.integers(30, 150, rows // 30 + 1)
    look = np.repeat(np.arange(len(lengths)), lengths)[:rows]
    x_mm, y_mm = rng.uniform(60, 460, len(lengths))[look], rng.uniform(40, 250, len(lengths))[look]
    trial = np.arange(rows) // (RATE_HZ * 6)
    left_lost, right_lost = rng.random((2, rows)) < 0.002
    blink = np.convolve(rng.random(rows) < 1 / (RATE_HZ * 4), np.ones(45), "same") > 0

    def seen(values: np.ndarray, lost: np.ndarray, decimals: int) -> pa.Array:
        return pa.array(np.round(values, decimals), mask=lost | blink)

    def noise(sd: float = 0.3) -> np.ndarray:
        return rng.normal(0, sd, rows)

    def constant(text: str) -> pa.Array:
        return pa.DictionaryArray.from_arrays(np.zeros(rows, np.int32), [text]).cast(pa.string())

    nothing = pa.nulls(rows, pa.string())
    columns = {
        "Recording timestamp [us]": pa.array(time_us),
        "Computer timestamp [us]": pa.array(time_us + 5_000_000),
        "Sensor": constant("Eye Tracker"),
        "Project name": constant("bench"),
        "Export date": constant("22.11.2026"),
        "Participant name": constant("P01"),
        "Recording name": constant("Recording1"),
        "Recording Fixation filter name": constant("Tobii I-VT (Fixation)"),
        "Recording resolution width [px]": constant("1920"),
        "Recording resolution height [px]": constant("1080"),
        "Eyetracker timestamp [us]": pa.array(time_us + 9_000_000),
        "Event": nothing,
        "Event value": nothing,
        "Gaze point X [DACS px]": seen(x_mm / 0.275, left_lost & right_lost, 0),
        "Gaze point Y [DACS px]": seen(y_mm / 0.275, left_lost & right_lost, 0),
    }
    for eye, lost, shift in (("left", left_lost, -30.0), ("right", right_lost, 30.0)):
        gaze = (x_mm + noise(), y_mm + noise())
        columns |= {
            f"Gaze point {eye} X [DACS px]": seen(gaze[0] / 0.275, lost, 0),
            f"Gaze point {eye} Y [DACS px]": seen(gaze[1] / 0.275, lost, 0),
            f"Pupil diameter {eye} [mm]": seen(3 + noise(0.05), lost, 3),
            f"Validity {eye}": pa.array(np.where(lost | blink, "Invalid", "Valid")),
            f"Eye position {eye} X [DACS mm]": seen(264 + shift + noise(), lost, 1),
            f"Eye position {eye} Y [DACS mm]": seen(150 + noise(), lost, 1),
            f"Eye position {eye} Z [DACS mm]": seen(650 + noise(), lost, 1),
            f"Gaze point {eye} X [DACS mm]": seen(gaze[0], lost, 2),
            f"Gaze point {eye} Y [DACS mm]": seen(gaze[1], lost, 2),
        }
    columns |= {
        "Presented Stimulus name": pa.array(np.char.add("image", trial.astype(str))),
        "Presented Media name": pa.array(np.char.add("image", trial.astype(str))),
        "Presented Media position X [DACS px]": constant("460"),
        "Presented Media position Y [DACS px]": constant("40"),
        "Presented Media width [px]": constant("1000"),
        "Presented Media height [px]": constant("1000"),
        "Unnamed": nothing,
    }
    if all_columns:
        columns |= {f"Recording {what}": constant("22.11.2026") for what in ("date", "date UTC")}
        columns |= {
            f"Recording start time{zone}": constant("14:39:57.651") for zone in ("", " UTC")
        }
        columns |= {
            f"Average {when} {what} [{unit}]": constant("1.25")
            for when in ("calibration", "validation")
            for what in ("accuracy", "precision SD", "precision RMS")
            for unit in ("mm", "deg", "px")
        }
        for eye, lost in (("left", left_lost), ("right", right_lost)):
            columns[f"Eye openness {eye} [mm]"] = seen(9 + noise(0.05), lost, 3)
            for axis, towards in (("X", 0.05), ("Y", 0.15), ("Z", -0.98)):
                name = f"Gaze direction {eye} {axis} [DACS norm]"
                columns[name] = seen(towards + noise(0.001), lost, 5)
        columns |= {
            "Eye movement type": pa.array(np.where(blink, "EyesNotFound", "Fixation")),
            "Eye movement event duration [ms]": pa.array(lengths[look] * 1000 // RATE_HZ),
            "Eye movement type index": pa.array(look + 1),
            "Fixation point X [DACS px]": pa.array(np.round(x_mm / 0.275), mask=blink),
            "Fixation point Y [DACS px]": pa.array(np.round(y_mm / 0.275), mask=blink),
        }
        columns |= {f"AOI hit {i}": nothing for i in range(101 - len(columns))}
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
