"""The fields of a cache, and what network code makes of each."""

from torch import Tensor

PICTURES = ("images", "maps", "heatmaps", "pseudo_masks", "masks")
LABELS = ("pseudo_masks", "masks")
FIELDS = (*PICTURES, "text")


def planes(field: str, stored_BHW: Tensor) -> Tensor:
    """Bring pictures of a field, shaped as in the cache, to (B, channels, H, W)."""
    if field == "images":
        return stored_BHW.permute(0, 3, 1, 2)
    return stored_BHW if field == "maps" else stored_BHW[:, None]


def values(field: str, bytes_BCHW: Tensor) -> Tensor:
    """Return labels as they are, all else as float32 in [0, 1]."""
    return bytes_BCHW if field in LABELS else bytes_BCHW.float().div_(255)
