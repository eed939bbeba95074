"""One batch over several processes, as `torchrun` starts them.

Each process, a *rank*, takes its share of every batch; gradients are averaged over all. What is
written here is that a run comes to the same whatever their number; see :func:`share_of_total`.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from gazetools.errors import TrainingError


@contextmanager
def process_group(device: torch.device) -> Iterator[None]:
    """Join the processes that were started with this one; alone, do nothing.

    They talk through NCCL where `device` is a GPU, else through Gloo.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or dist.is_initialized():
        yield
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
        dist.init_process_group("nccl", device_id=device)
    else:
        dist.init_process_group("gloo")
    try:
        yield
    finally:
        dist.destroy_process_group()


def local_rank() -> int:
    """Return which of the processes of this machine this one is, from 0: its GPU's number."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def local_ranks() -> int:
    """Return how many of the processes run on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def rank() -> int:
    """Return which of all processes this one is, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def ranks() -> int:
    """Return how many processes there are."""
    return dist.get_world_size() if dist.is_initialized() else 1


def is_first() -> bool:
    """Return whether this is the process that validates, writes and speaks."""
    return int(os.environ.get("RANK", "0")) == 0


def check_divides(batch_size: int) -> None:
    """Refuse a batch that cannot be shared out evenly.

    Raises
    ------
    TrainingError
        Processes would get unequal shares.
    """
    if batch_size % ranks():
        raise TrainingError(
            f"batch_size = {batch_size}: cannot be shared by {ranks()} processes; "
            "expected a multiple"
        )


def share_of_total(count: Tensor) -> Tensor:
    r"""Return a count of this batch, summed over all ranks, per rank.

    A mean over the valid pixels of a whole batch, of which each of R ranks holds a part, is

    .. math::
        \frac{\sum_r s_r}{\sum_r n_r} = \frac{1}{R} \sum_r \frac{s_r}{\frac{1}{R} \sum_q n_q}

    so that averaging what ranks get by dividing by this share gives the mean itself.
    """
    if ranks() == 1:
        return count
    total = count.detach().clone()
    dist.all_reduce(total)
    return total / ranks()


def mean_over_ranks(values: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the means of some numbers, by name, over all ranks."""
    if ranks() == 1:
        return values
    stacked = torch.stack([value.detach() for value in values.values()])
    dist.all_reduce(stacked)
    return dict(zip(values, stacked / ranks(), strict=True))


def wait_for_all() -> None:
    """Go on when all processes are here."""
    if ranks() > 1:
        dist.barrier()


def shared(model: nn.Module, device: torch.device) -> nn.Module:
    """Return a network whose gradients are averaged over all ranks."""
    if ranks() == 1:
        return model
    on_gpu = device.type == "cuda"
    return DistributedDataParallel(model, device_ids=[device.index] if on_gpu else None)


def synchronised(model: nn.Module, device: torch.device) -> nn.Module:
    """Let batch normalisation see whole batches on GPUs.

    On CPUs, for which PyTorch has no such layer, it sees the share of its own rank.
    """
    if ranks() == 1 or device.type != "cuda":
        return model
    converted: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(  # type: ignore[no-untyped-call]
        model
    )
    return converted
