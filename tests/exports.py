"""Small exports of every format, and ways to change them, for the tests of readers and ingest."""

import gzip
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

INTERVAL_US = 8333


@dataclass
class Sheet:
    """A delimited file as rows of cells; the first row is the header."""

    rows: list[list[str]]
    separator: str = "\t"

    @classmethod
    def load(cls, path: Path, separator: str = "\t") -> "Sheet":
        lines = path.read_text(encoding="utf-8").splitlines()
        return cls([line.split(separator) for line in lines], separator)

    def index(self, name: str) -> int:
        return self.rows[0].index(name)

    def column(self, name: str) -> list[str]:
        return [row[self.index(name)] for row in self.rows[1:]]

    def renamed(self, change: Callable[[str], str]) -> "Sheet":
        return Sheet([[change(name) for name in self.rows[0]], *self.rows[1:]], self.separator)

    def without(self, unwanted: Callable[[str], bool]) -> "Sheet":
        keep = [i for i, name in enumerate(self.rows[0]) if not unwanted(name)]
        return Sheet([[row[i] for i in keep] for row in self.rows], self.separator)

    def filled(self, name: str, value: str | Callable[[str], str]) -> "Sheet":
        """Put a value, or what it makes of the old one, into every row of a column."""
        at = self.index(name)
        change = value if callable(value) else lambda _: value
        body = [[*row[:at], change(row[at]), *row[at + 1 :]] for row in self.rows[1:]]
        return Sheet([self.rows[0], *body], self.separator)

    def where(self, name: str, wanted: Callable[[str], bool]) -> "Sheet":
        at = self.index(name)
        body = [row for row in self.rows[1:] if wanted(row[at])]
        return Sheet([self.rows[0], *body], self.separator)

    def cells(self, change: Callable[[str], str]) -> "Sheet":
        """Change every cell but the header's."""
        body = [[change(cell) for cell in row] for row in self.rows[1:]]
        return Sheet([self.rows[0], *body], self.separator)

    def quoted(self) -> "Sheet":
        return Sheet([[f'"{cell}"' for cell in row] for row in self.rows], self.separator)

    def text(self, newline: str = "\n") -> str:
        return "".join(self.separator.join(row) + newline for row in self.rows)

    def write(
        self, path: Path, *, encoding: str = "utf-8", newline: str = "\n", zipped: bool = False
    ) -> Path:
        content = self.text(newline).encode(encoding)
        path.write_bytes(gzip.compress(content) if zipped else content)
        return path


def prolab() -> Sheet:
    """Two looks at the middle of one image, half a second each, with a jump between them."""
    header = [
        "Recording timestamp [μs]",
        "Sensor",
        "Participant name",
        "Recording name",
        "Eyetracker timestamp [μs]",
        "Event",
        "Recording resolution width [px]",
        "Recording resolution height [px]",
        "Gaze point X [DACS px]",
        "Gaze point Y [DACS px]",
        "Gaze point left X [DACS mm]",
        "Gaze point left Y [DACS mm]",
        "Gaze point right X [DACS mm]",
        "Gaze point right Y [DACS mm]",
        "Eye position left X [DACS mm]",
        "Eye position left Y [DACS mm]",
        "Eye position left Z [DACS mm]",
        "Eye position right X [DACS mm]",
        "Eye position right Y [DACS mm]",
        "Eye position right Z [DACS mm]",
        "Validity left",
        "Validity right",
        "Presented Stimulus name",
        "Presented Media name",
        "Presented Media position X [DACS px]",
        "Presented Media position Y [DACS px]",
        "Presented Media width [px]",
        "Presented Media height [px]",
        "Original Media width [px]",
        "Original Media height [px]",
        "Eye movement type",
        "Eye movement type index",
        "Eye movement event duration [ms]",
        "Fixation point X [DACS px]",
        "Fixation point Y [DACS px]",
    ]
    rows = [_marker(header, 0, "RecordingStart")]
    rows += [_sample(i, header) for i in range(120)]
    rows.append(_marker(header, 2_000_000, "RecordingEnd"))
    return Sheet([header, *rows])


def _marker(header: list[str], time_us: int, event: str) -> list[str]:
    known = {
        "Recording timestamp [μs]": str(time_us),
        "Participant name": "P01",
        "Recording name": "Recording1",
        "Event": event,
    }
    return [known.get(name, "") for name in header]


def _sample(i: int, header: list[str]) -> list[str]:
    second = i >= 60
    x_px, y_px = (1100, 640) if second else (900, 500)
    label = ("Saccade", "1") if i in (59, 60) else ("Fixation", "2" if second else "1")
    time_us = 10_000 + i * INTERVAL_US
    eyes = []
    for shift in (0.0, 0.1):
        eyes += [f"{x_px * 0.275 + shift + 0.01 * (i % 3):.2f}", f"{y_px * 0.275:.2f}"]
    fixation = [str(x_px), str(y_px)] if label[0] == "Fixation" else ["", ""]
    return [
        *(str(time_us), "Eye Tracker", "P01", "Recording1", str(7_000_000 + time_us), ""),
        *("1920", "1080", str(x_px), str(y_px), *eyes),
        *("230.0", "150.0", "650.0", "290.0", "150.0", "650.0", "Valid", "Valid"),
        *("lesion", "lesion.jpg", "460", "40", "1000", "1000", "500", "500"),
        *(*label, "492" if label[0] == "Fixation" else "17", *fixation),
    ]


def eyelink_report() -> Sheet:
    """Two sessions of two trials, one position missing."""
    text = """RECORDING_SESSION_LABEL TRIAL_INDEX image CURRENT_FIX_INDEX CURRENT_FIX_START \
CURRENT_FIX_END CURRENT_FIX_X CURRENT_FIX_Y CURRENT_FIX_DURATION CURRENT_FIX_PUPIL
s01 1 a.jpg 1 22 221 511.80 417.50 200 811.0
s01 1 a.jpg 2 260 559 600.10 380.00 300 812.0
s01 1 a.jpg 3 600 699 . . 100 .
s01 2 b.jpg 1 10 309 500.00 400.00 300 800.0
s02 1 b.jpg 1 30 129 320.50 240.25 100 700.0
s02 2 a.jpg 1 5 154 300.00 200.00 150 700.0
s02 2 a.jpg 2 200 399 310.00 210.00 200 700.0"""
    return Sheet([line.split(" ") for line in text.splitlines()])


def gazemedseg() -> Sheet:
    text = """IMAGE,CURRENT_FIX_INDEX,CURRENT_FIX_X,CURRENT_FIX_Y,CURRENT_FIX_DURATION,\
CURRENT_FIX_START,CURRENT_FIX_PUPIL,IMAGE_HEIGHT,IMAGE_WIDTH
a.jpg,1,0.5,0.25,455,20,7,400.0,600.0
a.jpg,2,0.1,0.9,120,500,7,400.0,600.0
b.jpg,1,0.75,0.5,300,5,7,500.0,500.0
b.jpg,2,0.25,0.5,310,400,7,500.0,500.0"""
    return Sheet([line.split(",") for line in text.splitlines()], ",")


EXAMPLES: dict[str, Callable[[], Sheet]] = {
    "tobii-prolab": prolab,
    "eyelink-report": eyelink_report,
    "gazemedseg": gazemedseg,
}
"""One example per reader, by the reader's name."""
