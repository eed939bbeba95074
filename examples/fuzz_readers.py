"""Feed damaged exports to the readers, and say what they do other than read or refuse them.

    python examples/fuzz_readers.py --reader tobii-prolab --seconds 60
    python examples/fuzz_readers.py --reader eyelink-asc export.asc.gz   # more to damage
    python examples/fuzz_readers.py --reader smi-raw --again found/smi-raw-1

For any bytes a reader returns valid recordings or raises an error that names the file, within
2 s. What breaks this is printed once, and kept in the folder `found`; then the exit status is 1.
Damage is guided by what code it reaches if atheris is installed, and random if not. The examples
that are damaged are those of tests/exports, and files given here (32 KiB of each).
"""

import argparse
import gzip
import io
import os
import random
import re
import shutil
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

try:
    import atheris
except ImportError:
    atheris = None

from gazetools import kernels  # noqa: E402

for module in iter_modules(kernels.__path__):  # numba cannot compile what atheris instruments
    import_module(f"{kernels.__name__}.{module.name}")
with atheris.instrument_imports(include=["gazetools"]) if atheris else nullcontext():
    from gazetools.errors import GazeToolsError
    from gazetools.readers import READERS, ReadOptions, read
    from gazetools.tables import BLINKS, SACCADES, SAMPLES, validate_fixations

from exports import EXAMPLES, generic  # noqa: E402

LONGEST_S = 2.0
SEED_BYTES = 32 * 1024
TOKENS = (
    *(b"\t", b",", b";", b"\n", b"\r", b"\r\n", b'"', b'""', b"\0", b"\xff", b"\xc3", b" ", b"."),
    *(b"-", b"-0", b"-1", b"0", b"1e308", b"1e15", b"9007199254740993", b"99999999999999999999"),
    *(b"NA", b"NaN", b"inf", b"-inf", b"n/a", b"true", b"null", b"{}", b"[]", b"1,5", b"1e-300"),
    *(b"2026-11-22", b"23:59:59", b"../", b"\x0b", b"\x85", "ü\u2028".encode(), b"\n\n\n", b"\\"),
)


def zipped(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../export", content)
    return file.getvalue()


def damaged(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 0x55]) + content[middle + 1 :]


def utf16(order: str, mark: bytes = b"") -> Callable[[bytes], bytes]:
    return lambda content: mark + content.decode("latin-1").encode(f"utf-16-{order}")


WRAPPINGS: tuple[Callable[[bytes], bytes], ...] = (
    bytes,
    gzip.compress,
    zipped,
    utf16("le", b"\xff\xfe"),
    utf16("be", b"\xfe\xff"),
    utf16("le"),
    lambda content: gzip.compress(content)[:-9],
    lambda content: damaged(gzip.compress(content)),
    lambda content: damaged(zipped(content)),
    lambda content: b"\xef\xbb\xbf" + content,
)


@dataclass(frozen=True)
class Case:
    """One file of one example: what is read, and what is damaged first."""

    path: Path
    victim: Path
    content: bytes
    options: ReadOptions = field(default_factory=ReadOptions)


def cases_of(name: str, more: list[Path], folder: Path) -> list[Case]:
    """Examples of a reader; the last ones are the files in `more`."""
    made = _generic(folder) if name == "generic" else _examples(name, folder)
    path, options = made[-1].path, made[-1].options
    for number, file in enumerate(more):
        content = file.read_bytes()
        if content.startswith(b"\x1f\x8b"):
            content = gzip.decompress(content)
        if content.startswith(b"\xff\xfe"):
            content = content.decode("utf-16").encode()
        content = content[: content.rfind(b"\n", 0, SEED_BYTES) + 1] or content[:SEED_BYTES]
        path = folder / f"more{number}" / file.name.removesuffix(".gz")
        path.parent.mkdir()
        made.append(Case(path, path, content, options))
    return made


def _examples(name: str, folder: Path) -> list[Case]:
    (folder / "example").mkdir()
    path = EXAMPLES[name](folder / "example")
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return [Case(path, file, _plain(file)) for file in files]


def _plain(file: Path) -> bytes:
    content = file.read_bytes()
    content = gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content
    return content[: content.find(b"\n", SEED_BYTES) + 1] or content


def _generic(folder: Path) -> list[Case]:
    (folder / "samples").mkdir()
    (folder / "fixations").mkdir()
    table = generic.samples(folder / "samples")
    mapping = folder / "samples" / "mapping.toml"
    shutil.copy(ROOT / "examples" / "mapping.toml", mapping)
    pairs = [generic.fixations(folder / "fixations"), (table, mapping)]
    return [
        Case(path, victim, victim.read_bytes(), ReadOptions(mapping=toml))
        for path, toml in pairs
        for victim in (toml, path)
    ]


def mutate(content: bytes, random_: random.Random) -> bytes:
    """Put tokens in, cut, double and swap pieces and cells."""
    for _ in range(random_.choice((1, 1, 2, 4))):
        limit = random_.choice((300, len(content) + 1))
        at, other = (random_.randrange(min(limit, len(content) + 1)) for _ in range(2))
        begin, end = min(at, other), max(at, other)
        what = random_.randrange(8)
        if what == 0:
            content = content[:begin] + content[end:]
        elif what == 1:
            content = content[:end] + content[begin:end][:2000] + content[end:]
        elif what == 2:
            content = content[:end]
        elif what == 3 and content:
            lines = content.splitlines(keepends=True)
            lines[random_.randrange(len(lines))] = random_.choice(lines)
            content = b"".join(lines)
        elif what in (4, 5, 6):
            cells = re.split(rb"([\t,;\n ])", content)
            cells[random_.randrange(0, len(cells), 2)] = random_.choice((*TOKENS, *cells[::2][:99]))
            content = b"".join(cells)
        else:
            length = random_.choice((0, 0, 1, 4))
            content = content[:at] + random_.choice(TOKENS) + content[at + length :]
    return content[: 4 * SEED_BYTES]


class Fuzz:
    """Runs inputs: a byte for the case, a byte for the wrapping, then the victim's bytes."""

    def __init__(self, cases: list[Case], found: Path, name: str) -> None:
        self.cases, self.found, self.name = cases, found, name
        self.count = self.read = 0
        self.seen: set[tuple[str, ...]] = set()

    def seeds(self) -> list[bytes]:
        return [
            bytes([number, wrapping]) + case.content
            for number, case in enumerate(self.cases)
            for wrapping in (0, 1, 4)
        ]

    def run(self, data: bytes) -> None:
        case = self.cases[data[0] % len(self.cases) if data else 0]
        content = WRAPPINGS[data[1] % len(WRAPPINGS) if len(data) > 1 else 0](data[2:])
        case.victim.write_bytes(content)
        begin = time.perf_counter()
        try:
            self.check(case)
            slow = time.perf_counter() - begin > LONGEST_S
            self.read += 1
        except GazeToolsError as error:
            slow = time.perf_counter() - begin > LONGEST_S
            if not any(str(p) in str(error) for p in (case.path, case.options.mapping) if p):
                self.report(data, error)
        except Exception as error:  # noqa: BLE001
            slow = False
            self.report(data, error)
        if slow:
            self.report(data, TimeoutError(f"{time.perf_counter() - begin:.1f} s"))
        case.victim.write_bytes(case.content)
        self.count += 1

    def check(self, case: Case) -> None:
        recordings = read(case.path, case.options)
        try:
            for recording in recordings:
                SAMPLES.conform(recording.samples)
                validate_fixations(recording.fixations)
                SACCADES.conform(recording.saccades)
                BLINKS.conform(recording.blinks)
                assert (recording.samples["tracker_time_us"].diff().dropna() > 0).all(), "clock"
            names = {(recording.subject, recording.name) for recording in recordings}
            assert recordings, "nothing read, nothing said"
            assert len(names) == len(recordings), "two recordings of one name"
        except GazeToolsError as error:
            raise AssertionError(str(error)) from error

    def report(self, data: bytes, error: BaseException) -> None:
        frames = [f for f in traceback.extract_tb(error.__traceback__) if "gazetools" in f.filename]
        last = [f"{Path(f.filename).name}:{f.lineno}" for f in frames][-1:]
        where = (type(error).__name__, *last, *(() if last else (str(error)[:40],)))
        if where in self.seen:
            return
        self.seen.add(where)
        self.found.mkdir(exist_ok=True)
        file = self.found / f"{self.name}-{len(self.seen)}"
        file.write_bytes(data)
        print(f"\n{file}: {'; '.join(where)}", flush=True)
        traceback.print_exception(error, file=sys.stdout)

    def summary(self, how: str = "") -> int:
        """Print what was done; return the exit status."""
        done = f"{self.count} runs{how}, {self.read} of them read"
        print(f"{self.name}: {done}, {len(self.seen)} failures", flush=True)
        return int(bool(self.seen))


def main() -> int:
    """Fuzz one reader for some time; 1 if it did what it must not."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    names = [*(reader.name for reader in READERS), "generic"]
    parser.add_argument("--reader", choices=names, required=True)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--found", type=Path, default=Path("found"))
    parser.add_argument("--again", type=Path, help="run one kept input only")
    parser.add_argument("more", type=Path, nargs="*", help="exports to damage, never written to")
    options = parser.parse_args()
    warnings.simplefilter("error")
    with tempfile.TemporaryDirectory() as folder:
        cases = cases_of(options.reader, options.more, Path(folder))
        for case in cases:
            case.victim.write_bytes(case.content)
        fuzz = Fuzz(cases, options.found, options.reader)
        if options.again:
            fuzz.run(options.again.read_bytes())
            return int(bool(fuzz.seen))
        for seed in fuzz.seeds():
            fuzz.run(seed)
        deadline = time.monotonic() + options.seconds
        run = _with_atheris if atheris else _at_random
        run(fuzz, deadline, options.seed, Path(folder) / "corpus")
        return fuzz.summary()


def _at_random(fuzz: Fuzz, deadline: float, seed: int, corpus: Path) -> None:
    random_, seeds = random.Random(seed), fuzz.seeds()
    while time.monotonic() < deadline:
        data = random_.choice(seeds)
        wrapping = random_.choice((0, 0, 0, random_.randrange(len(WRAPPINGS))))
        fuzz.run(data[:1] + bytes([wrapping]) + mutate(data[2:], random_))


def _with_atheris(fuzz: Fuzz, deadline: float, seed: int, corpus: Path) -> None:
    corpus.mkdir()
    for number, data in enumerate(fuzz.seeds()):
        (corpus / str(number)).write_bytes(data)

    def run(data: bytes) -> None:
        fuzz.run(data)
        if time.monotonic() > deadline:  # libFuzzer has no other end than that of the process
            shutil.rmtree(corpus.parent)
            os._exit(fuzz.summary(" with atheris"))

    def mutated(data: bytes, largest: int, seed: int) -> bytes:
        random_ = random.Random(seed)
        if random_.random() < 1 / 3:
            return bytes(atheris.Mutate(data, largest))
        return data[:2] + mutate(data[2:], random_)[: largest - 2]

    arguments = ["fuzz", f"-seed={seed + 1}", f"-max_len={4 * SEED_BYTES}", "-verbosity=0"]
    atheris.Setup([*arguments, "-timeout=60", str(corpus)], run, custom_mutator=mutated)
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
