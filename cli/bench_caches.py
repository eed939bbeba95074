"""The caches of `gradtrack-bench`: rendered from options, and from what teachers say.

::

    OUT/caches/<cache>.h5                     and beside it .options.txt: what it was rendered with
    OUT/caches/<row>-seed<k>.h5               of a run with a teacher
    OUT/probabilities/<row>-seed<k>/          what a teacher says of every image, and beside it
                                              .sha256: of which weights and images
"""

import json
import shlex
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gazetools.errors import ConfigError

from .common import progress_bar, type_command

if TYPE_CHECKING:
    from gradtrack_model.bench import BenchTable, Run

SPLIT_FILES = ("train.txt", "val.txt", "test.txt")


@dataclass(frozen=True)
class Caches:
    """Where the caches of a table lie, and what they are made from.

    Attributes
    ----------
    data : Path or None
        Folder to render from; without it only caches that are there can be used.
    descriptions : Path or None
        What is encoded into the caches of runs that read text  [default: in `data`, if there]
    known : dict of str to Path
        The caches that were made or found so far.
    """

    plan: "BenchTable"
    out: Path
    data: Path | None
    fixations: Path | None
    descriptions: Path | None
    device: str
    known: dict[str, Path] = field(default_factory=dict)

    def file(self, run: "Run") -> Path:
        """Return where the cache of a run is, or will be."""
        return self.plan.ready.get(run.cache, self.out / "caches" / f"{run.cache}.h5")

    def check(self, todo: Iterable["Run"]) -> None:
        """Refuse, before anything runs, what could not be rendered in a later round.

        Raises
        ------
        ConfigError
            A cache is not there, nor a folder to render it from, nor the descriptions that a
            run reads.
        """
        for run in todo:
            path = self.file(run)
            if self.data is None and not path.exists():
                raise ConfigError(
                    f"{path}: not yet rendered; pass --data, the folder to render it from"
                )
            if self.data is not None and run.cache not in self.plan.ready and run.reads("text"):
                self._described(self.data)

    def _described(self, data: Path) -> Path:
        descriptions = self.descriptions or data / "descriptions.jsonl"
        if not descriptions.is_file():
            raise ConfigError(
                f"{descriptions}: no such file, and a row reads descriptions; write them with "
                'gazetools describe, name them with --descriptions, or set text = "none"'
            )
        return descriptions

    def make(self, runs: Iterable["Run"]) -> dict[str, Path]:
        """Render what is to be rendered for runs whose teachers are trained.

        Returns
        -------
        dict of str to Path
            All caches so far, those of earlier calls among them.
        """
        runs = tuple(runs)
        reading = {run.cache for run in runs if run.reads("text")}
        for name, run in {run.cache: run for run in runs}.items():
            path = self.file(run)
            if name in self.plan.ready:
                pass
            elif self.data is None:
                self._find(run, path)
            else:
                with _alone_at(path.parent):
                    self._render(run, path, self.data)
                    if name in reading:
                        self._describe(path, self.data)
            self.known[name] = path
        return self.known

    def _options(self, run: "Run") -> tuple[str, ...]:
        return self.plan.rendered[run.row.cache]

    def _rendered_with(self, run: "Run") -> str:
        """Return the options, and whose probabilities: a run's name @ digest of its weights."""
        said = []
        if run.teacher is not None:
            weights = _weights_sha256(run.teacher)[:12]
            said = ["--probabilities", f"{_name(run.teacher)}@{weights}"]
        return shlex.join([*self._options(run), *said])

    def _render(self, run: "Run", path: Path, data: Path) -> None:
        """Render a cache; where it is there and nothing has changed, nothing comes of it."""
        inputs = {
            "--fixations": self.fixations or data / "fixations.parquet",
            "--images": data / "images",
            "--masks": data / "masks",
        }
        given = [str(part) for option in inputs.items() for part in option]
        for name in SPLIT_FILES:
            if (data / name).is_file():
                given += ["--split", str(data / name)]
        path.parent.mkdir(exist_ok=True)
        if run.teacher is not None:
            given += ["--probabilities", str(self._predicted(run.teacher, data / "images"))]
        options = self._options(run)  # the last --fixations is the one that counts
        command = ["gazetools", "render", *given, "-o", str(path), "--json", *options]
        summary = json.loads(type_command(command, Path()))
        _options_file(path).write_text(self._rendered_with(run) + "\n", encoding="utf-8")
        tell(f"{path}: {summary['items']:,} images, {summary['rendered']:,} of them rendered now")

    def _describe(self, path: Path, data: Path) -> None:
        """Encode the descriptions into a cache; if they are there already, nothing comes of it."""
        from gazetools.cache import open_cache
        from gazetools.files import file_sha256

        descriptions = self._described(data)
        with open_cache(path) as cache:
            before = cache.text
        if before is None or before.descriptions_sha256 != file_sha256(descriptions):
            command = ["gazetools", "encode-text", str(descriptions), "--cache", str(path)]
            type_command([*command, "--json"], Path())
            tell(f"{path}: holds the descriptions of {descriptions}")

    def _find(self, run: "Run", path: Path) -> None:
        """Take a cache that is there, if it is what the table says."""
        about, now = _options_file(path), self._rendered_with(run)
        before = about.read_text(encoding="utf-8").strip() if about.is_file() else "unknown options"
        if before != now:
            raise ConfigError(
                f"{path}: was rendered with {before!r}, the table says {now!r}; pass --data to "
                "render it anew, or change the table back"
            )

    def _predicted(self, teacher: "Run", images: Path) -> Path:
        """Return the folder of a teacher's probabilities, made if not there from these weights."""
        from gazetools.files import file_sha256
        from gradtrack_model.predict import predict

        folder = self.out / "probabilities" / _name(teacher)
        about = folder.with_name(f"{folder.name}.sha256")
        made_from = f"{_weights_sha256(teacher)}  weights\n{file_sha256(images)}  images\n"
        if about.is_file() and about.read_text(encoding="utf-8") == made_from:
            return folder
        about.unlink(missing_ok=True)
        with progress_bar("predicting") as show:
            maps = predict(
                teacher.folder,
                [images],
                folder,
                probabilities=True,
                device=self.device,
                overwrite=True,
                progress=lambda done, total: show(done, total, teacher.name),
            )
        about.write_text(made_from, encoding="utf-8")
        tell(f"{folder}: {len(maps):,} probability maps by {teacher.name}")
        return folder


def tell(line: str) -> None:
    """Print a line on stderr."""
    click.echo(line, err=True)


def _name(run: "Run") -> str:
    return f"{run.row.name}-seed{run.seed}"


def _weights_sha256(run: "Run") -> str:
    from gazetools.files import file_sha256

    return file_sha256(run.folder / "best.safetensors")


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
            tell(f"{folder}: another gradtrack-bench is rendering; waiting")
        waiting = True
        time.sleep(1)
