"""The command `gradtrack-bench`: caches rendered, runs trained and measured, tables written."""

import json
import math
import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gazetools.errors import ConfigError, TrainingError

from .common import (
    FILE,
    JSON,
    SETTINGS,
    one_line_errors,
    print_summary,
    progress_bar,
    type_command,
)
from .gradtrack import DEVICE

if TYPE_CHECKING:
    from gradtrack_model.bench import BenchTable, Outcome, Results, Run
    from gradtrack_model.bench.results import RowResult

SPLIT_FILES = ("train.txt", "val.txt", "test.txt")


@click.command(context_settings=SETTINGS)
@click.argument("table", type=FILE)
@click.option(
    "--data",
    type=FILE,
    help="Folder with images/, masks/, fixations.parquet and, where the split is given, train.txt, "
    "val.txt, test.txt. Not needed for caches that are there.",
)
@click.option("--fixations", type=FILE, help="[default: fixations.parquet in --data]")
@click.option("-o", "--out", type=FILE, help="Folder of all results  [default: name of TABLE]")
@click.option("--only", multiple=True, metavar="ROW", help="Run this row; may be repeated.")
@click.option("--dry-run", is_flag=True, help="List what would be done.")
@DEVICE
@JSON
@one_line_errors
def main(
    table: Path,
    data: Path | None,
    fixations: Path | None,
    out: Path | None,
    only: tuple[str, ...],
    dry_run: bool,
    device: str,
    as_json: bool,
) -> None:
    """Run the benchmark that TABLE, a TOML file, describes, and write its table and figure.

    What is done is skipped and what was interrupted goes on, so the same command may be given
    again, and at once from several processes that share OUT.

    \b
    Examples:
      gradtrack-bench examples/kvasir.toml --data kvasir-seg -o kvasir
      gradtrack-bench examples/kvasir.toml --data kvasir-seg -o kvasir --dry-run
      gradtrack-bench examples/ablation.toml --data kvasir-seg --only reference --device cuda
    """
    from gradtrack_model.bench import collect, planned, read_table, run_bench, write_results
    from gradtrack_model.bench.running import check_same

    plan, out = read_table(table), out or Path(table.stem)
    todo = planned(plan, out, only)
    for run in todo:
        check_same(run)
    if dry_run:
        _show_plan(plan, todo, out, as_json)
        return
    try:
        caches = _caches(plan, todo, out, data, fixations)
        with progress_bar("runs") as show:
            outcome = run_bench(
                plan, caches, out, only=only, device=device, tell=_tell, progress=show
            )
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"{out} holds what was done; the same command goes on") from None
    results = collect(plan, out)
    files = write_results(results, out)
    _show_results(results, outcome, files, as_json)
    if outcome.failed:
        raise TrainingError(
            f"{len(outcome.failed)} of {len(todo)} runs failed, the first: "
            f"{outcome.failed[0][0].name}: {outcome.failed[0][1]}"
        )


def _tell(line: str) -> None:
    click.echo(line, err=True)


# ---------------------------------------------------------------- caches


def _caches(
    plan: "BenchTable",
    todo: tuple["Run", ...],
    out: Path,
    data: Path | None,
    fixations: Path | None,
) -> dict[str, Path]:
    """Return where the caches of the runs lie, after rendering those that are to be rendered."""
    wanted = dict.fromkeys(run.row.cache for run in todo)
    caches = {name: plan.ready[name] for name in wanted if name in plan.ready}
    for name in wanted:
        if name not in caches:
            caches[name] = _cache_file(out, name)
            if data is None:
                _check_there(caches[name], plan.rendered[name])
            else:
                _render(caches[name], plan.rendered[name], data, fixations)
    return caches


def _cache_file(out: Path, name: str) -> Path:
    return out / "caches" / f"{name}.h5"


def _render(path: Path, options: tuple[str, ...], data: Path, fixations: Path | None) -> None:
    """Render a cache; where it is there and nothing has changed, nothing comes of it."""
    inputs = {
        "--fixations": fixations or data / "fixations.parquet",
        "--images": data / "images",
        "--masks": data / "masks",
    }
    given = [str(part) for option in inputs.items() for part in option]
    for name in SPLIT_FILES:
        if (data / name).is_file():
            given += ["--split", str(data / name)]
    with _alone_at(path.parent):
        path.parent.mkdir(exist_ok=True)
        command = ["gazetools", "render", *given, "-o", str(path), "--json", *options]
        summary = json.loads(type_command(command, Path()))
        _options_file(path).write_text(shlex.join(options) + "\n", encoding="utf-8")
    _tell(f"{path}: {summary['items']:,} images, {summary['rendered']:,} of them rendered now")


def _check_there(path: Path, options: tuple[str, ...]) -> None:
    if not path.exists():
        raise ConfigError(f"{path}: not yet rendered; pass --data, the folder to render it from")
    about = _options_file(path)
    before = about.read_text(encoding="utf-8").strip() if about.is_file() else "unknown options"
    if before != (now := shlex.join(options)):
        raise ConfigError(
            f"{path}: was rendered with {before!r}, the table says {now!r}; pass --data to render "
            "it anew, or change the table back"
        )


def _options_file(path: Path) -> Path:
    return path.with_suffix(".options.txt")


@contextmanager
def _alone_at(folder: Path) -> Iterator[None]:
    """Wait until no other gradtrack-bench renders into a folder."""
    from gradtrack_model.bench import claimed

    waiting = False
    while True:
        with claimed(folder) as ours:
            if ours:
                yield
                return
        if not waiting:
            _tell(f"{folder}: another gradtrack-bench is rendering; waiting")
        waiting = True
        time.sleep(1)


# ---------------------------------------------------------------- what is shown


def _show_plan(plan: "BenchTable", todo: tuple["Run", ...], out: Path, as_json: bool) -> None:
    from gradtrack_model.bench import status

    left = [(run, status(run, plan.split)) for run in todo]
    names = dict.fromkeys(run.row.cache for run in todo)
    files = {name: plan.ready.get(name, _cache_file(out, name)) for name in names}
    if as_json:
        facts = [{"row": run.row.name, "seed": run.seed, "todo": what} for run, what in left]
        there = {name: path.exists() for name, path in files.items()}
        click.echo(json.dumps({"out": str(out), "caches": there, "runs": facts}))
        return
    rows = [
        (f"cache {name}", f"{path}{'' if path.exists() else ': to be rendered'}")
        for name, path in files.items()
    ]
    print_summary(
        f"{out}: {sum(what == 'nothing' for _, what in left)} of {len(todo)} runs are done",
        rows + [(run.name, _todo(run, what, plan.split)) for run, what in left],
    )


def _todo(run: "Run", what: str, split: str) -> str:
    config = run.row.config
    train = f"{config.method}, {config.iterations:,} iterations on {run.row.cache}"
    return {
        "train": f"train {train}; measure on {split}",
        "resume": f"go on with {train}; measure on {split}",
        "evaluate": f"measure on {split}",
        "nothing": "done",
    }[what]


def _show_results(results: "Results", outcome: "Outcome", files: list[Path], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(_facts(results, outcome, files)))
        return
    done = len(results.table.rows) * len(results.table.seeds) - results.missing
    rows: list[tuple[str, Any]] = []
    for row in results.rows:
        if spread := row.spread(results.table.compared, "dice"):
            sd = "" if math.isnan(spread.sd) else f" ± {spread.sd:.4f}"
            rows.append((row.row.name, f"Dice {spread.mean:.4f}{sd}{_against(row)}"))
    elsewhere = [run.name for run in outcome.elsewhere]
    print_summary(
        f"{results.table.title}: {done} runs are done on split {results.table.split}",
        [
            *rows,
            ("missing", f"{results.missing} runs" if results.missing else ""),
            ("with another process", ", ".join(elsewhere)),
            ("files", ", ".join(str(file) for file in files)),
        ],
    )


def _against(row: "RowResult") -> str:
    difference = row.difference
    if difference is None:
        return ""
    return f"   {difference.mean:+.4f} [{difference.low:+.4f}, {difference.high:+.4f}]"


def _facts(results: "Results", outcome: "Outcome", files: list[Path]) -> dict[str, Any]:
    compared = results.table.compared
    spreads = {row.row.name: row.spread(compared, "dice") for row in results.rows}
    return {
        "finished": len(outcome.finished),
        "elsewhere": len(outcome.elsewhere),
        "failed": {run.name: reason for run, reason in outcome.failed},
        "missing": results.missing,
        "dice": {name: spread and spread.mean for name, spread in spreads.items()},
        "files": [str(file) for file in files],
    }
