# shellcheck shell=bash
# count_starts FILE: end an LSF job that makes no progress, for instance because -W is shorter than one trial.
#
# LSF requeues a job that ends with 75 for ever, and does not tell it how often. So each start writes a line into the
# file, whose name has the job's number, and the start after MAX_RESTARTS (50) restarts ends at once, with 1. LSF's own
# restarts, after a node failed, count too. The same job submitted again has another number, and continues.

count_starts() {
    date '+%F %T' >>"$1"
    if (($(wc -l <"$1") > ${MAX_RESTARTS:-50} + 1)); then
        echo "restarted ${MAX_RESTARTS:-50} times and still not done; not requeued (MAX_RESTARTS)." >&2
        exit 1
    fi
}
