"""Kill `gradtrack-train` at random moments; say whether the resumed run ends with the same bytes.

    python examples/kill_train.py
    python examples/kill_train.py --kills 100 --cache maps.h5 --set method=gazemedseg

Every kill is a SIGKILL, and what was there goes on with `--resume` until the next one; a run that
was killed before it had a config.json starts anew. When it has come to its end, its weights and
its table must have the bytes of a run that nobody disturbed. All on a CPU. Prints what was
counted; the exit status is 1 if anything was wrong.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from gazetools.masks import PseudoMaskSpec
from gazetools.rendering import RenderSpec, render
from gazetools.splits import SplitSpec
from gazetools.synthetic import CohortSpec, write_cohort
from gazetools.tables import FIXATIONS, write_table

COMMAND = [sys.executable, "-c", "from gazetools_cli.gradtrack import train; train()"]
SAME = ("last.safetensors", "best.safetensors", "metrics.csv")
WRONG = ("failed", "different", "left behind")
COUNTED = ("kills", "before config.json", "while it learned", "compared", *WRONG)
SIZE = 32


def synthetic_cache(folder):
    cohort = write_cohort(folder / "lab", CohortSpec(images=40, width_px=160, height_px=128))
    fixations, out = cohort.folder / "fixations.parquet", folder / "maps.h5"
    write_table(cohort.fixations, fixations, FIXATIONS, provenance={})
    spec = RenderSpec(
        SIZE, masks=PseudoMaskSpec("heatmap"), split=SplitSpec(near_duplicate_bits=-1)
    )
    render(fixations, cohort.images, cohort.masks, out, spec)
    return out


class Training:
    """One command line, in whatever state its run folder is."""

    def __init__(self, cache, options):
        settings = [f"iterations={options.iterations}", "val_every=20", "save_every=7"]
        pairs = [part for setting in [*settings, *options.settings] for part in ("--set", setting)]
        self.new = ["--cache", str(cache), "--preset", "tiny", *pairs]
        self.environment = {**os.environ, "OMP_NUM_THREADS": str(options.threads)}

    def start(self, run):
        begun = (run / "config.json").exists()
        what = ["--resume", str(run)] if begun else [*self.new, "-o", str(run)]
        return subprocess.Popen(
            [*COMMAND, *what, "--device", "cpu"],
            stdout=subprocess.DEVNULL,
            env=self.environment,
        )

    def undisturbed(self, run):
        """Go on to the end; return the seconds."""
        begin = time.monotonic()
        status = self.start(run).wait()
        if status:
            sys.exit(f"{run}: the training ended with status {status}")
        return time.monotonic() - begin


def content(run):
    return {name: (run / name).read_bytes() for name in SAME}


def last_saved(run):
    state = run / "last.pt"
    return state.stat().st_mtime_ns if state.exists() else 0


def torment(training, work, kills, rng):
    """Kill, go on; begin anew whenever one is complete."""
    usual_s = training.undisturbed(work / "calm")
    expected = content(work / "calm")
    counts = dict.fromkeys(COUNTED, 0)
    run = work / "run-0"
    while counts["kills"] < kills and not counts["failed"]:
        before, process = last_saved(run), training.start(run)
        try:
            counts["failed"] += process.wait(rng.uniform(0, usual_s)) != 0
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            counts["kills"] += 1
            counts["before config.json"] += not (run / "config.json").exists()
            counts["while it learned"] += last_saved(run) != before
        if counts["kills"] == kills:
            training.undisturbed(run)
        if process.returncode == 0 or counts["kills"] == kills:
            compare(run, expected, counts)
            run = work / f"run-{counts['compared']}"
    return counts


def compare(run, expected, counts):
    counts["compared"] += 1
    counts["different"] += content(run) != expected
    counts["left behind"] += sum(file.name.startswith(".") for file in run.rglob("*"))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path, help="of `gazetools render`; else one is made")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--iterations", type=int, default=300)
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        cache = options.cache.resolve() if options.cache else synthetic_cache(work)
        counts = torment(Training(cache, options), work, options.kills, random.Random(options.seed))
    print(", ".join(f"{count} {what}" for what, count in counts.items()))
    sys.exit(any(counts[what] for what in WRONG))


if __name__ == "__main__":
    main()
