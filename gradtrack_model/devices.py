"""Where a network runs, and in which precision and layout."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from gazetools.errors import TrainingError
from gazetools.workers import processors
from gradtrack_model.batches import Batch
from gradtrack_model.config import TrainConfig
from gradtrack_model.distributed import local_rank


def pick_device(device: str) -> torch.device:
    """Return the device of a name; "auto" is CUDA where there is one.

    Raises
    ------
    TrainingError
        The device does not exist.
    """
    if device in ("auto", "cuda") and torch.cuda.is_available():
        return _own_gpu()
    if device == "auto":
        return torch.device("cpu")
    try:
        torch.zeros(1, device=device).cpu()  # "meta" exists, but holds no values
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise TrainingError(
            f"device {device!r}: not usable ({reason}); expected auto, cpu or cuda"
        ) from error
    return torch.device(device)


def _own_gpu() -> torch.device:
    """Return the GPU of this process: one each, where several run on a machine."""
    number, there = local_rank(), torch.cuda.device_count()
    if number >= there:
        raise TrainingError(
            f"process {number + 1} of this machine has no GPU of its own, there are {there}; start "
            f"at most {there} (torchrun --nproc-per-node {there})"
        )
    return torch.device("cuda", number)


@contextmanager
def enough_memory(remedy: str = "use --device cpu, or end what else runs there") -> Iterator[None]:
    """Say what helps if the GPU's memory does not suffice.

    Raises
    ------
    TrainingError
        It does not.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise TrainingError(
            f"the GPU's memory does not suffice ({str(error).splitlines()[0]}); {remedy}"
        ) from error


def use_available_cores() -> None:
    """Use the cores that this process may use; in a container torch counts those of the host."""
    torch.set_num_threads(min(torch.get_num_threads(), processors()))


@contextmanager
def determinism(config: TrainConfig) -> Iterator[None]:
    """Use only deterministic operations, if the settings ask for it.

    On a CPU all that is used here is deterministic anyway.
    """
    before = torch.are_deterministic_algorithms_enabled()
    if config.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)


def precision(config: TrainConfig, device: torch.device) -> torch.autocast:
    """Return the context in which the network of a run is used."""
    return torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bf16")


def placed(model: nn.Module, device: torch.device, config: TrainConfig) -> nn.Module:
    """Return a network on its device, in the layout and precision of the settings."""
    layout = _memory_layout(config)
    moved: nn.Module = model.to(  # type: ignore[call-overload]
        device, _dtype(config), memory_format=layout
    )
    return moved


def as_input(batch: Batch, config: TrainConfig) -> Batch:
    """Return a batch in the layout and precision of the settings."""
    ready = {
        name: values.to(_dtype(config)) if values.is_floating_point() else values
        for name, values in batch.items()
    }
    images = ready["image_BCHW"]
    return {**ready, "image_BCHW": images.contiguous(memory_format=_memory_layout(config))}


def _dtype(config: TrainConfig) -> torch.dtype:
    return torch.float64 if config.precision == "float64" else torch.float32


def _memory_layout(config: TrainConfig) -> torch.memory_format:
    return torch.channels_last if config.channels_last else torch.contiguous_format
