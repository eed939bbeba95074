"""The run folder: what lies in it, and how it is written and read.

::

    config.json          settings, cache, names of the items that training and selection saw,
                         versions (format "gradtrack-run", version 2); of joined runs also the
                         settings of each
    metrics.csv          one row per validation
    best.safetensors     weights of the best validation; the metadata tell of it
    last.safetensors     weights of the last iteration
    checkpoints/         weights of every so many iterations, if the settings keep them
    last.pt              full state to resume from: tensors and plain types alone
    tensorboard/         event files, if asked for
    evaluation/          what `gradtrack-evaluate` found; .npz: attention of some images

Every file is written to a temporary name and renamed. Nothing is ever unpickled beyond tensors
and plain types.
"""

import csv
import json
import os
import pickle
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from gazetools.cache import Cache, open_cache
from gazetools.errors import CacheError, OutputError, TrainingError
from gazetools.files import replacing
from gradtrack_model.config import TrainConfig
from gradtrack_model.devices import placed
from gradtrack_model.distributed import ranks
from gradtrack_model.methods import METHODS
from gradtrack_model.networks import Networks

FORMAT, VERSION = "gradtrack-run", 2
CHECKPOINTS = ("best", "last")
STATE = "last.pt"
KEPT = "checkpoints"
"""Folder of the weights that are kept on the way."""

SEEN = ("train", "val")
"""Splits that training reads: the first to learn from, the second to choose a checkpoint."""


@dataclass(frozen=True)
class CacheFacts:
    """What a run remembers of its cache; `text` is the SHA-256 of the text in it.

    In config.json `path` is relative to the run, so that both can be moved together; in weights it
    is the file's name alone, as they are passed on.
    """

    path: str
    sha256: str
    levels: int
    height: int
    width: int
    text: str = ""

    @classmethod
    def of(cls, cache: Cache) -> "CacheFacts":
        """Take the facts from an open cache."""
        path = str(Path(cache.path).resolve())
        text = cache.text.sha256 if cache.text else ""
        return cls(path, cache.sha256, cache.levels, cache.height, cache.width, text)

    @classmethod
    def read(cls, content: Mapping[str, Any], folder: Path) -> "CacheFacts":
        """Take them from config.json of the run in a folder."""
        return cls(**{**content, "path": str((folder / content["path"]).resolve())})

    def told(self, path: str) -> dict[str, Any]:
        """Return them with another path, to be written."""
        return {**asdict(self), "path": path}


@dataclass(frozen=True)
class RunInfo:
    """What config.json says of a run.

    Attributes
    ----------
    config : TrainConfig
    cache : CacheFacts
    selected_on : str
        What the best checkpoint was chosen on.
    items : dict of str to list of str
        Names of the items of the splits in SEEN, sorted: no other split may be measured on them.
    members : tuple of TrainConfig
        Settings of the runs that were joined into this one, see :mod:`gradtrack_model.joining`.
    """

    config: TrainConfig
    cache: CacheFacts
    selected_on: str
    items: dict[str, list[str]]
    members: tuple[TrainConfig, ...] = ()

    @classmethod
    def of(cls, config: TrainConfig, cache: Cache, selected_on: str) -> "RunInfo":
        """Take what there is to know from settings and an open cache."""
        items = {split: sorted(_names(cache, split)) for split in SEEN}
        return cls(config, CacheFacts.of(cache), selected_on, items)


@dataclass(frozen=True)
class Checkpoint:
    """A network ready to segment, and where it comes from."""

    model: nn.Module
    config: TrainConfig
    cache: CacheFacts
    iteration: int
    score: float | None
    selected_on: str


# ---------------------------------------------------------------- config.json


def check_new(folder: Path) -> None:
    """Refuse early what :func:`write_run` would refuse.

    Raises
    ------
    OutputError
        The folder holds a run already.
    """
    if (folder / "config.json").exists():
        raise OutputError(
            f"{folder}: holds a run already; resume it (--resume) or choose another folder"
        )


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it.

    Raises
    ------
    OutputError
        The system refuses.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be made ({error.strerror})") from error


def write_run(folder: Path, info: RunInfo, parameters: int, device: torch.device) -> None:
    """Write config.json of a new run.

    Raises
    ------
    OutputError
        The folder holds a run already, or cannot be written.
    """
    check_new(folder)
    make_folder(folder)
    content = {
        "format": FORMAT,
        "version": VERSION,
        "config": info.config.to_dict(),
        "cache": info.cache.told(_seen_from(folder.resolve(), info.cache.path)),
        "selected_on": info.selected_on,
        "parameters": parameters,
        "environment": _environment(device),
        "items": info.items,
        **told_members(info.members),
    }
    write_json(folder / "config.json", content)


def told_members(members: Sequence[TrainConfig]) -> dict[str, Any]:
    """Return what a file says of the runs that were joined; nothing of a single run."""
    return {"members": [member.to_dict() for member in members]} if members else {}


def _members(content: Mapping[str, Any]) -> tuple[TrainConfig, ...]:
    return tuple(TrainConfig.from_dict(member) for member in content.get("members", ()))


def _seen_from(folder: Path, path: str) -> str:
    try:
        return os.path.relpath(path, folder)
    except ValueError:  # another drive of Windows
        return path


def _environment(device: torch.device) -> dict[str, Any]:
    cuda = device.type == "cuda"
    return {
        "gazetools": _package_version("gazetools"),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "device": torch.cuda.get_device_name(device) if cuda else "cpu",
        "threads": torch.get_num_threads(),
        "processes": ranks(),
    }


def _package_version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def read_run(folder: Path) -> RunInfo:
    """Read config.json of a run.

    Raises
    ------
    TrainingError
        The folder holds no run, or one of another version.
    """
    path = Path(folder) / "config.json"
    if not path.is_file():
        raise TrainingError(f"{folder}: no run here (config.json is missing)")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if (content["format"], content["version"]) != (FORMAT, VERSION):
            raise TrainingError(
                f"{path}: {content['format']} version {content['version']}, expected "
                f"{FORMAT} version {VERSION}; train again"
            )
        return RunInfo(
            TrainConfig.from_dict(content["config"]),
            CacheFacts.read(content["cache"], path.parent),
            content["selected_on"],
            {split: list(map(str, content["items"][split])) for split in SEEN},
            _members(content),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise TrainingError(f"{path}: damaged ({error!r}); train again") from error


def check_same_run(folder: Path, info: RunInfo) -> None:
    """Refuse to resume a run with other settings or another cache.

    Raises
    ------
    TrainingError
        There is nothing to resume, or something differs; it is named.
    """
    before = read_run(folder)
    if before.members:
        raise TrainingError(
            f"{folder}: is made of {len(before.members)} joined runs, not trained; resume those, "
            "and join them again"
        )
    changes = before.config.differences(info.config)
    if changes:
        listed = ", ".join(f"{k} was {old!r}, now {new!r}" for k, (old, new) in changes.items())
        raise TrainingError(
            f"{folder}: cannot be resumed with other settings ({listed}); "
            "resume with the same or start a new run"
        )
    if before.cache.sha256 != info.cache.sha256:
        raise TrainingError(
            f"{folder}: was trained on {before.cache.path} ({before.cache.sha256[:12]}), "
            f"cannot be resumed on {info.cache.path} ({info.cache.sha256[:12]}); "
            "start a new run"
        )
    if "text" in METHODS[info.config.method].fields(info.config) and (
        before.cache.text != info.cache.text
    ):
        raise TrainingError(
            f"{folder}: the text in {info.cache.path} is another than it was trained on; encode "
            "the same descriptions as then, or start a new run"
        )


def open_run_cache(info: RunInfo, cache_path: Path | None, split: str) -> Cache:
    """Open the cache that a run was trained on, or the one given, to measure the run on a split.

    Raises
    ------
    CacheError
        The run's cache has gone or was changed since.
    TrainingError
        The split holds items that the run has seen as those of another split.
    """
    path = Path(info.cache.path) if cache_path is None else cache_path
    if cache_path is None and not path.exists():
        raise CacheError(f"{path}: the run's cache is there no more; name it with --cache")
    cache = open_cache(path)
    try:
        if cache_path is None and cache.sha256 != info.cache.sha256:
            raise CacheError(
                f"{cache.path}: is not the cache that the run was trained on (SHA-256 differs); "
                "render it as it was, or train again"
            )
        _check_unseen(info, cache, split)
    except (CacheError, TrainingError):
        cache.close()
        raise
    return cache


def _check_unseen(info: RunInfo, cache: Cache, split: str) -> None:
    seen = {name for other in SEEN if other != split for name in info.items[other]}
    leaked = [name for name in _names(cache, split) if name in seen]
    if leaked:
        raise TrainingError(
            f"{cache.path}: {len(leaked)} items of split {split!r} were trained or selected on "
            f"(first: {leaked[0]!r}); name a cache of images that are new to the run, under names "
            "that are new to it too"
        )


def _names(cache: Cache, split: str) -> list[str]:
    return [cache.items[index].name for index in cache.indices(split)]


# ---------------------------------------------------------------- tables


def write_json(path: Path, content: Mapping[str, Any], *, overwrite: bool = False) -> None:
    """Write indented JSON; NaN is not allowed."""
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    with replacing(path, overwrite=overwrite) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]], *, overwrite: bool = False) -> None:
    """Write rows as CSV; a row without one of the others' keys has nothing there."""
    with (
        replacing(path, overwrite=overwrite) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        names = dict.fromkeys(name for row in rows for name in row)
        writer = csv.DictWriter(file, list(names), restval="")
        writer.writeheader()
        writer.writerows(rows)


# ---------------------------------------------------------------- weights and state


def kept(iteration: int) -> str:
    """Return the name of the checkpoint that is kept of an iteration."""
    return f"{KEPT}/{iteration:06d}"


def save_weights(
    path: Path, model: nn.Module, info: RunInfo, iteration: int, score: float | None
) -> None:
    """Write weights as safetensors, with all that is needed to use them in the metadata."""
    tensors = {name: values.cpu().contiguous() for name, values in model.state_dict().items()}
    about = {
        "config": info.config.to_dict(),
        "cache": info.cache.told(Path(info.cache.path).name),
        "selected_on": info.selected_on,
        "iteration": iteration,
        "score": score,
        **told_members(info.members),
    }
    path.parent.mkdir(exist_ok=True)
    with replacing(path, overwrite=True) as temporary:
        temporary.write_bytes(save(tensors, metadata={FORMAT: json.dumps(about)}))


def load_checkpoint(folder: Path, name: str, device: torch.device) -> Checkpoint:
    """Load a checkpoint of a run, or kept weights such as "checkpoints/000500", ready to segment.

    Raises
    ------
    TrainingError
        The checkpoint is missing, damaged or of something else.
    """
    iteration = name.rpartition("/")[2]
    if name not in CHECKPOINTS and not (iteration.isdecimal() and name == kept(int(iteration))):
        raise TrainingError(f"checkpoint {name!r}: expected one of {', '.join(CHECKPOINTS)}")
    path = Path(folder) / f"{name}.safetensors"
    if not path.is_file():
        raise TrainingError(f"{path}: no such checkpoint; has the training come to its end?")
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            about = json.loads((file.metadata() or {})[FORMAT])
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        config = TrainConfig.from_dict(about["config"])
        model = placed(_built(config, _members(about)), torch.device("cpu"), config)
        model.load_state_dict(tensors)
        facts = CacheFacts(**about["cache"])
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise TrainingError(
            f"{path}: not a checkpoint of gradtrack_model, or damaged ({error})"
        ) from error
    return Checkpoint(
        model.to(device).eval(),
        config,
        facts,
        about["iteration"],
        about["score"],
        about["selected_on"],
    )


def _built(config: TrainConfig, members: Sequence[TrainConfig]) -> nn.Module:
    if members:
        return Networks(_built(member, ()) for member in members)
    return METHODS[config.method].build(config, pretrained=False)


def save_state(path: Path, state: Mapping[str, Any]) -> None:
    """Write a state of tensors and plain types."""
    with replacing(path, overwrite=True) as temporary:
        try:
            torch.save(dict(state), temporary)
        except RuntimeError as error:
            # what torch raises when the disk cannot take the file
            raise OSError(f"torch: {str(error).splitlines()[0]}") from error


def load_state(path: Path) -> dict[str, Any]:
    """Read a state; a file that holds more than tensors and plain types is refused.

    Raises
    ------
    TrainingError
        The file is missing, damaged or would need unpickling.
    """
    if not path.is_file():
        raise TrainingError(
            f"{path}: is missing, and without its state a run cannot go on; remove the folder and "
            "train again"
        )
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise TrainingError(f"{path}: not a readable state ({reason}); train again") from error
    return state
