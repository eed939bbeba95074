"""SR Research EyeLink recording as text (ASC), as edf2asc writes it.

Versions seen: EyeLink 1000 (host 5.03), edfapi 3.1; 250-2000 Hz, one eye, two eyes, remote.
Encodings UTF-8 and Windows' Latin-1, told anew for each line; LF or CRLF, plain or gz. Raw lines
(tabs shown as "|")::

    ** CONVERTED FROM bino1000.edf using edfapi 3.1
    MSG|7427361 GAZE_COORDS 0.00 0.00 1023.00 767.00
    START|7427362|LEFT|RIGHT|SAMPLES|EVENTS
    SAMPLES|GAZE|LEFT|RIGHT|RATE|1000.00|TRACKING|CR|FILTER|2
    7427362|  502.3|  411.1| 1103.0|  512.8|  395.9| 1094.0|.....
    EFIX L   7427371|7428103|733|  496.7|  402.8|   1070
    END|7428228|SAMPLES|EVENTS|RES|  35.19|  35.15

==========================================  ==================================================
SAMPLES column                              where it stands
==========================================  ==================================================
``tracker_time_us``                         time (ms) of a sample line
``left_x_px`` ... ``right_pupil``           x, y, pupil of each eye that the SAMPLES line names
``x_px``, ``y_px``                          mean of the eyes that were seen
``vendor_event``, ``vendor_event_index``    EFIX, ESACC, EBLINK ("missing") of one eye
==========================================  ==================================================

Recording blocks (START to END) may differ in eyes and are one recording; those of another rate
than the first are a recording of their own, ``name-500Hz``, as a detector needs one rate. Columns
after the pupil (velocity, resolution, input, buttons, flags, head target) are not read; behind
the flags lines may differ in number, as a remote tracker's do when it loses its target. A file
of sample lines alone does not say which eye it holds: then there are no columns of eyes, and
the pupil stands in ``pupil``. Positions "." and pupil 0 are NaN, and so is the number that
``edf2asc -miss`` puts in place of ".", where the pupil is 0; if no pupil was recorded, only a
negative one. At 2000 Hz the times of two samples are the same whole ms; the second is half a ms
later. Gaze counts from the top left of GAZE_COORDS (or DISPLAY_COORDS), whose right and bottom are
the last pixel: 1023 is 1024 px wide; an even number is taken to be the width itself.

A trial begins at each message TRIALID, or, where there is none, at each start_trial (as OpenSesame
writes it), else at each START; or at each message that the user's rule matches. It ends with
TRIAL_RESULT (where trials are start_trial, with stop_trial or end_trial), even if recording was
paused before; where there is none, with the END of the recording block that it began in; and in any
case with the next one. Between, the trial is 0. Trials are counted from 1, with or without samples.
Its stimulus is the group of the user's rule, else the TRIAL_VAR (or ``var``) called image,
stimulus, picture ... of Data Viewer's protocol, else the first IMGLOAD, else the variable stim. An
IMGLOAD that tells a rectangle becomes a Placement. A message that begins with a whole number is
that many ms older than it says, as SR's software writes it (``MSG 7427430 -11 Initial_display``:
later).

EFIX, ESACC and EBLINK give the first and the last sample, both inclusive; the duration they
state is one sample interval longer than the difference, that is, half-open, and taken as it is
(at 2000 Hz it is cut to whole ms, half a ms short). Of two eyes the events of one are listed,
the one with more samples (if they have as many, with more fixations; then the right), in blocks
without it the other. ``first_row`` and ``last_row`` are the samples with these times. An EFIX
that states an earlier fixation's start, as EyeLink now and then does, begins at the SFIX between
the two. Events in HREF tell their places twice, those in gaze behind the others.

Dropped and counted: messages and button or input lines that say nothing of the above, events of
the other eye, events without a position or a beginning (edf2asc writes 4294967295 there), samples
outside of the blocks, samples that repeat a time or whose clock steps back. Coordinates other
than GAZE (HREF, raw) are no screen px: such samples are refused, or, where the events are in
GAZE, dropped and counted. Files that were put together, with a second header or a START before
the one above it, are refused: each is a recording, maybe someone else's, with a clock of its own.
"""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gazetools.errors import FormatError
from gazetools.readers.building import (
    EYES,
    Floats,
    Integers,
    add_counts,
    mean_of_eyes,
    times_of_stamps,
)
from gazetools.readers.eyelink_events import events_of_one_eye, labels
from gazetools.readers.eyelink_lines import Asc, Line, by_rate, read_asc
from gazetools.readers.eyelink_messages import (
    AscScreen,
    Trials,
    origin,
    screen_of,
    texts,
    validation_of,
)
from gazetools.readers.opening import stem_of
from gazetools.readers.recording import Head, Reader, ReadOptions, Recording
from gazetools.tables import BLINKS, FIXATIONS, SACCADES, SAMPLES
from gazetools.timeline import sample_spans_us

_SOURCE = "vendor:eyelink-asc"
_WORDS = "MSG|START|SAMPLES|EVENTS|PRESCALER|EFIX|SFIX|ESACC|SSACC|EBLINK|SBLINK|INPUT|BUTTON"
_LINE = re.compile(
    rf"^(?:{_WORDS})[ \t]+(?:[LR][ \t]+)?(?:\d+(?:\.\d+)?\s|GAZE|HREF|PUPIL|RAW)", re.MULTILINE
)
_SAMPLE = re.compile(r"\d+(\.\d+)?(\t *(-?\d+(\.\d+)?|\.|nan)){2}\t", re.IGNORECASE)
_COUNTED = {"MSG": "messages", "INPUT": "input lines", "BUTTON": "button lines"}


def refusal(head: Head) -> str:
    """Say why a file is no ASC file, or "" if it is."""
    first = head.text.lstrip("\ufeff\r\n ").split("\n", 1)[0]
    if first.startswith("** CONVERTED FROM") or _LINE.search(head.text):
        return ""
    if re.search(r"\.asc(\.gz|\.zip)?$", head.path.name, re.IGNORECASE) and _SAMPLE.match(first):
        return ""
    return "no line as START, MSG or EFIX with a time, and no header '** CONVERTED FROM'"


def read(path: Path, options: ReadOptions) -> list[Recording]:
    """Read an ASC file as one recording, or one for each sample rate.

    Raises
    ------
    FormatError
        A line is damaged, it holds no gaze in screen px or several recordings, or no message
        matches the user's rule.
    """
    asc = read_asc(path)
    _expect_one_file(asc)
    trials = Trials(asc, options.trial_from)
    screen = screen_of(asc)
    parts = by_rate(asc)
    told: dict[str, Any] = {
        "placements": trials.placements(screen),
        "screen_px": None if screen is None else (screen.width_px, screen.height_px),
        "validation": validation_of(asc),
        "about": _about(asc),
    }
    skipped = Counter(_COUNTED[line.word] for line in asc.lines if line.word in _COUNTED)
    skipped["samples outside of a recording block"] = asc.outside
    recordings: list[Recording] = []
    for part in parts:
        rate = _rate_hz(part)
        name = stem_of(path) + (f"-{rate:g}Hz" if recordings and rate else "")
        recording = _recording(part, name, trials, screen, skipped)
        if recording is not None:
            recordings.append(replace(recording, fixed_rate_hz=rate, **told))
            skipped = Counter()
    if not recordings:
        raise FormatError(
            f"{path}: neither samples nor fixations among {len(asc.lines)} lines; convert the "
            "EDF file again with samples or events"
        )
    return recordings


def _expect_one_file(asc: Asc) -> None:
    """Raise a FormatError where another file was put behind the first."""
    starts = [(block.first_line, block.start_ms) for block in asc.blocks if block.start_ms]
    begins = [line for (_, last_ms), (line, ms) in pairwise(starts) if ms < last_ms]
    headers = [line.number for line in asc.lines if _is_header(line)]
    begins += [number for number in headers if starts and number > starts[0][0]]
    if begins:
        raise FormatError(
            f"{asc.path}:{min(begins)}: another recording begins here (a second header, or a clock "
            "that steps back), expected one in a file; cut the file above this line, or convert "
            "each EDF file to a file of its own"
        )


def _is_header(line: Line) -> bool:
    return line.word == "**" and line.text.startswith("CONVERTED FROM")


def _rate_hz(asc: Asc) -> float | None:
    rates = {block.rate_hz for block in asc.blocks if block.rate_hz}
    return rates.pop() if len(rates) == 1 else None


def _recording(
    asc: Asc, name: str, trials: Trials, screen: AscScreen | None, skipped: Counter[str]
) -> Recording | None:
    rows = _rows(asc, skipped)
    samples = _samples(rows, trials, name, screen)
    events = events_of_one_eye(asc, rows.time_us, rows.gaze, screen, skipped)
    if not len(rows.time_us) and not len(events["EFIX"]):
        return None
    if any(len(table) for table in events.values()):
        samples |= labels(samples["x_px"], events)
    fixations, saccades, blinks = (
        _placed(table, samples, rows, trials).assign(
            recording=name, subject="unnamed", source=_SOURCE
        )
        for table in events.values()
    )
    fixations = fixations.sort_values(["trial", "onset_ms"], kind="stable", ignore_index=True)
    fixations["order"] = fixations.groupby("trial").cumcount() + 1
    return Recording(
        name=name,
        subject="unnamed",
        format=READER.name,
        path=asc.path,
        samples=_table(samples),
        fixations=FIXATIONS.conform(fixations),
        saccades=SACCADES.conform(saccades),
        blinks=BLINKS.conform(blinks),
        skipped=add_counts(skipped),
    )


# ---------------------------------------------------------------- samples


@dataclass(frozen=True)
class _Rows:
    """Samples that are kept, in rising time."""

    time_us: Integers
    block: Integers
    gaze: dict[str, Floats]

    @cached_property
    def begin_us(self) -> Floats:
        """Where each sample begins."""
        return sample_spans_us(self.time_us)[0]


def _rows(asc: Asc, skipped: Counter[str]) -> _Rows:
    taken, blocks = asc.samples, asc.blocks
    is_gaze = np.array([block.samples_in == "GAZE" for block in blocks])[taken.block]
    if not is_gaze.all():
        found = next(block for block in blocks if block.samples_in != "GAZE")
        if not any(block.events_in == "GAZE" for block in blocks):
            raise FormatError(
                f"{asc.path}:{found.first_line}: samples are in {found.samples_in} coordinates, "
                "expected GAZE (screen px); convert the EDF file again with GAZE output"
            )
        skipped[f"samples in {found.samples_in} coordinates"] += int((~is_gaze).sum())
    fastest = max((block.rate_hz for block in blocks if block.rate_hz), default=None)
    time_us = times_of_stamps(taken.time_ms, fastest)
    highest = np.maximum.accumulate(np.where(is_gaze, time_us, -1))
    before = np.concatenate(([-1], highest[:-1]))
    rising = time_us > before
    skipped["repeated times"] += int((is_gaze & (time_us == before)).sum())
    skipped["clock steps back"] += int((is_gaze & (time_us < before)).sum())
    kept = is_gaze & rising
    if kept.all():
        return _Rows(time_us, taken.block, taken.gaze)
    gaze = {name: values[kept] for name, values in taken.gaze.items()}
    return _Rows(time_us[kept], taken.block[kept], gaze)


def _samples(rows: _Rows, trials: Trials, name: str, screen: AscScreen | None) -> dict[str, Any]:
    """Columns of a SAMPLES table; a table is made when all are there, as each costs a copy."""
    count = len(rows.time_us)
    trial = trials.of_rows(rows.time_us, rows.block)
    left, top = origin(screen)
    columns: dict[str, Any] = {}
    x_of, y_of = [], []
    for eye in (*EYES, ""):
        x, y, pupil = (f"{eye}_{what}".lstrip("_") for what in ("x", "y", "pupil"))
        if x not in rows.gaze:
            continue
        x_of.append(rows.gaze[x] - left)
        y_of.append(rows.gaze[y] - top)
        columns[pupil] = rows.gaze[pupil]
        if eye:
            columns |= {f"{eye}_x_px": x_of[-1], f"{eye}_y_px": y_of[-1]}
            columns[f"{eye}_valid"] = ~np.isnan(x_of[-1])
    clock_us = _clock_us(rows.begin_us, trial)
    return {
        "recording": texts([name], np.zeros(count, np.int64)),
        "subject": texts(["unnamed"], np.zeros(count, np.int64)),
        "trial": trial,
        "stimulus": trials.stimulus(trial),
        "tracker_time_us": rows.time_us,
        "t_ms": (rows.time_us - clock_us) / 1000,
        "x_px": _mean(x_of, count),
        "y_px": _mean(y_of, count),
        **columns,
    }


def _table(samples: dict[str, Any]) -> pd.DataFrame:
    table = pd.DataFrame(samples, copy=False)
    return SAMPLES.conform(table) if len(table) else SAMPLES.empty()


def _mean(eyes: list[Floats], count: int) -> Floats:
    if len(eyes) > 1:
        return mean_of_eyes(eyes[0], eyes[1])
    return eyes[0] if eyes else np.full(count, np.nan)


def _clock_us(begin_us: Floats, trial: Integers) -> Floats:
    """When the trial of each sample began; what trials.trial_begin_us says, but faster.

    A trial is one run of rows here.
    """
    changes = np.flatnonzero(np.diff(trial, prepend=-1))
    runs = np.diff(np.append(changes, len(trial)))
    first = np.where(trial[changes] > 0, begin_us[changes], begin_us[:1])
    return np.asarray(np.repeat(first, runs), np.float64)


# ---------------------------------------------------------------- events


def _placed(
    table: pd.DataFrame, samples: Mapping[str, Any], rows: _Rows, trials: Trials
) -> pd.DataFrame:
    """Add trial, stimulus and the time from the trial's start."""
    if len(rows.time_us):
        first = table["first_row"].to_numpy()
        trial = samples["trial"][first]
        half_ms = (rows.time_us[first] - rows.begin_us[first]) / 1000
        onset_ms = samples["t_ms"][first] - half_ms
    else:
        start_ms = table["start_ms"].to_numpy()
        block = np.maximum.accumulate(table["block"].to_numpy())
        trial = trials.of_rows(np.rint(start_ms * 1000).astype(np.int64), block)
        onset_ms = start_ms - trials.begin_ms(trial)
        table = table.drop(columns=["first_row", "last_row"])
    table = table.assign(trial=trial, onset_ms=onset_ms)
    table["stimulus"] = trials.stimulus(trial)
    return table.drop(columns=["line", "block", "start_ms", "end_ms"])


# ---------------------------------------------------------------- for people


def _about(asc: Asc) -> dict[str, str | tuple[str, ...]]:
    header = [line.text for line in asc.lines if line.word == "**"]
    converted = next((line.text for line in asc.lines if _is_header(line)), "")
    about: dict[str, str | tuple[str, ...]] = {
        "software": converted.rpartition(" using ")[2],
        "tracker": next((t for t in header if re.match(r"EYELINK.* v\d", t)), ""),
        "date": next((t[5:].strip() for t in header if t.startswith("DATE:")), ""),
        "filter": "EyeLink parser of saccades, blinks and fixations",
        "coordinates": ", ".join(sorted({block.samples_in for block in asc.blocks})),
        "eyes": ", ".join(sorted({"+".join(b.eyes) or "not told" for b in asc.blocks})),
        "pupil": next((line.text for line in asc.lines if line.word == "PUPIL"), ""),
        "px per degree": _px_per_degree(asc),
        "time unit": "ms",
        "encoding": asc.encoding,
        "columns used": ("time", *asc.samples.gaze),
        "columns ignored": tuple(dict.fromkeys(k for b in asc.blocks for k in b.keywords)),
    }
    return {name: told for name, told in about.items() if told}


def _px_per_degree(asc: Asc) -> str:
    """Resolution at the gaze, of the first END line that tells it: what the set-up was."""
    ends = (line.text.split() for line in asc.lines if line.word == "END")
    return next((" x ".join(words[-2:]) for words in ends if "RES" in words[-3:-2]), "")


READER = Reader(
    name="eyelink-asc",
    title="EyeLink recording as text (ASC)",
    versions="EyeLink 1000, edf2asc with edfapi 3.1",
    refusal=refusal,
    read=read,
    yields=("samples", "fixations", "saccades", "blinks"),
    has_messages=True,
    profile="eyelink",
)
