"""Splits: groups stay whole, draws are seeded, lists are obeyed."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gazetools.errors import ConfigError, FormatError
from gazetools.images import list_images, read_image
from gazetools.kernels import hashes as kernels
from gazetools.splits import (
    SplitSpec,
    assign,
    difference_hash,
    group_images,
    parted_groups,
    read_lists,
)

NAMES = [f"case{i // 4}_{i % 4}" for i in range(40)]


def far_hashes(n):
    """Hashes of which no two are near: 32 random bytes differ in about 128 bits."""
    return np.random.default_rng(0).integers(0, 256, (n, 32), dtype=np.uint8)


def drawn(names=NAMES, **options):
    spec = SplitSpec(**options)
    group = group_images(names, far_hashes(len(names)), spec)
    return assign(names, group, spec), group


def write_lists(folder, **lists):
    for name, names in lists.items():
        (folder / f"{name}.txt").write_text("\n".join(names) + "\n", encoding="utf-8")
    return tuple(folder / f"{name}.txt" for name in lists)


def slow_picture(seed, side=90):
    noise = np.random.default_rng(seed).uniform(0, 255, (side, side, 3))
    blurred = cv2.GaussianBlur(noise, (0, 0), 6)
    return cv2.normalize(blurred, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)


# ---------------------------------------------------------------- groups


def test_near_duplicates_are_one_group():
    image = slow_picture(1)
    again = cv2.imdecode(cv2.imencode(".jpg", image)[1], cv2.IMREAD_COLOR)
    smaller = cv2.resize(image, (70, 60), interpolation=cv2.INTER_AREA)
    brighter = np.clip(image * 0.8 + 20, 0, 255).astype(np.uint8)
    pictures = [slow_picture(0), image, again, slow_picture(2), smaller, brighter]
    hashes = np.stack([difference_hash(picture) for picture in pictures])
    assert hashes.shape == (6, 32)
    assert group_images(list("abcdef"), hashes, SplitSpec()).tolist() == [0, 1, 1, 3, 1, 1]


def test_groups_chain():
    """A is near B and B near C: all three are one group, in whatever order they come."""
    hashes = np.zeros((3, 32), np.uint8)
    hashes[0, :2] = 255  # 16 bits from the last one, 32 from the middle one
    hashes[1, 2:4] = 255
    assert group_images(["a", "c", "b"], hashes, SplitSpec()).tolist() == [0, 0, 0]


def test_many_equal_images_take_no_time():
    assert group_images(["x"] * 1500, np.zeros((1500, 32), np.uint8), SplitSpec()).max() == 0


def slow_groups(names, hashes, bits, tied):
    """Who is near whom, closed over chains."""
    near = np.bitwise_count(hashes[:, None] ^ hashes[None]).sum(axis=2) <= bits
    if tied:
        near |= np.array([[a[0] == b[0] for b in names] for a in names])
    for middle in range(len(names)):
        near |= near[:, middle, None] & near[None, middle]
    return [int(np.argmax(row | (np.arange(len(names)) == i))) for i, row in enumerate(near)]


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 5)), min_size=1, max_size=25),
    st.one_of(st.sampled_from([-1, 0, 64, 255, 256, 1000]), st.integers(0, 60)),
    st.floats(0, 0.2),
    st.booleans(),
    st.integers(0, 99),
)
def test_groups_are_those_of_all_pairs(images, bits, flipped, tied, seed):
    """Pictures that are copies of a few, each with some bits flipped."""
    rng = np.random.default_rng(seed)
    pictures = rng.integers(0, 2, (6, 256))
    flips = rng.random((len(images), 256)) < flipped
    hashes = np.packbits(pictures[[picture for _, picture in images]] ^ flips, axis=1)
    names = [f"{case}{i}" for i, (case, _) in enumerate(images)]
    spec = SplitSpec(near_duplicate_bits=bits, group_by="^." if tied else None)
    assert group_images(names, hashes, spec).tolist() == slow_groups(names, hashes, bits, tied)


def test_interpreted_kernels_join_alike(monkeypatch):
    hashes = np.random.default_rng(0).integers(0, 2, (12, 32), dtype=np.uint8)
    spec = SplitSpec(near_duplicate_bits=10, group_by="^[ab]")
    names = [*"abcabcabcdef"]
    compiled = group_images(names, hashes, spec)
    for name, kernel in list(vars(kernels).items()):
        if hasattr(kernel, "py_func"):
            monkeypatch.setattr(kernels, name, kernel.py_func)
    with np.errstate(over="ignore"):  # the product of count_bits is meant to
        interpreted = group_images(names, hashes, spec)
    assert interpreted.tolist() == compiled.tolist()
    assert 1 < len(set(compiled.tolist())) < 12


@pytest.mark.parametrize("pattern", [r"^case\d+", r"^case(\d+)_"])
def test_pattern_groups_by_match_or_by_its_group(pattern):
    group = group_images(NAMES, far_hashes(40), SplitSpec(group_by=pattern))
    assert group.tolist() == [i // 4 * 4 for i in range(40)]


def test_names_without_a_match_stand_alone():
    assert group_images(
        ["p1_a", "x", "p1_b", "y"], far_hashes(4), SplitSpec(group_by=r"^p\d")
    ).tolist() == [0, 1, 0, 3]


def test_a_pattern_that_ties_nothing_is_refused():
    for pattern in (r"^patient", r"^[ab](x)?"):
        with pytest.raises(ConfigError, match="matches no name, such as 'a1'"):
            group_images(["a1", "b2"], far_hashes(2), SplitSpec(group_by=pattern))


def test_near_duplicates_can_be_let_apart():
    hashes = np.zeros((3, 32), np.uint8)
    assert group_images(list("abc"), hashes, SplitSpec()).tolist() == [0, 0, 0]
    apart = SplitSpec(near_duplicate_bits=-1)
    assert group_images(list("abc"), hashes, apart).tolist() == [0, 1, 2]


def test_groups_that_the_lists_part_are_named():
    group = np.array([0, 0, 2, 2, 4])
    splits = ["train", "test", "train", "none", "val"]
    assert parted_groups(list("abcde"), group, splits) == ["a"]


# ---------------------------------------------------------------- draws


@given(st.integers(0, 50), st.floats(0, 0.4), st.floats(0, 0.4))
def test_groups_are_never_parted(seed, val, test):
    splits, group = drawn(val=val, test=test, seed=seed, group_by=r"^case\d+")
    for g in np.unique(group):
        assert len({splits[i] for i in np.flatnonzero(group == g)}) == 1
    for name, share in (("val", val), ("test", test)):
        assert abs(splits.count(name) - share * 40) <= 4


def test_shares_and_seed():
    splits, _ = drawn(val=0.2, test=0.1)
    assert (splits.count("val"), splits.count("test"), splits.count("train")) == (8, 4, 28)
    assert drawn(val=0.2, test=0.1)[0] == splits
    assert drawn(val=0.2, test=0.1, seed=1)[0] != splits
    assert drawn(val=0, test=0)[0] == ["train"] * 40


@given(
    st.integers(1, 150),
    st.integers(1, 3),
    st.floats(0, 0.45),
    st.floats(0, 0.45),
    st.integers(0, 99),
    st.data(),
)
def test_an_added_image_moves_few_others(groups, largest, val, test, seed, data):
    """It may stand anywhere, alone or in a group that is there."""
    sizes = np.random.default_rng(seed).integers(1, largest, groups, endpoint=True)
    spec = SplitSpec(val=val, test=test, seed=seed)
    of = np.repeat(np.arange(groups), sizes).tolist()
    names = [f"{group}_{i}" for i, group in enumerate(of)]
    before = assign(names, first_members(of), spec)
    place = data.draw(st.integers(0, len(of)))
    of.insert(place, data.draw(st.integers(0, groups)))
    names.insert(place, "added")
    after = assign(names, first_members(of), spec)
    del after[place]
    moved = sum(a != b for a, b in zip(before, after, strict=True))
    # at each edge of a split some groups, and those that give way to them
    assert moved <= (3 if max(np.bincount(of)) == 1 else 8 * max(np.bincount(of)))


def first_members(of):
    return np.array([of.index(group) for group in of])


def test_draws_depend_on_names_alone():
    """Of 40 images on their own, whatever their order: no number of theirs plays a part."""
    order = np.random.default_rng(0).permutation(40)
    spec = SplitSpec(val=0.2, test=0.2)
    splits = assign(NAMES, np.arange(40), spec)
    shuffled = assign([NAMES[i] for i in order], np.arange(40), spec)
    assert shuffled == [splits[i] for i in order]


def test_a_large_group_does_not_keep_val_empty():
    names = [f"big_{i}" for i in range(60)] + [f"p{i}_0" for i in range(40)]
    for seed in range(20):
        splits, _ = drawn(names, seed=seed, group_by=r"^[a-z]+\d*")
        assert splits.count("val") == splits.count("test") == 10


# ---------------------------------------------------------------- lists


def test_lists_are_obeyed_and_val_is_carved_out_of_train(tmp_path):
    files = write_lists(tmp_path, train=NAMES[:30], test=[f"{n}.jpg" for n in NAMES[30:36]])
    splits, group = drawn(files=files, val=0.2, group_by=r"^case\d+")
    assert splits[36:] == ["none"] * 4
    assert splits[30:36] == ["test"] * 6
    assert 4 <= splits.count("val") <= 8
    assert set(splits[:30]) == {"train", "val"}
    for g in np.unique(group[:28]):  # case7 is parted by the lists themselves: it stays put
        assert len({splits[i] for i in np.flatnonzero(group == g)}) == 1
    assert splits[28:30] == ["train"] * 2


def test_given_val_is_not_added_to(tmp_path):
    files = write_lists(tmp_path, train=NAMES[:20], val=NAMES[20:23])
    assert drawn(files=files)[0].count("val") == 3


def test_unknown_names_are_told(tmp_path):
    files = write_lists(tmp_path, train=[*NAMES, "ghost.jpg", "phantom"])
    assert sorted(set(read_lists(files)) - set(NAMES)) == ["ghost", "phantom"]


def test_windows_files_and_blank_lines(tmp_path):
    path = tmp_path / "train.txt"
    path.write_bytes("\ufeffcase0_0.JPG\r\n\r\n  case0_1 \r\n".encode())
    splits = assign(NAMES, np.arange(40), SplitSpec((path,), val=0))
    assert splits[:3] == ["train", "train", "none"]


def test_listed_twice_is_refused(tmp_path):
    files = write_lists(tmp_path, train=["case0_0"], test=["case0_0.png"])
    with pytest.raises(ConfigError, match=r"test\.txt: 'case0_0' is also listed in train"):
        assign(NAMES, np.arange(40), SplitSpec(files))


def test_missing_and_unreadable_lists(tmp_path):
    with pytest.raises(FormatError, match=r"train\.txt: no such split file"):
        assign(NAMES, np.arange(40), SplitSpec((tmp_path / "train.txt",)))
    (tmp_path / "val.txt").write_bytes(b"\xff\xfe\x00g\xe4")
    with pytest.raises(FormatError, match=r"val\.txt: cannot be read as a UTF-8 list"):
        assign(NAMES, np.arange(40), SplitSpec((tmp_path / "val.txt",)))


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"val": 0.5, "test": 0.5}, "sum below 1"),
        ({"val": -0.1}, "sum below 1"),
        ({"group_by": "("}, "no regular expression"),
    ],
)
def test_impossible_options_are_refused(options, found):
    with pytest.raises(ConfigError, match=found):
        SplitSpec(**options)


def test_odd_file_names_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="named train, val, test"):
        SplitSpec((tmp_path / "training.txt",))


@pytest.mark.real
def test_known_near_duplicates_of_kvasir(data_folder):
    """All 1000 images: the three pairs that SOURCES.md names are found, few others."""
    paths = list_images(data_folder / "kvasir-seg" / "images")
    hashes = np.stack([difference_hash(read_image(path)) for path in paths.values()])
    group = dict(zip(paths, group_images(list(paths), hashes, SplitSpec()), strict=True))
    for a, b in (
        ("cju30bmab08bi0835mvlr6e0r", "cju77k828z46w0871r0avuoo9"),
        ("cju772304yw5t0818vbw8kkjf", "cju76lsehyia10987u54vn8rb"),
        ("cju8amfdtqi4x09871tygrgqe", "cju886ryxnsl50801r93jai7q"),
    ):
        assert group[a] == group[b]
    assert len(set(group.values())) >= 990
