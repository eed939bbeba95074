"""The benchmark: a grid of rows and seeds from one TOML table, trained, measured, tabulated."""

from gradtrack_model.bench.results import Results, collect
from gradtrack_model.bench.running import Outcome, Run, claimed, planned, run_bench, status
from gradtrack_model.bench.table import BenchTable, Row, read_table
from gradtrack_model.bench.writing import write_results

__all__ = [
    "BenchTable",
    "Outcome",
    "Results",
    "Row",
    "Run",
    "claimed",
    "collect",
    "planned",
    "read_table",
    "run_bench",
    "status",
    "write_results",
]
