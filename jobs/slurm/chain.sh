#!/usr/bin/env bash
# Slurm: submit a sweep and what follows it, each job waiting for the one before. On a login node, in the repository's root:
#
#   jobs/slurm/chain.sh mpi configs/my.yml                       sweep, comparison, maps
#   jobs/slurm/chain.sh requeue configs/my.yml --ntasks=65       options for the sweep's sbatch follow
#   PARTS=64 jobs/slurm/chain.sh array configs/my.yml            64 parts, merge, comparison, maps
#
# SWEEP, COMPARISON, MAPS, PARTS_DIR, PACK, TIME_LIMIT, LAUNCH go to the jobs as they are. Prints a job's number a line.
set -euo pipefail

usage="usage: jobs/slurm/chain.sh mpi|requeue|array CONFIG [SBATCH OPTIONS]"
kind=${1:?$usage}
export CONFIG=${2:?$usage}
options=("${@:3}")
here=jobs/slurm

case $kind in
    mpi | requeue) last=$(sbatch --parsable "${options[@]}" "$here/$kind.sbatch") ;;
    array)
        export PARTS=${PARTS:-16}
        last=$(sbatch --parsable --array="1-$PARTS" "${options[@]}" "$here/array.sbatch")
        ;;
    *)
        echo "$usage" >&2
        exit 2
        ;;
esac
echo "sweep   ${last%%;*}"
if [[ $kind == array ]]; then
    last=$(sbatch --parsable --dependency="afterany:${last%%;*}" "$here/merge.sbatch")
    echo "merge   ${last%%;*}"
fi
last=$(sbatch --parsable --dependency="afterany:${last%%;*}" "$here/compare.sbatch")
echo "compare ${last%%;*}"
