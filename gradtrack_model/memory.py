"""Where a split is held: on the device, in main memory, or nowhere but in its file."""

import os
from pathlib import Path
from typing import Literal, NamedTuple

import torch

from gradtrack_model.distributed import local_ranks

Source = Literal["device", "memory", "file"]
"""Where batches are taken from."""

DEVICE_SHARE, MEMORY_SHARE = 0.25, 0.5
"""What may be taken of the free memory; on the device the network needs most of it."""

_UNKNOWN = 4 << 30  # where the system does not tell


class _Version(NamedTuple):
    """Where control groups of a version tell of memory."""

    mount: str
    limit: str
    used: str
    cached: str


_VERSION_1 = _Version(
    "sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
)
_VERSION_2 = _Version("sys/fs/cgroup", "memory.max", "memory.current", "inactive_file")


def choose_source(needed: int, limit: float, device: torch.device) -> Source:
    """Return the fastest place that has room for `needed` bytes, of which `limit` may be taken."""
    if needed > limit:
        return "file"
    if device.type != "cpu" and needed <= DEVICE_SHARE * free_on_device(device):
        return "device"
    return "memory" if needed <= MEMORY_SHARE * free_memory() / local_ranks() else "file"


def free_on_device(device: torch.device) -> int:
    """Return the free bytes of a CUDA device; 0 for others, which do not tell."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else 0


def free_memory(root: Path = Path("/")) -> int:
    """Return the bytes of main memory that can be taken without swapping.

    On Linux what the kernel estimates, or what the control groups of this process (a container,
    a batch job) leave if that is less. Elsewhere half of the memory, or 4 GiB if unknown.

    Parameters
    ----------
    root : Path
        Where ``proc`` and ``sys`` are.
    """
    try:
        lines = (root / "proc/meminfo").read_text().splitlines()
    except OSError:
        return _half_of_all()
    in_kb = {
        name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)
    }
    return min([in_kb["MemAvailable"] * 1024, *_left_by_groups(root)])


def _half_of_all() -> int:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (AttributeError, OSError, ValueError):
        return _UNKNOWN


def _left_by_groups(root: Path) -> list[int]:
    """Bytes left by each control group around this process that has a limit."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    left = []
    for _, controllers, own in (line.split(":", 2) for line in lines):
        if not controllers or "memory" in controllers.split(","):
            version = _VERSION_1 if controllers else _VERSION_2
            for group in (Path(own), *Path(own).parents):
                left += _left_by_group(root / version.mount / group.relative_to("/"), version)
    return left


def _left_by_group(folder: Path, files: _Version) -> list[int]:
    try:
        limit, used = ((folder / name).read_text() for name in (files.limit, files.used))
        stat = (folder / "memory.stat").read_text().split()
    except OSError:  # the group is not to be seen from inside a container
        return []
    if limit.strip() == "max":
        return []
    cached = int(stat[stat.index(files.cached) + 1])  # given back when it is needed
    return [max(0, int(limit) - int(used) + cached)]
