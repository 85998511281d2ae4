# shellcheck shell=bash
# count_starts FILE: end an LSF job that gets nowhere, for instance because -W is shorter than one trial.
#
# LSF requeues a job that ends with 75 for ever, and does not tell it how often. So each start leaves a line in the
# file, whose name bears the job's number, and the start after MAX_RESTARTS (50) restarts ends at once, with 1. LSF's own
# restarts, after a node failed, are counted, too. The same job submitted again has another number, and goes on.

count_starts() {
    date '+%F %T' >>"$1"
    if (($(wc -l <"$1") > ${MAX_RESTARTS:-50} + 1)); then
        echo "restarted ${MAX_RESTARTS:-50} times and still not done; not requeued (MAX_RESTARTS)." >&2
        exit 1
    fi
}
