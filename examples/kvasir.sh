#!/usr/bin/env bash
# The benchmark of the field on a laptop: Kvasir-SEG with the GazeMedSeg gaze and its split.
#
# usage: examples/kvasir.sh DATA [OUT]
#   DATA holds images/ masks/ kvasir_fixation.csv train.txt test.txt (fetch them under their terms).
# Writes OUT/table.md and what it comes from. The same command goes on where it was stopped.
set -euo pipefail
examples=$(dirname "$0") data=$1 out=${2:-kvasir}
mkdir -p "$out"

[ -f "$out/fixations.parquet" ] ||
    gazetools ingest "$data/kvasir_fixation.csv" -o "$out/fixations.parquet"
gradtrack-bench "$examples/kvasir.toml" --data "$data" --fixations "$out/fixations.parquet" -o "$out"
