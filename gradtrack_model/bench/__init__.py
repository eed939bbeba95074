"""The benchmark: a grid of rows and seeds from one TOML table, trained, measured, tabulated."""

from gradtrack_model.bench.results import Results, collect
from gradtrack_model.bench.rounds import check_teachers, ready, rounds
from gradtrack_model.bench.running import Outcome, Run, claimed, planned, run_bench, status
from gradtrack_model.bench.table import BenchTable, Row, read_table
from gradtrack_model.bench.writing import write_results

__all__ = [
    "BenchTable",
    "Outcome",
    "Results",
    "Row",
    "Run",
    "check_teachers",
    "claimed",
    "collect",
    "planned",
    "read_table",
    "ready",
    "rounds",
    "run_bench",
    "status",
    "write_results",
]
