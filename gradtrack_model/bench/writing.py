"""Results as Markdown for people, CSV for spreadsheets, JSON with everything, and a figure."""

import json
import math
import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from gazetools.errors import OutputError
from gazetools.files import replacing
from gradtrack_model import runs
from gradtrack_model.bench.figure import draw_figure, has_matplotlib
from gradtrack_model.bench.results import (
    BEST,
    LAST,
    Results,
    RowResult,
    RunResult,
)
from gradtrack_model.bench.table import Row
from gradtrack_model.comparison import Spread

FORMAT, VERSION = "gradtrack-bench", 1
CHOSEN_ON_TEST = "best_on_test"
MEASURES = ("dice", "iou", "hd95_px", "nsd")
STEM = "table"
NOTHING = "–"


def write_results(results: Results, out: Path) -> list[Path]:
    """Write table.md, .csv, .json and, where a run is done and matplotlib is there, .svg and .png.

    What is there is replaced.

    Raises
    ------
    OutputError
        The folder cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{out}: cannot be made ({error.strerror})") from error
    files = [out / f"{STEM}.{end}" for end in ("md", "csv", "json")]
    with replacing(files[0], overwrite=True) as temporary:
        temporary.write_text(to_markdown(results), encoding="utf-8", newline="\n")
    runs.write_csv(files[1], [_record(row, results) for row in results.rows], overwrite=True)
    runs.write_json(files[2], to_json(results), overwrite=True)
    if has_matplotlib() and any(row.runs for row in results.rows):
        files += draw_figure(results, out / STEM)
    return files


# ---------------------------------------------------------------- CSV and JSON


def _record(row: RowResult, results: Results) -> dict[str, Any]:
    """Return a row as one flat record; Dice, IoU and NSD are shares, HD95 is in pixels."""
    difference, facts = row.difference, row.runs[0].summary if row.runs else {}
    return {
        "row": row.row.name,
        "cache": row.row.cache,
        "teacher": row.row.teacher,
        "changes": _settings(row.row.changes),
        "split": results.table.split,
        "n_images": row.images,
        "n_seeds": len(row.runs),
        "missing_seeds": len(results.table.seeds) - len(row.runs),
        **_measured(row),
        "baseline": results.table.baseline,
        "compared": results.table.compared,
        "difference": difference and difference.mean,
        "difference_low": difference and difference.low,
        "difference_high": difference and difference.high,
        "p": difference and difference.p,
        "iterations": row.row.config.iterations,
        "minutes": row.minutes,
        "parameters": facts.get("parameters"),
        "cache_sha256": " ".join(dict.fromkeys(run.cache_sha256 for run in row.runs)) or None,
    }


def _measured(row: RowResult) -> dict[str, float | None]:
    columns = [(checkpoint, measure) for checkpoint in (BEST, LAST) for measure in MEASURES]
    columns.append((CHOSEN_ON_TEST, "dice"))
    record: dict[str, float | None] = {}
    for checkpoint, measure in columns:
        mean, sd = row.spread(checkpoint, measure) or (math.nan, math.nan)
        name = f"{checkpoint}_{measure}"
        record |= {f"{name}_mean": _defined(mean), f"{name}_sd": _defined(sd)}
    return record


def to_json(results: Results) -> dict[str, Any]:
    """Return everything: settings, caches, machines, times and scores of every run."""
    table = results.table
    return {
        "format": FORMAT,
        "version": VERSION,
        "title": table.title,
        "preset": table.preset,
        "settings": table.settings,
        "seeds": table.seeds,
        "split": table.split,
        "baseline": table.baseline,
        "caches": {name: shlex.join(options) for name, options in table.rendered.items()},
        "missing_runs": results.missing,
        "rows": [
            {
                **_record(row, results),
                "config": {k: v for k, v in row.row.config.to_dict().items() if k != "seed"},
                "recipe": row.runs[0].summary["recipe"] if row.runs else None,
                "runs": [_run(run) for run in row.runs],
            }
            for row in results.rows
        ],
    }


def _run(run: RunResult) -> dict[str, Any]:
    measures = (*MEASURES, "heatmap_dice")
    scores = {
        checkpoint: {measure: _defined(scores.mean(measure)) for measure in measures}
        for checkpoint, scores in run.scores.items()
    }
    facts = {key: value for key, value in run.summary.items() if key != "recipe"}
    return {"seed": run.seed, "scores": scores, **facts, "environment": run.environment}


def _defined(value: float) -> float | None:
    return None if math.isnan(value) else value


# ---------------------------------------------------------------- Markdown


def to_markdown(results: Results) -> str:
    """Return the table, and below it what one must know to read it."""
    columns = _columns(results)
    lines = [f"# {results.table.title}", "", _state(results), ""]
    lines += [_line(columns), _line("---:" if i > 2 else "---" for i in range(len(columns)))]
    lines += [_line(cell(row) for cell in columns.values()) for row in results.rows]
    return "\n".join([*lines, "", *(f"- {note}" for note in _notes(results)), ""])


def _columns(results: Results) -> dict[str, Callable[[RowResult], str]]:
    main = results.table.compared
    other = BEST if main == LAST else LAST
    columns: dict[str, Callable[[RowResult], str]] = {
        "row": lambda row: row.row.name,
        "cache": lambda row: row.row.cache,
        "settings": lambda row: _settings(_entries(row.row)).replace("|", "\\|") or NOTHING,
        "seeds": lambda row: str(len(row.runs)),
        "Dice, %": lambda row: _spread(row.spread(main, "dice"), 100, 2),
        "IoU, %": lambda row: _spread(row.spread(main, "iou"), 100, 2),
        "HD95, px": lambda row: _spread(row.spread(main, "hd95_px"), 1, 1),
        "NSD, %": lambda row: _spread(row.spread(main, "nsd"), 100, 2),
        f"{other}: Dice, %": lambda row: _spread(row.spread(other, "dice"), 100, 2),
    }
    if _chosen_on_test(results):
        columns["chosen on test, for comparison with papers: Dice, %"] = lambda row: _spread(
            row.spread(CHOSEN_ON_TEST, "dice"), 100, 2
        )
    if results.table.baseline is not None:
        columns[f"Dice against {results.table.baseline}, points [95 %]"] = _difference
        columns["p"] = lambda row: _p(row.difference.p) if row.difference else NOTHING
    columns["iterations"] = lambda row: f"{row.row.config.iterations:,}"
    columns["minutes"] = lambda row: NOTHING if row.minutes is None else f"{row.minutes:.1f}"
    columns["parameters"] = lambda row: (
        f"{row.runs[0].summary['parameters']:,}" if row.runs else NOTHING
    )
    return columns


def _state(results: Results) -> str:
    table = results.table
    total = len(table.rows) * len(table.seeds)
    images = max(row.images for row in results.rows)
    measured = f" on {images:,} images of split {table.split}" if images else ""
    missing = f"; **{results.missing} are missing**" if results.missing else ""
    return f"{total - results.missing} of {total} runs are done{measured}{missing}."


def _notes(results: Results) -> list[str]:
    table, done = results.table, [run for row in results.rows for run in row.runs]
    notes = [
        "Mean ± standard deviation over seeds of the mean over images, at original mask size; "
        f"the {table.compared} checkpoint if not said otherwise.",
        f"Best: with the highest validation score ({_selection(done)})"
        + (", on these very images. " if table.split == "val" else ". ")
        + "Last: after the last iteration, nothing selected.",
    ]
    if _chosen_on_test(results):
        notes.append(
            "Chosen on test: the best of the kept checkpoints on the very images it is measured "
            "on, as published tables have it; too good by construction."
        )
    if table.baseline is not None:
        notes.append(
            f"Against {table.baseline}: mean difference of the images' Dice, each averaged over "
            "the seeds that both have; interval and p by paired bootstrap over images, of these "
            "very runs: how much a method varies with its seed is the ± alone. p is not corrected "
            "for the number of rows."
        )
    heat = {f"{100 * run.scores[BEST].mean('heatmap_dice'):.2f}" for run in done} - {"nan"}
    if len(heat) == 1:
        notes.append(f"Without a network, but with gaze: heatmap > 0.5, Dice {heat.pop()} %.")
    notes.append(f"All rows: preset {table.preset}" + _after_comma(_settings(table.settings)) + ".")
    notes += [
        f"Cache {name}: `{shlex.join(['gazetools', 'render', *options])}`"
        for name, options in table.rendered.items()
    ]
    if any(row.row.teacher for row in results.rows):
        notes.append(
            "With a teacher: learns from pseudo-masks that gaze and the teacher's best checkpoint "
            "of the same seed made together; its minutes are its own, without those of the teacher."
        )
    machines = Counter(_machine(run) for run in done)
    notes += [f"{count} of the runs: {machine}." for machine, count in machines.items()]
    return notes


def _chosen_on_test(results: Results) -> bool:
    return any(row.spread(CHOSEN_ON_TEST, "dice") for row in results.rows)


def _selection(done: Sequence[RunResult]) -> str:
    against = {"masks": "against masks", "pseudo": "against pseudo-masks", "none": "none: the last"}
    found = sorted({against[run.summary["selected_on"]] for run in done})
    return "; ".join(found) or "of no run yet"


def _machine(run: RunResult) -> str:
    about = run.environment
    processes = about.get("processes", 1)
    several = f"{processes} processes of " if processes > 1 else ""
    return f"{about['device']}, {several}{about['threads']} threads, torch {about['torch']}"


def _spread(spread: Spread | None, scale: float, digits: int) -> str:
    if spread is None:
        return NOTHING
    mean, sd = (f"{scale * value:.{digits}f}" for value in spread)
    return mean if math.isnan(spread.sd) else f"{mean} ± {sd}"


def _difference(row: RowResult) -> str:
    if row.difference is None:
        return NOTHING
    mean, low, high = (100 * getattr(row.difference, key) for key in ("mean", "low", "high"))
    return f"{mean:+.2f} [{low:+.2f}, {high:+.2f}]"


def _p(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _settings(settings: dict[str, Any]) -> str:
    return ", ".join(f"{name} = {json.dumps(value)}" for name, value in settings.items())


def _entries(row: Row) -> dict[str, Any]:
    return row.changes if row.teacher is None else {"teacher": row.teacher, **row.changes}


def _after_comma(text: str) -> str:
    return f", {text}" if text else ""


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
