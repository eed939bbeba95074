"""Image and mask files: names, decoding, refusal of what is broken, resizing."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from gazetools.errors import FormatError
from gazetools.figures import draw_outline, draw_scanpath, join_panels, overlay_map
from gazetools.images import (
    decode_mask_png,
    encode_png,
    image_stem,
    list_images,
    read_image,
    read_mask,
    resize_image,
    resize_mask,
)


def made_image(height=60, width=80):
    noise = np.random.default_rng(0).uniform(0, 255, (height, width, 3))
    return cv2.GaussianBlur(noise, (0, 0), 4).astype(np.uint8)


def encoded(suffix, image=None):
    return cv2.imencode(suffix, made_image() if image is None else image)[1].tobytes()


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("a.jpg", "a"),
        ("A.PNG", "A"),
        ("a", "a"),
        ("a.v2", "a.v2"),
        ("a.v2.tiff", "a.v2"),
        ("1.2.840.113619", "1.2.840.113619"),
        ("b/a.jpg", "b/a"),
        (".png", ".png"),
        ("Re\u0301tine 1.png", "R\u00e9tine 1"),
    ],
)
def test_image_stem_drops_an_image_suffix_and_nothing_else(name, stem):
    assert image_stem(name) == stem


def test_list_images(tmp_path):
    for name in ("b.PNG", "a.jpg", "notes.txt", "c.v2.tif"):
        (tmp_path / name).write_bytes(b"")
    assert list(list_images(tmp_path)) == ["a", "b", "c.v2"]
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(FormatError, match=r"a\.jpg has the same name"):
        list_images(tmp_path)


def test_accents_are_the_same_however_they_are_stored(tmp_path):
    apart, composed = "e\u0301.png", "\u00e9.png"
    (tmp_path / apart).write_bytes(b"")
    assert list(list_images(tmp_path)) == [image_stem(composed)]
    if not (tmp_path / composed).exists():  # to a Mac both are one file
        (tmp_path / composed).write_bytes(b"")
        with pytest.raises(FormatError, match=r"same name .* how its accents are stored; keep"):
            list_images(tmp_path)


def test_hidden_files_are_no_images(tmp_path):
    for name in ("a.png", "._a.png", ".b.png"):
        (tmp_path / name).write_bytes(b"")
    assert list_images(tmp_path) == {"a": tmp_path / "a.png"}


def test_no_folder_or_no_image(tmp_path):
    with pytest.raises(FormatError, match="no such folder"):
        list_images(tmp_path / "images")
    with pytest.raises(FormatError, match="holds no image"):
        list_images(tmp_path)


def test_a_folder_that_may_not_be_read(tmp_path, monkeypatch):
    def refuse(folder):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(FormatError, match=r"cannot be read \(Permission denied\)"):
        list_images(tmp_path)


def test_colours_are_rgb(tmp_path):
    image = np.zeros((4, 5, 3), np.uint8)
    image[..., 0] = 200  # red
    (tmp_path / "a.png").write_bytes(encode_png(image))
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), image)
    assert read_image(tmp_path / "a.png").flags.c_contiguous


def test_grey_images_become_rgb(tmp_path):
    (tmp_path / "g.png").write_bytes(encoded(".png", np.full((20, 30), 90, np.uint8)))
    found = read_image(tmp_path / "g.png")
    assert (found.shape, found.dtype) == ((20, 30, 3), np.uint8)


@pytest.mark.parametrize("read", [read_image, read_mask])
def test_more_than_eight_bits_are_refused(tmp_path, read):
    # 12-bit values in a 16-bit file would come out almost black
    deep = np.linspace(0, 4095, 20 * 30).reshape(20, 30).astype(np.uint16)
    (tmp_path / "d.png").write_bytes(encoded(".png", deep))
    with pytest.raises(FormatError, match=r"d\.png: holds uint16 values, expected 8 bits"):
        read(tmp_path / "d.png")


@pytest.mark.parametrize("labels", [(0, 1), (0, 1, 2), (1,), (0, 100)])
def test_masks_that_would_be_all_background_are_refused(tmp_path, labels):
    mask = np.resize(np.array(labels, np.uint8), (20, 30))
    (tmp_path / "m.png").write_bytes(encoded(".png", mask))
    with pytest.raises(FormatError, match=r"m\.png: a mask whose highest value is"):
        read_mask(tmp_path / "m.png")


def test_noise_of_an_empty_jpeg_mask_is_background(tmp_path):
    noisy = np.random.default_rng(0).integers(0, 9, (20, 30)).astype(np.uint8)
    (tmp_path / "m.jpg").write_bytes(encoded(".jpg", noisy))
    assert not read_mask(tmp_path / "m.jpg").any()


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tif", ".webp"])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 0.7, 0.99])
def test_truncated_images_are_refused(tmp_path, suffix, share):
    content = encoded(suffix)
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(FormatError, match=rf"a\{suffix}: "):
        read_image(path)


def test_what_is_no_image_is_refused(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"not an image at all")
    with pytest.raises(FormatError, match=r"a\.png: not a readable image.*expected \.png"):
        read_image(path)
    with pytest.raises(FormatError, match="no such image"):
        read_image(tmp_path / "b.png")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(FormatError, match="no such image"):
        read_image(tmp_path / "folder.png")


def test_unreadable_files_are_format_errors(tmp_path, monkeypatch):
    def denied(self):
        raise PermissionError(13, "Permission denied")

    (tmp_path / "a.png").write_bytes(encoded(".png"))
    monkeypatch.setattr(Path, "read_bytes", denied)
    with pytest.raises(FormatError, match=r"a\.png: cannot be read \(Permission denied\)"):
        read_image(tmp_path / "a.png")


def test_an_image_beyond_the_limit_is_refused_silently(tmp_path):
    """A fresh process: OpenCV reads its limit when it is loaded. Nothing else on stderr."""
    (tmp_path / "a.png").write_bytes(encoded(".png"))
    code = (
        "from gazetools.images import read_image; from pathlib import Path\n"
        "from gazetools.errors import FormatError\n"
        "try: read_image(Path('a.png'))\n"
        "except FormatError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "OPENCV_IO_MAX_IMAGE_PIXELS": "4000"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "OPENCV_IO_MAX_IMAGE_PIXELS=4000" in done.stdout
    assert done.stderr == ""


def test_masks_are_binary_above_127(tmp_path):
    grey = np.array([[0, 127, 128, 255]], np.uint8)
    (tmp_path / "m.png").write_bytes(encoded(".png", grey))
    assert read_mask(tmp_path / "m.png").tolist() == [[0, 0, 1, 1]]


def test_an_empty_mask_is_a_mask(tmp_path):
    (tmp_path / "m.png").write_bytes(encoded(".png", np.zeros((9, 9), np.uint8)))
    assert not read_mask(tmp_path / "m.png").any()


@pytest.mark.parametrize("label", [1, 2, 127])
def test_label_images_are_not_taken_for_empty_masks(tmp_path, label):
    labels = np.zeros((9, 9), np.uint8)
    labels[3:6, 3:6] = label
    (tmp_path / "m.png").write_bytes(encoded(".png", labels))
    with pytest.raises(FormatError, match=f"highest value is {label}; .*save it with 0 and 255"):
        read_mask(tmp_path / "m.png")


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
@pytest.mark.parametrize("colours", [(100, 255), ((0, 0, 255), (0, 255, 0)), (40, 200)])
def test_one_of_several_labels_is_not_taken_for_background(tmp_path, suffix, colours):
    labels = np.zeros((90, 120, 3), np.uint8)
    labels[10:50, 10:50], labels[40:80, 60:100] = colours
    (tmp_path / f"m{suffix}").write_bytes(encoded(suffix, labels))
    with pytest.raises(FormatError, match=r"areas of grey value \d+, which would be .* beside"):
        read_mask(tmp_path / f"m{suffix}")


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
@pytest.mark.parametrize("background", [1, 16])
def test_a_background_above_0_is_no_label(tmp_path, suffix, background):
    video = cv2.circle(np.full((200, 240), background, np.uint8), (110, 90), 60, 235, -1)
    (tmp_path / f"m{suffix}").write_bytes(encoded(suffix, video))
    np.testing.assert_array_equal(read_mask(tmp_path / f"m{suffix}"), video > 127)


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
@pytest.mark.parametrize("blur_px", [0.5, 2, 10])
def test_a_smooth_outline_is_no_label(tmp_path, suffix, blur_px):
    disc = cv2.circle(np.zeros((200, 240), np.uint8), (110, 90), 60, 255, -1)
    (tmp_path / f"m{suffix}").write_bytes(encoded(suffix, cv2.GaussianBlur(disc, (0, 0), blur_px)))
    assert (read_mask(tmp_path / f"m{suffix}") != (disc > 0)).mean() < 0.02


def test_what_is_painted_on_nothing_is_not_taken_for_a_full_mask(tmp_path):
    painted = np.full((9, 9, 4), 255, np.uint8)
    (tmp_path / "m.png").write_bytes(encoded(".png", painted))
    assert read_mask(tmp_path / "m.png").all()
    painted[3:6, 3:6, 3] = 0
    (tmp_path / "m.png").write_bytes(encoded(".png", painted))
    with pytest.raises(FormatError, match=r"m\.png: a mask with transparent pixels, .*; save it"):
        read_mask(tmp_path / "m.png")


def test_mask_png_round_trip():
    mask = (np.random.default_rng(1).random((37, 23)) > 0.5).astype(np.uint8)
    np.testing.assert_array_equal(decode_mask_png(encode_png(mask * np.uint8(255))), mask)
    for broken in (b"", b"no png", encode_png(mask)[:20]):
        with pytest.raises(FormatError, match="mask"):
            decode_mask_png(broken)


def test_resized_masks_stay_labels_and_stay_put():
    mask = np.zeros((40, 60), np.uint8)
    mask[10:30, 15:45] = 1
    mask[0, 0] = 255
    small = resize_mask(mask, (20, 30))
    assert set(np.unique(small)) <= {0, 1, 255}
    np.testing.assert_array_equal(small[5:15, 7:22], 1)
    np.testing.assert_array_equal(resize_mask(mask, (40, 60)), mask)


def test_shrinking_averages():
    checks = np.tile(np.array([[0, 255], [255, 0]], np.uint8), (16, 16))
    small = resize_image(np.repeat(checks[..., None], 3, axis=2), (8, 8))
    assert abs(small.astype(int) - 128).max() <= 1


def test_pictures_and_figures_keep_their_shapes():
    image = made_image()
    x, y, duration = np.array([0.1, 0.5, 1.4]), np.array([0.2, 0.9, -0.3]), np.full(3, 250.0)
    scanpath = draw_scanpath(image, x, y, duration)
    outline = draw_outline(image, image[..., 0] > 128, (255, 0, 0))
    assert scanpath.shape == outline.shape == image.shape
    assert (scanpath != image).any()
    heat = overlay_map(image, image[..., 0])
    assert join_panels([("a", scanpath), ("b", heat)]).shape == (60 + 32, 2 * 88 + 8, 3)
    assert draw_scanpath(image, x[:1], y[:1], duration[:1]).shape == image.shape
