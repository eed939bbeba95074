"""join(): several runs as one, whose networks say together the mean of their logits."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from gazetools.errors import OutputError, TrainingError
from gazetools.files import check_once, replacing_folder
from gradtrack_model import runs
from gradtrack_model.networks import Networks


def join(run_folders: Sequence[Path], out: Path) -> Path:
    """Make a run folder of the networks of several runs; it is evaluated and predicted with as any.

    Its best checkpoint is of the best of each, its last of the last of each. It takes as long as
    all of them together.

    Parameters
    ----------
    run_folders : sequence of Path
        At least two finished runs, such as those of several seeds. They segment images of the
        same size, and none was trained on what another was selected on.
    out : Path

    Returns
    -------
    Path
        `out`.

    Raises
    ------
    TrainingError
        A run or its checkpoint is missing or damaged, or the runs do not go together.
    ConfigError
        A run is named twice.
    OutputError
        `out` exists already, or cannot be written; nothing is left behind.
    """
    if out.exists():
        raise OutputError(f"{out}: already exists; remove it or choose another folder")
    check_once(run_folders)
    infos = [runs.read_run(folder) for folder in run_folders]
    if len(infos) < 2:
        raise TrainingError(f"{len(infos)} run to join; expected two or more")
    _check_alike(run_folders, infos)
    items = {split: sorted({i for info in infos for i in info.items[split]}) for split in runs.SEEN}
    if both := sorted(set.intersection(*map(set, items.values()))):
        raise TrainingError(
            f"{len(both)} images (first: {both[0]!r}) were trained on by one run and selected on "
            "by another; join runs of one split"
        )
    members = tuple(member for info in infos for member in info.members or (info.config,))
    joined = replace(infos[0], items=items, members=members)
    cpu = torch.device("cpu")
    loaded = {
        name: [runs.load_checkpoint(folder, name, cpu) for folder in run_folders]
        for name in runs.CHECKPOINTS
    }
    networks = {name: _networks(some) for name, some in loaded.items()}
    parameters = sum(p.numel() for p in networks["best"].parameters())
    runs.make_folder(out.parent)
    with replacing_folder(out) as folder:
        runs.write_run(folder, joined, parameters, cpu)
        for name, some in loaded.items():
            path = folder / f"{name}.safetensors"
            iteration = max(one.iteration for one in some)
            runs.save_weights(path, networks[name], joined, iteration, None)
    return out


def _networks(loaded: Sequence[runs.Checkpoint]) -> Networks:
    """Return all networks, those of joined runs one by one."""
    models = [one.model for one in loaded]
    return Networks(
        network
        for model in models
        for network in (model if isinstance(model, Networks) else (model,))
    )


def _check_alike(run_folders: Sequence[Path], infos: Sequence[runs.RunInfo]) -> None:
    """Refuse runs that see an image differently, or whose best means something else."""
    first, *others = map(_facts, infos)
    for folder, other in zip(run_folders[1:], others, strict=True):
        apart = [
            f"{name} {first[name]} and {value}"
            for name, value in other.items()
            if value != first[name]
        ]
        if apart:
            raise TrainingError(
                f"{run_folders[0]} and {folder}: cannot be joined, they differ in "
                f"{', '.join(apart)}; join runs that are alike in that"
            )


def _facts(info: runs.RunInfo) -> dict[str, object]:
    settings = ("size_px", "views", "flips", "quarter_turns")
    return {
        "images of the cache, px": (info.cache.width, info.cache.height),
        **{name: getattr(info.config, name) for name in settings},
        "what the best was selected on:": info.selected_on,
    }
