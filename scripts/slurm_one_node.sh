#!/usr/bin/env bash
# A Slurm of one node on this machine, for the tests of jobs/: no systemd, nothing outside one directory.
#
#   scripts/slurm_one_node.sh run COMMAND ...   start it, run the command under it, stop it; exits as the command did
#   scripts/slurm_one_node.sh start DIRECTORY   start it; its files go into DIRECTORY, which must not exist
#   scripts/slurm_one_node.sh stop DIRECTORY    cancel its jobs, stop its daemons, remove DIRECTORY
#   scripts/slurm_one_node.sh install           install Slurm on Debian or Ubuntu, as root or with password-less sudo,
#                                               unless HPCMASS_APT=never
#
# Under `run` the command finds the cluster by SLURM_CONF; after `start` set SLURM_CONF=DIRECTORY/slurm.conf. Any user
# may start one and is its administrator. After any end of `run`, even by SIGKILL, no daemon and no job is left.
# The node claims more processors and memory than it has, so that templates for big jobs are accepted as they are.
set -euo pipefail

self=$(readlink -f "${BASH_SOURCE[0]}")
# Debian's daemons are outside an ordinary user's PATH.
PATH=$PATH:/usr/sbin:/sbin

fail() {
    printf 'slurm_one_node: %s\n' "$*" >&2
    exit 1
}

lacking() {
    local program
    for program in munged slurmctld slurmd sbatch; do
        command -v "$program" >/dev/null || printf '%s ' "$program"
    done
}

install_slurm() {
    local sudo=()
    if [[ -z $(lacking) ]]; then return; fi
    if ((EUID)); then sudo=(sudo -n); fi
    if [[ ${HPCMASS_APT:-auto} == never ]] || ! command -v apt-get >/dev/null || ! "${sudo[@]}" true 2>/dev/null; then
        fail "there is no Slurm here ($(lacking)is missing), and no right to install it with apt-get."
    fi
    "${sudo[@]}" apt-get update -qq
    # The packages start no daemon here: policy-rc.d forbids it, or there is no systemd, or no slurm.conf.
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends slurm-wlm munge >/dev/null
}

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

within() { # seconds command: until the command succeeds
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        if ((SECONDS >= end)); then return 1; fi
        sleep 0.2
    done
}

# ------------------------------------------------------------------------------------------- start

configure() { # directory
    local dir=$1 host user
    host=$(uname -n)
    user=$(id -un)
    mkdir -m 711 "$dir" "$dir"/{munge,state,spool,log}
    (umask 077 && head -c 1024 /dev/urandom >"$dir/munge/key")
    # Containers seldom allow cgroups.
    echo CgroupPlugin=cgroup/v1 >"$dir/cgroup.conf"
    cat >"$dir/slurm.conf" <<CONF
ClusterName=one
SlurmctldHost=${host%%.*}(127.0.0.1)
SlurmctldPort=$(free_port)
SlurmdPort=$(free_port)
SlurmUser=$user
SlurmdUser=$user
AuthInfo=socket=$dir/munge/socket
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.pid
SlurmctldLogFile=$dir/log/slurmctld.log
SlurmdLogFile=$dir/log/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=5
SchedulerParameters=sched_interval=2,bf_interval=2
NodeName=one NodeHostname=${host%%.*} NodeAddr=127.0.0.1 CPUs=160 RealMemory=1000000 State=UNKNOWN
PartitionName=main Nodes=one Default=YES MaxTime=INFINITE State=UP
CONF
}

is_idle() { [[ $(sinfo --noheader --format=%T 2>/dev/null) == idle ]]; }

daemons() { # directory
    local dir=$1
    munged --key-file="$dir/munge/key" --socket="$dir/munge/socket" --pid-file="$dir/munged.pid" \
        --log-file="$dir/log/munged.log" --seed-file="$dir/munge/seed" || return 1
    slurmctld || return 1
    slurmd || return 1
    within 30 is_idle
}

start() { # directory
    local dir=$1
    [[ -z $(lacking) ]] || fail "there is no Slurm here ($(lacking)is missing); see \`$self install\`."
    [[ ! -e $dir ]] || fail "$dir exists; stop the Slurm in it, or give another directory."
    configure "$dir"
    # The mark by which `stop` finds what is left of it.
    if ! SLURM_CONF=$dir/slurm.conf HPCMASS_ONE_NODE=$dir daemons "$dir" 2>"$dir/log/start.log"; then
        tail -n 20 "$dir"/log/*.log >&2
        stop "$dir"
        fail "Slurm did not start; the end of its logs is above."
    fi
}

# -------------------------------------------------------------------------------------------- stop

# What is left of this Slurm: its daemons, which carry a mark, and its jobs' processes.
remains() { # directory
    local environ
    for environ in /proc/[0-9]*/environ; do
        if grep -qszxF "HPCMASS_ONE_NODE=$1" "$environ" ||
            { grep -qszxF "SLURM_CONF=$1/slurm.conf" "$environ" && grep -qsz '^SLURM_JOB_ID=' "$environ"; }; then
            environ=${environ%/environ}
            printf '%s\n' "${environ#/proc/}"
        fi
    done
}

no_job() { [[ -z $(squeue --noheader 2>/dev/null) ]]; }

# Also if its exit code has not been collected yet.
is_gone() { ! grep -qs '^State:[[:space:]]*[^Z]' "/proc/$1/status"; }

end() { # pidfile: end its process, by force if necessary
    local pid
    pid=$(cat "$1" 2>/dev/null) && [[ -n $pid ]] || return 0
    kill "$pid" 2>/dev/null && within 10 is_gone "$pid" || kill -KILL "$pid" 2>/dev/null || true
}

stop() { # directory
    local dir=$1 pid
    if [[ ! -f $dir/slurm.conf ]]; then return; fi
    export SLURM_CONF=$dir/slurm.conf
    if [[ -s $dir/slurmctld.pid ]] && ! is_gone "$(cat "$dir/slurmctld.pid")"; then
        scancel --quiet --user="$(id -un)" 2>/dev/null || true
        within 20 no_job || true
    fi
    end "$dir/slurmd.pid"
    end "$dir/slurmctld.pid"
    end "$dir/munged.pid"
    # what did not react
    for pid in $(remains "$dir"); do kill -KILL "$pid" 2>/dev/null || true; done
    rm -rf "$dir"
}

# --------------------------------------------------------------------------------------------- run

# Stop it, too, where `run` itself was killed.
watch() { # pid directory
    while ! is_gone "$1"; do sleep 1; done
    finish "$2"
}

command= # what runs under it

run() { # command
    local base dir code=0
    base=$(mktemp -d "${TMPDIR:-/tmp}/slurm.XXXXXX")
    chmod 711 "$base"
    dir=$base/one
    # shellcheck disable=SC2064  # the directory of now
    trap "finish '$base'" EXIT
    trap 'exit 143' TERM HUP
    trap 'exit 130' INT
    setsid "$self" watch $$ "$base" </dev/null >/dev/null 2>&1 &
    start "$dir"
    # in the background, so that bash receives signals
    SLURM_CONF=$dir/slurm.conf "$@" <&0 &
    command=$!
    wait "$command" || code=$?
    command=
    exit "$code"
}

finish() { # directory
    trap '' INT TERM HUP
    if [[ -n $command ]]; then
        kill "$command" 2>/dev/null && within 15 is_gone "$command" || kill -KILL "$command" 2>/dev/null || true
    fi
    stop "$1/one"
    rm -rf "$1"
}

case ${1:-} in
    run) run "${@:2}" ;;
    start) start "$(readlink -m "${2:?a directory}")" ;;
    stop) stop "$(readlink -m "${2:?a directory}")" ;;
    watch) watch "$2" "$3" ;;
    install) install_slurm ;;
    *) fail "run COMMAND, start DIRECTORY, stop DIRECTORY or install?" ;;
esac
