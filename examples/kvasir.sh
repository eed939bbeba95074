#!/usr/bin/env bash
# The benchmark of the field on a laptop: Kvasir-SEG with the GazeMedSeg gaze and its split.
#
# usage: examples/kvasir.sh DATA [OUT]
#   DATA holds images/ masks/ kvasir_fixation.csv train.txt test.txt (fetch them under their terms).
# Writes OUT/maps.h5 and a run per method. On a GPU, replace `--preset laptop` by `--preset paper`.
set -euo pipefail
data=$(realpath "$1") out=${2:-kvasir}
mkdir -p "$out" && cd "$out"

gazetools ingest "$data/kvasir_fixation.csv"
gazetools render --levels 4 --images "$data/images" --masks "$data/masks" \
    --split "$data/train.txt" --split "$data/test.txt"
for method in gradtrack heatmap full; do
    gradtrack-train --cache maps.h5 --preset laptop --method "$method" --seed 0 -o "runs/$method"
    gradtrack-evaluate "runs/$method"
done
