"""Outputs that appear whole or not at all, locks, and what killed processes leave."""

import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from gazetools import files
from gazetools.errors import FormatError, OutputError
from gazetools.files import (
    DeafFile,
    file_sha256,
    locked,
    replacing,
    replacing_folder,
    sweep_orphans,
    uninterrupted,
)


def test_deaf_file_keeps_its_first_error(tmp_path):
    with DeafFile(tmp_path / "a") as file:
        file.write(b"abc")
        file.check()
        file._error = OSError(28, "No space left on device")
        assert file.write(b"def") == 3
        assert file.truncate(100) == 100
        file.seek(1)
        found = bytearray(b"????")
        assert file.readinto(found) == 4
        assert found == b"bc\0\0"
        with pytest.raises(OSError, match="No space left"):
            file.check()
    assert (tmp_path / "a").read_bytes() == b"abc"


def test_interrupts_wait_for_the_end_of_the_block():
    done = []

    def press_and_go_on():
        with uninterrupted():
            signal.raise_signal(signal.SIGINT)
            done.append("went on")

    with pytest.raises(KeyboardInterrupt):
        press_and_go_on()
    assert done == ["went on"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_replacing_syncs_before_it_renames(tmp_path, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    path = tmp_path / "out"
    path.write_text("before")
    monkeypatch.setattr(os, "fsync", full)
    with (
        pytest.raises(OutputError, match="out: cannot be written"),
        replacing(path, overwrite=True) as temporary,
    ):
        temporary.write_text("after")
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_what_need_not_last_is_not_synced(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda _: pytest.fail("synced"))
    with replacing(tmp_path / "out", durable=False) as temporary:
        temporary.write_text("after")
    assert (tmp_path / "out").read_text() == "after"


# ---------------------------------------------------------------- inputs


def unreadable(path, monkeypatch):
    """Make a file that even root cannot read."""
    path.touch()
    opened = type(path).open

    def refuse(self, *given, **options):
        if self == path:
            raise OSError(5, "Input/output error", str(path))
        return opened(self, *given, **options)

    monkeypatch.setattr(type(path), "open", refuse)


def test_an_input_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    said = r"a\.png: cannot be read \(No such file or directory\)"
    with pytest.raises(FormatError, match=said):
        file_sha256(tmp_path / "a.png")
    unreadable(tmp_path / "b.png", monkeypatch)
    for path in (tmp_path / "b.png", tmp_path):
        with pytest.raises(FormatError, match=r"b\.png: cannot be read \(Input/output error\)"):
            file_sha256(path)


@pytest.mark.parametrize("replace", [replacing, replacing_folder])
def test_a_bad_input_is_not_taken_for_a_bad_output(tmp_path, replace):
    with (
        pytest.raises(FormatError, match=r"a\.png: cannot be read"),
        replace(tmp_path / "out"),
    ):
        file_sha256(tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------- killed processes


def run_and_kill(code, *given):
    """Run a script until it prints something, and kill it there."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, given)], stdout=subprocess.PIPE
    )
    said = process.stdout.readline()
    process.kill()
    process.wait()
    process.stdout.close()
    assert said, "the script ended before it could be killed"
    return process.pid


WRITE = """
    import sys, time
    from pathlib import Path
    from gazetools.files import replacing, replacing_folder
    with replacing(Path(sys.argv[1])) as a, replacing_folder(Path(sys.argv[2])) as b:
        a.write_text("half")
        (b / "half").write_text("half")
        print("now", flush=True)
        time.sleep(60)
"""


def test_orphans_of_killed_processes_are_swept(tmp_path):
    out, folder = tmp_path / "out[1].h5", tmp_path / "out"
    run_and_kill(WRITE, out, folder)
    left = set(tmp_path.iterdir())
    assert len(left) == 2
    with replacing(out) as ours, replacing_folder(folder) as our_folder:
        ours.write_text("whole")
        assert set(tmp_path.iterdir()) == {ours, our_folder}
        assert sweep_orphans(out) == sweep_orphans(folder) == []
        assert set(tmp_path.iterdir()) == {ours, our_folder}
    assert sorted(tmp_path.iterdir()) == [folder, out]
    assert sweep_orphans(out) == []


def test_what_is_not_surely_an_orphan_of_this_output_stays(tmp_path):
    """Of other outputs, of other machines, of processes that live, or named by a person."""
    with replacing(tmp_path / "probe") as temporary:
        temporary.touch()
        host, _, run = temporary.name.split(".")[2:5]
    gone = run_and_kill("print('x', flush=True); import time; time.sleep(60)")
    stays = [
        f".out.h5.elsewhere.{gone}.{run}.part",
        f".out.h5.{host}.{os.getppid()}.{run}.part",
        f".out.h5.{host}.{os.getpid()}.{run}.part.parts",
        f".out.h5.h5.{host}.{gone}.{run}.part",
        f".other.h5.{host}.{gone}.{run}.part",
        f"out.h5.{host}.{gone}.{run}.part",
        f".out.h5.{host}.{gone}.{run}.part.txt",
        f".out.h5.{host}.{gone}.{run}.old.parts",
        f".out.h5.{host}.{10**40}.{run}.part",
        ".out.h5.part",
    ]
    for name in stays:
        (tmp_path / name).touch()
    orphan = tmp_path / f".out.h5.{host}.{gone}.{run}.part"
    orphan.touch()
    (tmp_path / "probe").unlink()
    assert sweep_orphans(tmp_path / "out.h5") == [orphan]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(stays)


def test_folders_beside_orphans_are_swept_too(tmp_path):
    """Parts that killed workers of a killed process wrote for it."""
    run_and_kill(WRITE, tmp_path / "out", tmp_path / "other")
    (left,) = tmp_path.glob(".out.*.part")
    parts = left.with_name(f"{left.name}.parts")
    (parts / "0").mkdir(parents=True)
    (parts / "1.parquet").write_text("half")
    assert sweep_orphans(tmp_path / "out") == [left, parts]
    assert [path.name.split(".")[1] for path in tmp_path.iterdir()] == ["other"]


def test_orphans_of_a_process_that_had_our_number_are_swept(tmp_path):
    """As in a container that is started again: the same host name, the same numbers."""
    run_and_kill(WRITE, tmp_path / "out", tmp_path / "folder")
    orphans = []
    for left in list(tmp_path.iterdir()):
        parts = left.name.split(".")
        parts[3] = str(os.getpid())
        orphans.append(left.rename(tmp_path / ".".join(parts)))
    with replacing(tmp_path / "out") as ours:
        ours.touch()
        assert ours not in orphans
        assert len(sweep_orphans(tmp_path / "folder")) == 1
        assert list(tmp_path.iterdir()) == [ours]


def test_a_folder_that_was_taken_away_is_put_back(tmp_path):
    """Killed between the two renames: the old folder is all there is."""
    out = tmp_path / "out"
    with replacing_folder(out) as temporary:
        (temporary / "a").write_text("old")
    gone = run_and_kill("print('x', flush=True); import time; time.sleep(60)")
    before = tmp_path / temporary.name.replace(f".{os.getpid()}.", f".{gone}.").replace(
        ".part", ".old"
    )
    out.replace(before)
    assert sweep_orphans(out) == []
    assert (out / "a").read_text() == "old"
    before.mkdir()
    assert sweep_orphans(out) == [before]
    assert list(tmp_path.iterdir()) == [out]


# ---------------------------------------------------------------- locks


LOCK = """
    import os, sys, time
    from pathlib import Path
    from gazetools.files import locked
    with locked(Path(sys.argv[1])):
        if len(sys.argv) > 2 and os.fork() == 0:
            time.sleep(5)
            os._exit(0)
        print("now", flush=True)
        time.sleep(60)
"""


def start_locking(path):
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(LOCK), path], stdout=subprocess.PIPE
    )
    process.stdout.readline()
    return process


def test_a_lock_keeps_others_out_and_names_its_owner(tmp_path):
    path = tmp_path / "out.h5"
    process = start_locking(path)
    said = rf"out\.h5: is being written by another gazetools \(process {process.pid}\); wait"
    for _ in range(2):
        with pytest.raises(OutputError, match=said), locked(path):
            pytest.fail("got in")
    process.kill()
    process.wait()
    process.stdout.close()
    with locked(path):
        assert (tmp_path / ".out.h5.lock").read_text() == str(os.getpid())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_lock_dies_with_its_owner_not_with_what_that_forked(tmp_path):
    run_and_kill(LOCK, tmp_path / "out.h5", "fork")
    with locked(tmp_path / "out.h5"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_lock_keeps_other_threads_out_and_is_given_back(tmp_path):
    said = []

    def try_it():
        try:
            with locked(tmp_path / "." / "out.h5"):
                said.append("got in")
        except OutputError as error:
            said.append(str(error))

    with locked(tmp_path / "out.h5"), locked(tmp_path / "other.h5"):
        thread = threading.Thread(target=try_it)
        thread.start()
        thread.join()
    assert f"(process {os.getpid()})" in said[0]
    with pytest.raises(ValueError, match="a bug"), locked(tmp_path / "out.h5"):
        raise ValueError("a bug")
    assert list(tmp_path.iterdir()) == []
    try_it()
    assert said[1:] == ["got in"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", [".", "", "/"])
def test_a_lock_on_what_is_no_name_of_a_file(name):
    with pytest.raises(OutputError, match="is a folder; name a file in it"), locked(Path(name)):
        raise AssertionError("in")


def test_a_lock_where_nothing_can_be_written(tmp_path):
    said = r"out\.h5: cannot be locked \(No such file or directory\)"
    with pytest.raises(OutputError, match=said), locked(tmp_path / "none" / "out.h5"):
        pytest.fail("got in")
    (tmp_path / ".out.h5.lock").mkdir()
    with pytest.raises(OutputError, match=r"out\.h5: cannot be locked \(Is a dir"):
        locked(tmp_path / "out.h5").__enter__()


@pytest.mark.skipif(not hasattr(os, "O_NOFOLLOW"), reason="no such links here")
def test_a_lock_does_not_write_where_a_link_leads(tmp_path):
    (tmp_path / "precious").write_text("mine")
    (tmp_path / ".out.h5.lock").symlink_to(tmp_path / "precious")
    with pytest.raises(OutputError, match="cannot be locked"), locked(tmp_path / "out.h5"):
        pytest.fail("got in")
    assert (tmp_path / "precious").read_text() == "mine"


def test_a_lock_on_a_file_that_was_just_removed_does_not_count(tmp_path, monkeypatch):
    """Its owner removed it after we had opened it: the next to come would make another."""
    beside, really, calls = tmp_path / ".out.h5.lock", files._try_to_lock, []

    def too_late(file):
        if not calls:
            beside.unlink()
        calls.append(file)
        return really(file)

    monkeypatch.setattr(files, "_try_to_lock", too_late)
    with locked(tmp_path / "out.h5"):
        assert beside.read_text() == str(os.getpid())
    assert len(calls) == 2


def come_and_go(path, alone, times):
    """Enter the lock's block again and again; `alone` exists while somebody is in it."""
    for _ in range(times):
        with suppress(OutputError), locked(path):
            alone.touch(exist_ok=False)
            alone.unlink()


def test_two_are_never_in_at_once(tmp_path):
    """Many processes that come, go, and remove the lock's file."""
    context = multiprocessing.get_context("spawn")
    given = (tmp_path / "out.h5", tmp_path / "alone", 500)
    crowd = [context.Process(target=come_and_go, args=given) for _ in range(3)]
    for process in crowd:
        process.start()
    for process in crowd:
        process.join()
    assert [process.exitcode for process in crowd] == [0, 0, 0]
    assert list(tmp_path.iterdir()) == []
