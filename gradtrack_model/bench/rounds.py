"""Rows that learn from others: which runs come first, and which must wait.

A run with a teacher needs the masks that gaze and the teacher's network make together, so it is
of a later round than its teacher: first the rows without teacher, then those that learn from
them, and so on.
"""

from collections.abc import Sequence

from gazetools.errors import ConfigError
from gradtrack_model.bench.running import Outcome, Run, check_same, claimed, is_trained


def rounds(todo: Sequence[Run]) -> dict[int, tuple[Run, ...]]:
    """Return the runs by round, the first of which is 1; rounds without any are left out."""
    numbers = sorted({_round(run) for run in todo})
    return {number: tuple(run for run in todo if _round(run) == number) for number in numbers}


def _round(run: Run) -> int:
    return 1 if run.teacher is None else 1 + _round(run.teacher)


def check_teachers(todo: Sequence[Run]) -> None:
    """Refuse runs whose teacher is not trained, nor to be, nor being trained by another process.

    Raises
    ------
    ConfigError
        The teacher's row has been left out.
    TrainingError
        The teacher has other settings than the table says.
    """
    for run in todo:
        teacher = run.teacher
        if teacher is None or teacher in todo:
            continue
        check_same(teacher)
        if not (_is_elsewhere(teacher) or is_trained(teacher)):
            raise ConfigError(
                f"{run.name}: learns from {teacher.name}, which is not trained yet "
                f"({teacher.folder}); run row {teacher.row.name!r} first, or leave out --only"
            )


def _is_elsewhere(run: Run) -> bool:
    if not run.folder.parent.is_dir():
        return False
    with claimed(run.folder) as ours:
        return not ours


def ready(runs: Sequence[Run], before: Outcome) -> tuple[tuple[Run, ...], Outcome]:
    """Part the runs of a round into those that can be done now, and what is to be said of others.

    Parameters
    ----------
    before : Outcome
        Of the rounds before. Where the teacher failed its pupils fail; where it is not trained for
        any other reason, another process is at it.
    """
    can, elsewhere, failed = list[Run](), list[Run](), list[tuple[Run, str]]()
    lost = [run for run, _ in before.failed]
    for run in runs:
        if run.teacher is None or is_trained(run.teacher):
            can.append(run)
        elif run.teacher in lost:
            failed.append((run, f"its teacher, {run.teacher.name}, has failed"))
        else:
            elsewhere.append(run)
    return tuple(can), Outcome((), tuple(elsewhere), tuple(failed))
