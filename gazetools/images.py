"""Image and mask files in and out, with a limit on what an untrusted file may unpack to."""

import os
import unicodedata
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from gazetools.errors import FormatError

UInt8 = npt.NDArray[np.uint8]

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
MASK_THRESHOLD = 127
"""Masks are often JPEG: foreground is above this grey value."""
_JPEG_NOISE = 16
_AROUND = np.ones((3, 3), np.uint8)
_LEAST_AREA = 0.001
_PNG_WITH_ALPHA = 4, 6  # colour types: grey, RGB


def composed(name: str) -> str:
    """Compose the accents of a name (NFC), as all names of images are before they are compared.

    Files that come from a Mac may have them apart from their letters, where tables have one
    character.
    """
    return unicodedata.normalize("NFC", name)


def image_stem(name: str) -> str:
    """Drop an image suffix from a file or stimulus name, and nothing else; see :func:`composed`."""
    name = composed(name)
    suffix = Path(name).suffix
    return name.removesuffix(suffix) if suffix.lower() in SUFFIXES else name


def list_images(folder: Path) -> dict[str, Path]:
    """Map the stem of every image file in `folder` to its path; see :func:`image_stem`.

    Hidden files are left out.

    Raises
    ------
    FormatError
        `folder` is no folder, cannot be read, holds no image, or two images share a stem.
    """
    if not folder.is_dir():
        raise FormatError(
            f"{folder}: no such folder; expected a folder of images, create it or name another"
        )
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        raise FormatError(f"{folder}: cannot be read ({error.strerror})") from error
    found: dict[str, Path] = {}
    for path in paths:
        if path.suffix.lower() not in SUFFIXES or path.name.startswith("."):
            continue  # Macs put a hidden ._name.png beside name.png on other disks
        stem = image_stem(path.name)
        if stem in found:
            raise FormatError(
                f"{path}: {found[stem].name} has the same name but for its suffix, or for how its "
                "accents are stored; keep one of them"
            )
        found[stem] = path
    if not found:
        raise FormatError(
            f"{folder}: holds no image; expected {', '.join(SUFFIXES)}, put some there or name "
            "another folder"
        )
    return found


def read_image(path: Path) -> UInt8:
    """Read an image as RGB, uint8, shape (height, width, 3).

    Raises
    ------
    FormatError
        The file is missing, is no image, is larger than the pixel limit, or has more than 8
        bits a channel: which of its grey values matter is not ours to guess.
    """
    return decode_image(file_content(path), path)


def decode_image(content: bytes, path: Path) -> UInt8:
    """Do what :func:`read_image` does with the content of a file; `path` is for messages."""
    image = _decode(content, path, cv2.IMREAD_COLOR)
    return np.ascontiguousarray(image[:, :, ::-1])


def read_mask(path: Path) -> UInt8:
    """Read a mask as uint8 0 or 1, shape (height, width); foreground is > 127.

    Raises
    ------
    FormatError
        The file cannot be read, holds labels such as 0, 1, 2 that would be background, or has
        transparent pixels: what is painted below them, nobody sees.
    """
    return decode_mask(file_content(path), path)


def decode_mask(content: bytes, path: Path) -> UInt8:
    """Do what :func:`read_mask` does with the content of a file; `path` is for messages."""
    grey = _decode(content, path, cv2.IMREAD_GRAYSCALE)
    noise = _JPEG_NOISE if path.suffix.lower() in (".jpg", ".jpeg") else 0
    if noise < grey.max() <= MASK_THRESHOLD:
        raise FormatError(
            f"{path}: a mask whose highest value is {grey.max()}; foreground is expected above "
            f"{MASK_THRESHOLD}, save it with 0 and 255"
        )
    if (label := _faint_label(grey, noise)) is not None:
        raise FormatError(
            f"{path}: a mask with areas of grey value {label}, which would be background, beside "
            f"others above {MASK_THRESHOLD}; choose what is foreground, save it with 0 and 255"
        )
    if _is_see_through(content):
        raise FormatError(
            f"{path}: a mask with transparent pixels, which may be foreground or not; save it "
            "without transparency, with 0 and 255"
        )
    return (grey > MASK_THRESHOLD).astype(np.uint8)


def decode_probability(content: bytes, path: Path) -> UInt8:
    """Read a grey image of probabilities, 0 to 255; `path` is for messages.

    Raises
    ------
    FormatError
        The file cannot be read.
    """
    return _decode(content, path, cv2.IMREAD_GRAYSCALE)


def file_content(path: Path) -> bytes:
    """Read an image file as it is.

    Raises
    ------
    FormatError
        The file is missing or cannot be read.
    """
    if not path.is_file():
        raise FormatError(f"{path}: no such image")
    try:
        return path.read_bytes()
    except OSError as error:
        raise FormatError(f"{path}: cannot be read ({error.strerror})") from error


def _decode(content: bytes, path: Path, flag: int) -> UInt8:
    if _is_cut_short(content):
        raise FormatError(
            f"{path}: ends after {len(content)} bytes, before the image does; copy it again"
        )
    try:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), flag | cv2.IMREAD_ANYDEPTH)
    except cv2.error as error:
        raise FormatError(
            f"{path}: cannot be decoded ({error.err}); it is damaged, or larger than "
            f"OPENCV_IO_MAX_IMAGE_PIXELS={os.environ['OPENCV_IO_MAX_IMAGE_PIXELS']}"
        ) from error
    if image is None:
        raise FormatError(
            f"{path}: not a readable image; it is damaged or of an unknown format, "
            f"expected {', '.join(SUFFIXES)}; copy it again, or save it as PNG"
        )
    if image.dtype != np.uint8:
        raise FormatError(
            f"{path}: holds {image.dtype} values, expected 8 bits a channel; choose a window of "
            "its grey values and save it as 8-bit PNG"
        )
    return np.asarray(image, np.uint8)


def _is_cut_short(content: bytes) -> bool:
    """Whether the end is missing: decoders complain past us, or fill up with grey."""
    if content.startswith(b"\x89PNG"):
        return b"IEND" not in content
    if content.startswith(b"\xff\xd8"):  # JPEG: after the last scan comes the end marker
        return content.rfind(b"\xff\xd9") <= content.rfind(b"\xff\xda")
    return not content


def _faint_label(grey: UInt8, noise: int) -> int | None:
    """Grey value of a label that the threshold would drop, in a mask of several classes.

    Smooth outlines have such values too, but hardly any area in which all are the same. What is
    darkest is background, even where that is not 0.
    """
    faint = (grey > int(grey.min()) + noise) & (grey <= MASK_THRESHOLD)
    even = grey[faint & (cv2.dilate(grey, _AROUND) == cv2.erode(grey, _AROUND))]
    is_area = len(even) > max(_LEAST_AREA * grey.size, faint.sum() / 2)
    return int(even.max()) if is_area else None


def _is_see_through(content: bytes) -> bool:
    """Whether a PNG with an alpha channel makes use of it."""
    if not content.startswith(b"\x89PNG") or content[25] not in _PNG_WITH_ALPHA:
        return False
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    return image is not None and bool(image[..., -1].min() < 255)


def encode_png(image: UInt8) -> bytes:
    """Encode RGB (height, width, 3) or grey (height, width) as PNG."""
    pixels = image if image.ndim == 2 else image[:, :, ::-1]
    _, encoded = cv2.imencode(".png", pixels)
    return encoded.tobytes()


def decode_mask_png(png: bytes) -> UInt8:
    """Undo ``encode_png(mask * 255)``: uint8 0 or 1, shape (height, width).

    Raises
    ------
    FormatError
        `png` cannot be decoded.
    """
    try:
        grey = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_GRAYSCALE)
    except cv2.error as error:
        raise FormatError(f"mask: cannot be decoded ({error.err})") from error
    if grey is None:
        raise FormatError(f"mask: {len(png)} bytes that are not a PNG image")
    return (np.asarray(grey) > MASK_THRESHOLD).astype(np.uint8)


def resize_image(image: UInt8, size: tuple[int, int]) -> UInt8:
    """Resize to (height, width), averaging where it shrinks."""
    height, width = size
    shrinks = height * width < image.shape[0] * image.shape[1]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (width, height), interpolation=how), np.uint8)


def resize_mask(mask: UInt8, size: tuple[int, int]) -> UInt8:
    """Resize labels to (height, width) without mixing them.

    A label image is sampled at pixel centres (INTER_NEAREST_EXACT; plain INTER_NEAREST
    shifts by half a pixel).
    """
    height, width = size
    resized = cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
    return np.asarray(resized, np.uint8)
