"""The table file: which rows, seeds and caches; read from TOML and checked whole.

::

    title = "Kvasir-SEG, laptop scale"
    preset = "laptop"             # as in gradtrack-train
    seeds = [0, 1, 2]
    split = "test"                # "val" if not given
    baseline = "heatmap"          # the row that others are compared with; may be left out
    render = "--size 224"         # options of `gazetools render` for all caches; may be left out
    [settings]                    # of all rows: attributes of TrainConfig
    iterations = 800
    [caches]                      # options of `gazetools render`, or a cache that is there
    crf = "--masks-from crf --band 0.3 0.5"
    other = "--fixations simulated.parquet"    # instead of those of the data folder
    ready = "maps.h5"
    [rows.full]                   # a row: its cache, and the settings that it changes
    cache = "crf"
    method = "full"
    [rows.second]                 # a row that learns from masks which gaze and the networks of
    cache = "grabcut"             # another made together: seed k from seed k, rendered with the
    teacher = "ours"              # options of its own cache
"""

import re
import shlex
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gazetools.errors import ConfigError
from gradtrack_model.config import TrainConfig, preset
from gradtrack_model.methods import METHODS

_KINDS: dict[str, tuple[type, str]] = {
    "title": (str, "a text"),
    "preset": (str, "a text"),
    "seeds": (list, "a list of whole numbers"),
    "split": (str, "a text"),
    "baseline": (str, "the name of a row"),
    "render": (str, "options of `gazetools render`"),
    "settings": (dict, "a table [settings]"),
    "caches": (dict, "a table [caches]"),
    "rows": (dict, "tables [rows.NAME]"),
}
_NEEDED = ("title", "preset", "seeds", "caches", "rows")
_SPLITS = ("test", "val")
_BESIDE_SETTINGS = ("cache", "teacher")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_MASKS_FROM = re.compile(r"--masks-from[ =](\w+)")
_GIVEN_BY_US = (
    "-o",
    "--out",
    "--images",
    "--masks",
    "--probabilities",
    "--overwrite",
    "--json",
)


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes
    ----------
    name, cache : str
    changes : dict
        The settings that the row itself names.
    config : TrainConfig
        All settings, with the seed still to be put in.
    teacher : str or None
        The row whose networks, together with gaze, make the pseudo-masks that this one learns
        from; they are rendered with the options of `cache`.
    """

    name: str
    cache: str
    changes: dict[str, Any]
    config: TrainConfig
    teacher: str | None = None

    def cache_of(self, seed: int) -> str:
        """Return the name of the cache for a seed: those of a row with a teacher are its own."""
        return self.cache if self.teacher is None else f"{self.name}-seed{seed}"


@dataclass(frozen=True)
class BenchTable:
    """What a table file says.

    Attributes
    ----------
    split : {"test", "val"}
        What the rows are measured on.
    baseline : str or None
        Name of the row that the others are compared with.
    settings : dict
        What all rows change of the preset.
    rendered : dict of str to tuple of str
        Caches to be rendered: name to options of `gazetools render`.
    ready : dict of str to Path
        Caches that are there.
    """

    title: str
    preset: str
    seeds: tuple[int, ...]
    split: str
    baseline: str | None
    settings: dict[str, Any]
    rendered: dict[str, tuple[str, ...]]
    ready: dict[str, Path]
    rows: tuple[Row, ...]

    @property
    def compared(self) -> str:
        """Name of the checkpoint by which rows are compared.

        On test it is the best on validation; on validation itself the last, for which nothing
        was selected.
        """
        return "last" if self.split == "val" else "best"

    def chosen(self, only: tuple[str, ...] = ()) -> tuple[Row, ...]:
        """Return the rows of these names, in the order of the table; without names, all.

        Raises
        ------
        ConfigError
            There is no such row.
        """
        names = [row.name for row in self.rows]
        for name in only:
            _check_one_of("row", name, names)
        return tuple(row for row in self.rows if not only or row.name in only)


def read_table(path: Path) -> BenchTable:
    """Read a table file; all its settings are checked before anything runs.

    Raises
    ------
    ConfigError
        The file is missing or no TOML, or an entry is unknown, missing, or out of range.
    """
    if not path.is_file():
        raise ConfigError(f"{path}: no such file; expected a benchmark table in TOML")
    try:
        return _table(tomllib.loads(path.read_text(encoding="utf-8")), path.parent)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not readable as TOML ({error})") from error
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def _table(content: dict[str, Any], folder: Path) -> BenchTable:
    _check_entries(content)
    settings = content.get("settings", {})
    rendered, ready = _caches(content["caches"], content.get("render", ""), folder)
    base = _changed(preset(content["preset"]), settings, "[settings]")
    caches = [*rendered, *ready]
    rows = tuple(_row(name, row, base, caches) for name, row in content["rows"].items())
    table = BenchTable(
        title=content["title"],
        preset=content["preset"],
        seeds=_seeds(content["seeds"]),
        split=content.get("split", "val"),
        baseline=content.get("baseline"),
        settings=settings,
        rendered=rendered,
        ready=ready,
        rows=rows,
    )
    _check_one_of("split", table.split, _SPLITS)
    if table.baseline is not None:
        _check_one_of("baseline", table.baseline, [row.name for row in rows])
    _check_teachers(table)
    return table


def _check_entries(content: Mapping[str, Any]) -> None:
    for name, value in content.items():
        _check_one_of("entry", name, _KINDS)
        kind, described = _KINDS[name]
        if not isinstance(value, kind):
            raise ConfigError(f"{name} = {value!r}: expected {described}")
    for name in _NEEDED:
        if not content.get(name):
            raise ConfigError(f"{name} is missing or empty; expected {_KINDS[name][1]}")


def _check_one_of(what: str, value: str, expected: Any) -> None:
    if value not in expected:
        raise ConfigError(f"{what} {value!r} is unknown; expected one of {', '.join(expected)}")


def _check_name(what: str, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{what} {name!r}: names a file or folder; expected letters, digits, '-', '_', '.'"
        )


def _seeds(values: list[Any]) -> tuple[int, ...]:
    if any(type(seed) is not int or seed < 0 for seed in values) or len({*values}) < len(values):
        raise ConfigError(f"seeds = {values}: expected different whole numbers, none below 0")
    return tuple(values)


def _row(name: str, content: Any, base: TrainConfig, caches: list[str]) -> Row:
    where = f"[rows.{name}]"
    _check_name("row", name)
    if not isinstance(content, dict):
        raise ConfigError(f"rows.{name} = {content!r}: expected a table {where}")
    if "cache" not in content:
        raise ConfigError(f"{where}: cache is missing; expected one of {', '.join(caches)}")
    if content["cache"] not in caches:
        raise ConfigError(
            f"{where}: cache = {content['cache']!r} is unknown; expected one of {', '.join(caches)}"
        )
    changes = {key: value for key, value in content.items() if key not in _BESIDE_SETTINGS}
    config = _changed(base, changes, where)
    return Row(name, content["cache"], changes, config, content.get("teacher"))


def _changed(config: TrainConfig, changes: Mapping[str, Any], where: str) -> TrainConfig:
    if "seed" in changes:
        raise ConfigError(f"{where}: seed is not for here; name all of them in seeds = [...]")
    try:
        return config.replace(**changes)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error


# ---------------------------------------------------------------- teachers


def _check_teachers(table: BenchTable) -> None:
    teachers = {row.name: row.teacher for row in table.rows}
    saw_masks = {r.name for r in table.rows if "masks" in METHODS[r.config.method].fields(r.config)}
    for row in table.rows:
        if row.teacher is not None:
            where = f"[rows.{row.name}]"
            _check_teacher(row.teacher, list(teachers), where)
            if row.teacher in saw_masks:
                raise ConfigError(
                    f"{where}: teacher = {row.teacher!r} has seen the masks, and the "
                    "row would learn from them by way of it; name a teacher that has not"
                )
            _check_ends(row.name, teachers, where)
            _check_taught_cache(row, table, where)


def _check_teacher(teacher: Any, names: list[str], where: str) -> None:
    if teacher not in names:
        raise ConfigError(
            f"{where}: teacher = {teacher!r} is unknown; expected one of {', '.join(names)}"
        )


def _check_ends(name: str, teachers: Mapping[str, Any], where: str) -> None:
    """Refuse a row that learns from itself, at once or by way of others."""
    chain = [name]
    while (teacher := teachers.get(chain[-1])) is not None:
        if teacher in chain:
            raise ConfigError(
                f"{where}: learns from itself ({' from '.join([*chain, teacher])}); name another "
                "teacher, and none in the first row"
            )
        chain.append(teacher)


def _check_taught_cache(row: Row, table: BenchTable, where: str) -> None:
    if row.cache in table.ready:
        raise ConfigError(
            f"{where}: cache = {row.cache!r} is a path; beside a teacher expected one of options, "
            "which are rendered again with what the teacher says"
        )
    source = _MASKS_FROM.findall(shlex.join(table.rendered[row.cache]))[-1:]
    if source not in ([], ["grabcut"]):
        raise ConfigError(
            f"{where}: cache = {row.cache!r} makes masks from {source[0]}; beside a teacher "
            "expected --masks-from grabcut, the only one that a network can help"
        )
    for name in (row.cache_of(seed) for seed in table.seeds):
        if name in (*table.rendered, *table.ready):
            raise ConfigError(
                f"[caches] {name}: is how the cache of row {row.name} will be called; rename it"
            )


# ---------------------------------------------------------------- caches


def _caches(
    content: Mapping[str, Any], common: str, folder: Path
) -> tuple[dict[str, tuple[str, ...]], dict[str, Path]]:
    """Part caches to render from those that are there: options begin with a dash."""
    rendered, ready = {}, {}
    for name, value in content.items():
        _check_name("cache", name)
        if not isinstance(value, str):
            raise ConfigError(f"[caches] {name} = {value!r}: expected options or a path, as text")
        if value and not value.startswith("-"):
            ready[name] = _ready(name, folder / value)
        else:
            rendered[name] = _options(f"[caches] {name}", f"{common} {value}")
    return rendered, ready


def _ready(name: str, path: Path) -> Path:
    if not path.exists():
        raise ConfigError(
            f"[caches] {name}: {path} does not exist; expected a cache, relative to the table "
            'file, or options of `gazetools render`, which begin with "-"'
        )
    return path


def _options(where: str, text: str) -> tuple[str, ...]:
    try:
        options = shlex.split(text)
    except ValueError as error:
        raise ConfigError(f"{where} = {text!r}: {error}") from error
    for option in options:
        if option.split("=")[0] in _GIVEN_BY_US:
            raise ConfigError(f"{where}: {option} is given by gradtrack-bench itself; leave it out")
    return tuple(options)
