#!/usr/bin/env bash
# Slurm: submit a sweep and its follow-up jobs, which wait until the sweep has ended. On a login node, in the repository's root:
#
#   jobs/slurm/chain.sh mpi configs/my.yml                       sweep, comparison, maps
#   jobs/slurm/chain.sh requeue configs/my.yml --ntasks=65       options for the sweep's sbatch follow
#   PARTS=64 jobs/slurm/chain.sh array configs/my.yml            64 parts, comparison of the parts, maps
#   MERGE=yes PARTS=64 jobs/slurm/chain.sh array configs/my.yml  and one file of the parts, a copy (PACK=yes: compressed)
#
# SWEEP, COMPARISON, MAPS, PARTS_DIR, PACK, TIME_LIMIT, RUN_ARGS, LAUNCH are passed to the jobs. Prints the number of
# each job on a line.
set -euo pipefail

usage="usage: jobs/slurm/chain.sh mpi|requeue|array CONFIG [SBATCH OPTIONS]"
kind=${1:?$usage}
export CONFIG=${2:?$usage}
options=("${@:3}")
here=jobs/slurm

case $kind in
    mpi | requeue)
        unset PARTS # the comparison is to read the one file
        sweep=$(sbatch --parsable "${options[@]}" "$here/$kind.sbatch")
        ;;
    array)
        export PARTS=${PARTS:-16}
        sweep=$(sbatch --parsable --array="1-$PARTS" "${options[@]}" "$here/array.sbatch")
        ;;
    *)
        echo "$usage" >&2
        exit 2
        ;;
esac
echo "sweep   ${sweep%%;*}"
follow=(sbatch --parsable --dependency="afterany:${sweep%%;*}")
if [[ $kind == array && ${MERGE:-no} == yes ]]; then
    job=$("${follow[@]}" "$here/merge.sbatch")
    echo "merge   ${job%%;*}"
fi
job=$("${follow[@]}" "$here/compare.sbatch")
echo "compare ${job%%;*}"
