"""Trials that messages begin: by the user's rule, or where a message names what is shown."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from gazetools.errors import ConfigError, FormatError
from gazetools.readers.building import Integers

SHOWN_FILE = (
    r"^\s*+(?!UE-)(.*?\S\.(?:bmp|gif|jpe?g|png|tiff?|avi|mp4|mpe?g|mov|wmv|swf|html?|txt|pdf))\s*$"
)
"""A message that names a picture, video or page; no click or key (UE-...)."""


def trial_rule(path: Path, pattern: str) -> re.Pattern[str]:
    """Compile the rule by which a message begins a trial.

    Raises
    ------
    ConfigError
        It is no regular expression.
    """
    try:
        return re.compile(pattern, re.IGNORECASE if pattern == SHOWN_FILE else 0)
    except re.error as error:
        raise ConfigError(
            f"{path}: the rule {pattern!r} for where trials begin is no regular expression "
            f"({error}); correct it"
        ) from error


def expect_no_rule(path: Path, pattern: str | None) -> None:
    """Raise a FormatError if a rule is given for a list of fixations, which has no messages."""
    if pattern is not None:
        raise FormatError(
            f"{path}: a list of fixations has no messages that could begin trials; leave out "
            "--trial-from, or export the gaze too"
        )


def trial_marks(
    path: Path, messages: Iterable[tuple[int, str]], pattern: str
) -> tuple[Integers, list[str | None]]:
    """When trials begin and what they show: times and first groups of messages that match.

    Raises
    ------
    ConfigError
        The pattern is no regular expression.
    """
    rule = trial_rule(path, pattern)
    found = [(time, match) for time, text in sorted(messages) if (match := rule.search(text))]
    begin_us = np.array([time for time, _ in found], dtype=np.int64)
    return begin_us, [match[1] if rule.groups else None for _, match in found]


def trials_from(
    begin_us: Integers, stimuli: Sequence[str | None], time_us: Integers
) -> tuple[Integers, pd.Series]:
    """Give each sample the trial that the last mark began, 0 before the first.

    Parameters
    ----------
    begin_us : (m,) int64
        When each trial begins, rising.
    stimuli : (m,) str or None
    time_us : (n,) int64

    Returns
    -------
    trial : (n,) int64
    stimulus : (n,) str
    """
    trial = np.searchsorted(begin_us, time_us, "right").astype(np.int64)
    names = np.array([None, *stimuli], dtype=object)
    return trial, pd.Series(names[trial], dtype="str")
