# shellcheck shell=bash
# until_done COMMAND ...: run a sweep in a Slurm job that requeues itself near its time limit, until the sweep is done.
#
# To be sourced by batch scripts with `#SBATCH --signal=B:USR1@SECONDS`: Slurm then sends SIGUSR1 to the batch shell alone,
# SECONDS (or up to a minute more) before the limit. The shell passes it to the launcher; srun, mpirun and mpiexec all
# pass SIGUSR1 to every rank, while SIGTERM makes mpirun and mpiexec kill them a moment later. The ranks finish their
# trials and close the file, the command ends with 75, and the job goes back into the queue under its own number. It starts
# again later and runs what is missing. If the ranks take longer than GRACE_S, the job is requeued without
# waiting for them: the file stays readable, only the running trials are lost.
#
# A job that was cancelled, or whose command failed by itself, is not requeued. MAX_RESTARTS ends a job that makes no
# progress, for instance because its limit is shorter than one trial.
#
#   GRACE_S        seconds from the signal to the requeue, less than the signal's SECONDS      240
#   MAX_RESTARTS                                                                               50

until_done() {
    local code=0 near_limit='' heard='' command='' timer=''
    trap 'heard=yes near_limit=yes; _pass_on' USR1
    trap 'heard=yes; _pass_on' TERM
    "$@" &
    command=$!
    if [[ -n $heard ]]; then _pass_on; fi
    heard=yes
    while [[ -n $heard ]]; do # a signal interrupts `wait`, which must be repeated
        heard=
        code=0
        wait "$command" || code=$?
    done
    trap '' USR1
    if [[ -n $timer ]] && ! kill "$timer" 2>/dev/null; then return "$code"; fi # it has requeued the job
    case $code in
        0 | 2 | 3) ;; # done, bad input, done with failed trials: another start would change nothing
        *) if [[ -n $near_limit ]]; then _requeue "time is up"; fi ;;
    esac
    return "$code"
}

_pass_on() {
    if [[ -z $command ]]; then return; fi # not yet: a timer that starts now would be taken for the command
    kill -USR1 "$command" 2>/dev/null
    if [[ -n $near_limit && -z $timer ]]; then
        (trap - USR1 TERM && sleep "${GRACE_S:-240}" && _requeue "the ranks take too long to stop") &
        timer=$!
    fi
}

_requeue() { # why
    if ((${SLURM_RESTART_COUNT:-0} >= ${MAX_RESTARTS:-50})); then
        echo "$(date '+%F %T') restarted ${MAX_RESTARTS:-50} times; not requeued (MAX_RESTARTS)." >&2
        return
    fi
    echo "$(date '+%F %T') $1: requeued to continue." >&2
    scontrol requeue "$SLURM_JOB_ID"
}
