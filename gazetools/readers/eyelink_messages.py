"""What the messages of an EyeLink ASC file say: trials, stimuli, the screen, validations."""

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from gazetools.errors import FormatError
from gazetools.geometry import Placement
from gazetools.readers.building import Floats, Integers
from gazetools.readers.eyelink_lines import Asc, number, number_or_nan
from gazetools.readers.trial_marks import trial_rule

STIMULUS_NAMES = ("image", "image_name", "image_file", "stimulus", "picture", "media")

_LONGEST_PX = 100_000
_TRIALS = (
    (re.compile(r"TRIALID\b"), re.compile(r"TRIAL_RESULT")),
    (re.compile(r"start_trial\b"), re.compile(r"(stop|end)_trial\b")),
)
"""What begins a trial and what ends it, as SR's software and as OpenSesame writes it."""
_VARIABLE = re.compile(r"(?:!V TRIAL_VAR|var) (\S+) (.+)")
_COORDINATE = re.compile(r"-?\d{1,6}(\.\d{0,6})?")
_OFFSET = re.compile(r"(-?\d{1,6}) (?=\S)")
_VALIDATION = re.compile(
    r"!CAL VALIDATION .*?(LEFT|RIGHT)\s+\S+\s+ERROR\s+([\d.]{1,9})\s+avg\.\s+([\d.]{1,9})\s+max"
)
_IMGLOAD = re.compile(r"!V IMGLOAD (FILL|TOP_LEFT|CENTER)\s+(.+?)((?:\s+-?\d+(?:\.\d+)?){0,4})\s*$")


def texts(names: Sequence[str | None], codes: Integers) -> pd.Series:
    """Return the name of each code (n,)."""
    return pd.Series(pd.array(list(names), dtype="str").take(codes))


@dataclass(frozen=True)
class AscScreen:
    """GAZE_COORDS: where gaze counts from, and the size of the display."""

    left: float
    top: float
    width_px: int
    height_px: int


@dataclass(frozen=True)
class _Mark:
    """Where a trial begins, or what is said in it."""

    time_ms: float
    line: int
    text: str = ""


@dataclass(frozen=True)
class _Image:
    """An IMGLOAD: a name, and the rectangle as far as it is told."""

    name: str
    how: str
    numbers: tuple[float, ...]


def _messages(asc: Asc) -> list[_Mark]:
    """Messages with their times; a whole number in front of the text is taken off the time."""
    marks = []
    for line in asc.lines:
        if line.word != "MSG":
            continue
        stamp, _, text = line.text.partition(" ")
        time_ms = number(asc.path, line, [stamp] if stamp else [], 0, "a time in ms")
        offset = _OFFSET.match(text)
        if offset:
            time_ms, text = time_ms - int(offset[1]), text[offset.end() :]
        marks.append(_Mark(time_ms, line.number, text))
    return marks


def _matching(asc: Asc, messages: Sequence[_Mark], rule: str) -> list[tuple[_Mark, str | None]]:
    pattern = trial_rule(asc.path, rule)
    found = [(mark, pattern.search(mark.text)) for mark in messages]
    marks = [(mark, hit[1] if hit.re.groups else None) for mark, hit in found if hit]
    if not marks:
        such = ", ".join(repr(mark.text[:40]) for mark in messages[-5:]) or "none"
        raise FormatError(
            f"{asc.path}: no message matches {rule!r}, with which trials are to begin; the last "
            f"messages are {such}"
        )
    return marks


def _block_marks(asc: Asc) -> list[_Mark]:
    """Beginnings of the recording blocks that hold samples or say when they start."""
    of_sample = asc.samples.block
    marks = []
    for index, block in enumerate(asc.blocks):
        first = int(np.searchsorted(of_sample, index))
        times = [] if block.start_ms is None else [block.start_ms]
        if first < len(of_sample) and of_sample[first] == index:
            times.append(float(asc.samples.time_ms[first]))
        if times:
            marks.append(_Mark(min(times), block.first_line))
    return marks


class Trials:
    """Which rows are which trial, and what it showed."""

    def __init__(self, asc: Asc, rule: str | None) -> None:
        messages = _messages(asc)
        self._asc = asc
        told = [[[m for m in messages if one.match(m.text)] for one in pair] for pair in _TRIALS]
        begins, ends = next((pair for pair in told if pair[0]), told[0])
        self._ends = [m.time_ms for m in ends]
        self._images: dict[int, list[_Image]] = {}
        given: list[str | None]
        if rule is not None:
            matched = _matching(asc, messages, rule)
            self._marks, given = [mark for mark, _ in matched], [name for _, name in matched]
        else:
            self._marks = begins or _block_marks(asc)
            given = [None] * len(self._marks)
        self._names = self._named(messages, given)

    def _named(self, messages: Sequence[_Mark], given: list[str | None]) -> list[str | None]:
        """Stimulus of each trial; the first is that of no trial."""
        lines = [mark.line for mark in self._marks]
        variables: dict[int, dict[str, str]] = {}
        for message in messages:
            trial = bisect_right(lines, message.line)
            image = _IMGLOAD.match(message.text)
            if image:
                numbers = tuple(float(v) for v in image[3].split())
                self._images.setdefault(trial, []).append(_Image(image[2], image[1], numbers))
            variable = _VARIABLE.match(message.text)
            if variable:
                value = variable[2].strip().strip('"')
                variables.setdefault(trial, {})[variable[1].lower()] = value
        names: list[str | None] = [None]
        for trial, name in enumerate(given, start=1):
            told = {key: v for key, v in variables.get(trial, {}).items() if v != "."}
            said = next((told[key] for key in STIMULUS_NAMES if key in told), None)
            shown = self._images.get(trial, [])
            # "stim" may as well be the number of a condition
            names.append(name or said or (shown[0].name if shown else told.get("stim")))
        return _short(names)

    def of_rows(self, time_us: Integers, block: Integers) -> Integers:
        """Trial of each row (n,), 0 between."""
        count = len(time_us)
        trial = np.zeros(count, np.int64)
        begins = _rows_at(time_us, [mark.time_ms for mark in self._marks])
        lasts = np.append(begins[1:], count)
        ends = np.append(np.unique(_rows_at(time_us, self._ends)), count + 1)
        for index in np.flatnonzero(begins < lasts).tolist():
            first, last = begins[index], lasts[index]
            end = ends[np.searchsorted(ends, first, "right")]
            if end > last:  # what ends it is not told
                end = min(last, np.searchsorted(block, block[first], "right"))
            trial[first:end] = index + 1
        return trial

    def begin_ms(self, trial: Integers) -> Floats:
        """When the trial of each event (n,) began, in a file without samples.

        That is at its message, or, if nothing was recorded then, with the block that follows.
        """
        blocks = self._asc.blocks
        lines = np.array([0, *(mark.line for mark in self._marks)])
        following = np.searchsorted([block.last_line for block in blocks], lines)
        started = np.array([block.start_ms or 0.0 for block in blocks])
        marks = np.array([-np.inf, *(mark.time_ms for mark in self._marks)])
        begin = np.maximum(started[np.minimum(following, len(blocks) - 1)], marks)
        return np.asarray(begin[trial], np.float64)

    def stimulus(self, trial: Integers) -> pd.Series:
        """Name of what each of the trials (n,) showed."""
        return texts(self._names, trial)

    def placements(self, screen: AscScreen | None) -> dict[str, Placement]:
        """Where the stimuli lay, as far as it is told and always the same."""
        found: dict[str, set[Placement]] = {}
        for trial, images in self._images.items():
            name = self._names[trial]
            mine = {image for image in images if _stem(image.name) == _stem(name or "")}
            mine = mine or set(images)
            place = _placement(mine.pop(), screen) if len(mine) == 1 else None
            if name is not None and place is not None:
                found.setdefault(name, set()).add(place)
        return {name: places.pop() for name, places in found.items() if len(places) == 1}


def _rows_at(time_us: Integers, times_ms: Sequence[float]) -> Integers:
    # messages come in order, but for what their authors took off
    at = np.searchsorted(time_us, np.array(times_ms, np.float64) * 1000)
    return np.asarray(np.maximum.accumulate(at), np.int64)


def _short(paths: Sequence[str | None]) -> list[str | None]:
    """Names without folders, unless that makes two of them one."""
    last = {path: re.split(r"[\\/]", path)[-1] or path for path in paths if path}
    if len(set(last.values())) < len(last):
        return list(paths)
    return [last[path] if path else None for path in paths]


def _stem(path: str) -> str:
    return re.split(r"[\\/]", path)[-1].rpartition(".")[0] or path


def _placement(image: _Image, screen: AscScreen | None) -> Placement | None:
    """Rectangle of an IMGLOAD, in px from the top left; image px are those that were shown."""
    if image.how == "FILL":
        if screen is None:
            return None
        x, y, width, height = 0.0, 0.0, float(screen.width_px), float(screen.height_px)
    elif len(image.numbers) == 4:
        x, y, width, height = image.numbers
        if image.how == "CENTER":
            x, y = x - width / 2, y - height / 2
        left, top = origin(screen)
        x, y = x - left, y - top
    else:
        return None
    if not all(1 <= size <= _LONGEST_PX for size in (width, height)):
        return None
    return Placement(x, y, width, height, round(width), round(height))


def origin(screen: AscScreen | None) -> tuple[float, float]:
    """Return where gaze counts from, (x, y) in px."""
    return (0.0, 0.0) if screen is None else (screen.left, screen.top)


def screen_of(asc: Asc) -> AscScreen | None:
    """GAZE_COORDS, else DISPLAY_COORDS; the first of them that tells a size."""
    for name in ("GAZE_COORDS", "DISPLAY_COORDS"):
        told = re.compile(rf" {name}[ =:]+(.*)")
        for line in asc.lines:
            found = told.search(line.text) if line.word == "MSG" else None
            if found:
                screen = _screen_of(found[1].replace(",", " ").split())
                if screen is not None:
                    return screen
    return None


def _screen_of(words: Sequence[str]) -> AscScreen | None:
    if len(words) < 4 or not all(_COORDINATE.fullmatch(word) for word in words[:4]):
        return None
    left, top, right, bottom = (float(word) for word in words[:4])
    width, height = (round(size) for size in (right - left, bottom - top))
    # right and bottom are the last pixel; displays have an even number of them
    width, height = width + width % 2, height + height % 2
    if not (1 <= width <= _LONGEST_PX and 1 <= height <= _LONGEST_PX):
        return None
    return AscScreen(left, top, width, height)


def validation_of(asc: Asc) -> dict[str, float]:
    """Return the mean of the validations that were the last before something was recorded."""
    latest: dict[str, tuple[float, float]] = {}
    used: dict[str, dict[int, tuple[float, float]]] = {}
    lines: dict[str, int] = {}
    for line in asc.lines:
        if line.word == "START":
            for eye, errors in latest.items():
                used.setdefault(eye, {})[lines[eye]] = errors
        told = _VALIDATION.search(line.text) if line.word == "MSG" else None
        if told:
            eye = told[1].lower()
            lines[eye] = line.number
            latest[eye] = (number_or_nan(told[2]), number_or_nan(told[3]))
    out = {}
    for eye, all_errors in used.items():
        mean = np.mean(list(all_errors.values()), axis=0)
        out[f"{eye}_accuracy_deg"], out[f"{eye}_worst_deg"] = float(mean[0]), float(mean[1])
    means = [out[f"{eye}_accuracy_deg"] for eye in used]
    return out | ({"accuracy_deg": float(np.mean(means))} if means else {})
