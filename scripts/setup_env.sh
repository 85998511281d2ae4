#!/usr/bin/env bash
# Set up the environment of hpcmass: a virtual environment, an MPI library and an h5py that fits it.
#
#   scripts/setup_env.sh            (or: make env)
#
# On a machine with a parallel HDF5 (cluster modules, distribution packages; Debian and Ubuntu
# packages are installed as root or with password-less sudo), h5py is built against it and all ranks
# write one file. Elsewhere h5py is the serial wheel and rank 0 writes the file.
# If nothing has changed, a second call does nothing.
#
# Environment variables; what is not set keeps the value of the last call for the same VENV:
#   VENV            where the environment goes                         .venv
#   PYTHON          interpreter to build the environment from          python3
#   HPCMASS_HDF5    auto | parallel (fail without it) | serial         auto
#   HPCMASS_APT     auto | never (leave the distribution alone)        auto
#   HPCMASS_EXTRAS  optional dependencies to install                   analysis,dev
#   HDF5_DIR, HDF5_ROOT, EBROOTHDF5                                    where a parallel HDF5 is
#   MPICC           MPI compiler wrapper                               mpicc
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
export DEBIAN_FRONTEND=noninteractive PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
unset PYTHONPATH PYTHONHOME PIP_REQUIRE_VIRTUALENV

fail() {
    printf 'make env: %s\n' "$*" >&2
    exit 1
}

say() { printf '[env %3ds] %s\n' "$SECONDS" "$*"; }

# --------------------------------------------------------------------------------------- settings

VENV=${VENV:-.venv}
MPICC=${MPICC:-mpicc}
settings=$VENV/.hpcmass-settings
stamp=$VENV/.hpcmass-stamp

remembered() { sed -n "s/^$1=//p" "$settings" 2>/dev/null || true; }

HPCMASS_HDF5=${HPCMASS_HDF5:-$(remembered HPCMASS_HDF5)}
HPCMASS_HDF5=${HPCMASS_HDF5:-auto}
HPCMASS_APT=${HPCMASS_APT:-$(remembered HPCMASS_APT)}
HPCMASS_APT=${HPCMASS_APT:-auto}
if [[ -z ${HPCMASS_EXTRAS+set} ]]; then
    HPCMASS_EXTRAS=analysis,dev
    if [[ -f $settings ]]; then HPCMASS_EXTRAS=$(remembered HPCMASS_EXTRAS); fi
fi
if [[ -z ${PYTHON:-} ]]; then
    PYTHON=python3
    if [[ -x $VENV/bin/python ]]; then PYTHON=$VENV/bin/python; fi
fi

case $HPCMASS_HDF5 in auto | parallel | serial) ;; *) fail "HPCMASS_HDF5 is '$HPCMASS_HDF5'; it must be auto, parallel or serial." ;; esac
case $HPCMASS_APT in auto | never) ;; *) fail "HPCMASS_APT is '$HPCMASS_APT'; it must be auto or never." ;; esac

command -v "$PYTHON" >/dev/null 2>&1 ||
    fail "there is no '$PYTHON' on PATH; install Python 3.11 or newer, or give one with PYTHON=..."

# Version, prefix and path of an interpreter, those of the base of a virtual environment.
describe() {
    "$1" -c 'import sys
paths = (getattr(sys, "base_prefix", ""), getattr(sys, "_base_executable", sys.executable))
print("%d.%d.%d\t%s\t%s" % (tuple(sys.version_info[:3]) + paths))' 2>/dev/null
}
description=$(describe "$PYTHON") ||
    fail "'$PYTHON' does not run; give another interpreter with PYTHON=... (or remove $VENV)."
IFS=$'\t' read -r python_version python_prefix python_base <<<"$description"
case $python_version in
    2.* | 3.[0-9].* | 3.10.*)
        fail "Python $python_version is too old; hpcmass needs 3.11 or newer (give another interpreter with PYTHON=...)."
        ;;
esac

# The mpiexec of an activated environment must not be mistaken for the machine's.
clean_path=
IFS=: read -r -a path_entries <<<"$PATH"
for entry in "${path_entries[@]}"; do
    case $entry in
        "$root/$VENV/bin" | "$VENV/bin" | "${VIRTUAL_ENV:-/nonexistent}/bin") ;;
        *) clean_path+=${clean_path:+:}$entry ;;
    esac
done
on_path() { PATH=$clean_path command -v "$1" 2>/dev/null; }

# Two simultaneous calls (make -j, two terminals) run one after the other.
if command -v flock >/dev/null 2>&1; then
    exec 9<"${BASH_SOURCE[0]}"
    flock 9
fi

fingerprint() {
    {
        cat pyproject.toml scripts/setup_env.sh
        printf '%s\n' "$root" "$VENV" "$python_version" "$HPCMASS_HDF5" "$HPCMASS_APT" "$HPCMASS_EXTRAS" \
            "$(on_path "$MPICC")" "$(on_path mpiexec)" "${HDF5_DIR:-}" "${HDF5_ROOT:-}" "${EBROOTHDF5:-}"
    } | cksum
}

if [[ -x $VENV/bin/python && $(sed -n 1p "$stamp" 2>/dev/null) == "$(fingerprint)" ]]; then
    printf '%s is up to date: %s\n' "$VENV" "$(sed -n 2p "$stamp")"
    exit 0
fi

# ------------------------------------------------------------------------------------------ tools

log=$(mktemp)
trap 'rm -f "$log"' EXIT

# Run a command silently; `must` shows the end of its output if it fails.
quietly() { "$@" >"$log" 2>&1 </dev/null; }

must() {
    local what=$1
    shift
    quietly "$@" || {
        tail -n 30 "$log" >&2
        fail "$what failed; the end of its output is above."
    }
}

as_root() {
    if [[ $EUID -eq 0 ]]; then "$@"; else sudo -n --preserve-env=DEBIAN_FRONTEND "$@"; fi
}

can_apt() {
    [[ $HPCMASS_APT == auto ]] && command -v apt-get >/dev/null 2>&1 && as_root true >/dev/null 2>&1
}

apt_install() {
    quietly as_root apt-get update -qq && quietly as_root apt-get install -y -qq --no-install-recommends "$@"
}

is_parallel_hdf5() {
    [[ -n $1 && -d $1/include ]] && grep -qsE '^#define +H5_HAVE_PARALLEL +1' "$1"/include/H5pubconf*.h
}

# Print the directory of a parallel HDF5: module variables, then the distribution, then h5pcc.
find_hdf5() {
    local dir from_h5pcc=
    if on_path h5pcc >/dev/null; then
        from_h5pcc=$("$(on_path h5pcc)" -showconfig 2>/dev/null | sed -n 's/^ *Installation point: *//p')
    fi
    for dir in "${HDF5_DIR:-}" "${HDF5_ROOT:-}" "${EBROOTHDF5:-}" /usr/lib/*-linux-gnu/hdf5/openmpi "$from_h5pcc"; do
        if is_parallel_hdf5 "$dir"; then
            printf '%s\n' "$dir"
            return
        fi
    done
    return 1
}

has_headers() {
    "$PYTHON" -c 'import os, sys, sysconfig
sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))'
}

# Print what is missing for a build of h5py against a parallel HDF5; nothing if it is complete.
obstacle() {
    if ! on_path mpiexec >/dev/null; then
        echo "there is no mpiexec on PATH"
    elif ! on_path "$MPICC" >/dev/null; then
        echo "there is no $MPICC on PATH"
    elif ! find_hdf5 >/dev/null; then
        echo "there is no parallel HDF5 (HDF5_DIR, HDF5_ROOT, EBROOTHDF5, the distribution, h5pcc)"
    elif ! has_headers; then
        echo "there is no Python.h for Python $python_version"
    fi
}

# ------------------------------------------------------------- what the machine lacks and may be given

packages=()
python_package=
case $(readlink -f "$python_base") in
    /usr/bin/python3*) python_package=python${python_version%.*} ;;
esac

if ! "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null; then
    if [[ -n $python_package ]] && can_apt; then
        packages+=("$python_package-venv")
    else
        fail "'$PYTHON' has no venv module; install it first (Debian and Ubuntu: apt-get install python3-venv)."
    fi
fi

# Why h5py is to be serial; empty while it is to be parallel.
why=
if [[ $HPCMASS_HDF5 == serial ]]; then
    why="HPCMASS_HDF5=serial"
else
    why=$(obstacle)
fi

# Packages are installed only if the MPI is the distribution's or missing: they are not mixed with a cluster's MPI.
if [[ -n $why && $HPCMASS_HDF5 != serial ]]; then
    case $(on_path mpiexec) in
        "" | /usr/bin/* | /bin/*)
            if can_apt; then
                packages+=(openmpi-bin libhdf5-openmpi-dev gcc libc6-dev)
                if [[ -n $python_package ]]; then packages+=("$python_package-dev"); fi
            elif [[ $HPCMASS_APT == never ]]; then
                why+=" and HPCMASS_APT=never"
            else
                why+=" and no right to install packages"
            fi
            ;;
    esac
fi

if ((${#packages[@]})); then
    say "installing distribution packages: ${packages[*]}"
    if apt_install "${packages[@]}"; then
        if [[ $HPCMASS_HDF5 != serial ]]; then why=$(obstacle); fi
    elif [[ $HPCMASS_HDF5 == parallel || ${packages[0]} == *-venv ]]; then
        tail -n 30 "$log" >&2
        fail "apt-get could not install ${packages[*]}; the end of its output is above."
    else
        why+=" and apt-get could not install it"
    fi
fi

if [[ $HPCMASS_HDF5 == parallel && -n $why ]]; then
    fail "HPCMASS_HDF5=parallel is not possible: $why."
fi

# ---------------------------------------------------------------------------- virtual environment

if [[ -e $VENV && ! -f $VENV/pyvenv.cfg && -n $(ls -A "$VENV" 2>/dev/null) ]]; then
    fail "$VENV exists and is not a virtual environment; choose another path with VENV=..."
fi
present=$(describe "$VENV/bin/python" || true)
if [[ $present != "$python_version"$'\t'"$python_prefix"$'\t'* ]] || ! "$VENV/bin/python" -m pip --version >/dev/null 2>&1; then
    say "creating $VENV with Python $python_version"
    must "creating the virtual environment" "$python_base" -m venv --clear "$VENV"
fi
rm -f "$stamp"
printf '%s\n' "HPCMASS_HDF5=$HPCMASS_HDF5" "HPCMASS_APT=$HPCMASS_APT" "HPCMASS_EXTRAS=$HPCMASS_EXTRAS" >"$settings"

python=$VENV/bin/python
pip=("$python" -m pip)

has_wheel() { "${pip[@]}" show -q "$1" >/dev/null 2>&1; }

h5py_is() { # parallel | serial
    "$python" -c 'import sys, h5py; sys.exit(h5py.get_config().mpi != (sys.argv[1] == "parallel"))' "$1" >/dev/null 2>&1
}

build_h5py() {
    local hdf5=$1 built_against=$VENV/.hpcmass-hdf5
    say "installing mpi4py, numpy, numba"
    # numba bounds numpy, so both come before h5py is compiled against numpy.
    quietly "${pip[@]}" install -q 'mpi4py>=4' 'numpy>=2' 'numba>=0.60' \
        'cython>=3,<4' 'setuptools>=77' packaging pkgconfig || return 1
    if [[ $(cat "$built_against" 2>/dev/null) == "$hdf5" ]] && h5py_is parallel; then return 0; fi
    say "building h5py against the parallel HDF5 in $hdf5"
    # An isolated build compiles an old mpi4py; pip's cache may return a build for another HDF5.
    quietly env HDF5_MPI=ON CC="$MPICC" CFLAGS=-g0 HDF5_DIR="$hdf5" \
        "${pip[@]}" install -q --no-cache-dir --force-reinstall --no-deps --no-binary=h5py --no-build-isolation \
        'h5py>=3.11' || return 1
    printf '%s\n' "$hdf5" >"$built_against"
    quietly "$python" -c 'import h5py; assert h5py.get_config().mpi, "the build is not parallel"'
}

if [[ -z $why ]]; then
    hdf5=$(find_hdf5)
    if has_wheel mpich; then must "removing the mpich wheel" "${pip[@]}" uninstall -q -y mpich; fi
    if ! build_h5py "$hdf5"; then
        tail -n 30 "$log" >&2
        if [[ $HPCMASS_HDF5 == parallel ]]; then
            fail "h5py could not be built against $hdf5; the end of the output is above."
        fi
        why="h5py could not be built against $hdf5 (output above)"
    fi
fi

if [[ -n $why ]]; then
    mpich=
    if ! on_path mpiexec >/dev/null; then mpich=mpich; fi
    say "installing mpi4py, serial h5py${mpich:+, mpich}"
    # shellcheck disable=SC2086  # no word where there is no wheel to install
    must "installing mpi4py and numpy" "${pip[@]}" install -q 'mpi4py>=4' 'numpy>=2' $mpich
    rm -f "$VENV/.hpcmass-hdf5"
    if ! h5py_is serial; then
        must "installing h5py" "${pip[@]}" install -q --force-reinstall --no-deps --only-binary=h5py 'h5py>=3.11'
    fi
fi

# h5py satisfies the requirement already, so pip does not replace it.
say "installing hpcmass and its dependencies"
must "installing hpcmass" "${pip[@]}" install -q -e ".${HPCMASS_EXTRAS:+[$HPCMASS_EXTRAS]}"

# Some tests need a serial h5py beside the parallel one; PYTHONPATH selects it.
if [[ -z $why && ,$HPCMASS_EXTRAS, == *,dev,* && ! -d $VENV/serial-h5py/h5py ]]; then
    must "installing a serial h5py for the tests" "${pip[@]}" install -q --target "$VENV/serial-h5py" --no-deps \
        --only-binary=h5py 'h5py>=3.11'
fi

# -------------------------------------------------------------------------------------- last checks

quietly "$python" -c 'import mpi4py; mpi4py.rc.initialize = False; import mpi4py.MPI' ||
    fail "mpi4py does not load the MPI library of $(on_path mpiexec): $(tail -n 1 "$log"). Load another MPI module, or remove this one from PATH to use the mpich wheel."

if [[ -z $why ]]; then
    h5py_is parallel || fail "another package replaced the parallel h5py; remove $VENV and try again."
    line="parallel HDF5 (mpio), all ranks write one file: h5py is built against $hdf5"
else
    h5py_is serial || fail "another package replaced the serial h5py; remove $VENV and try again."
    line="serial HDF5, one shard per process${mpich:+, MPI is the mpich wheel}: $why"
fi

# shellcheck source=scripts/mpi_env.sh
two_ranks() (
    . scripts/mpi_env.sh
    PATH=$clean_path quietly "$MPIEXEC" -n 2 "$python" -c \
        'from mpi4py import MPI; assert MPI.COMM_WORLD.allreduce(1) == 2, "mpiexec and mpi4py are of two kinds of MPI"'
)
two_ranks || say "note: mpiexec did not run 2 ranks ($(grep -v '^ *$' "$log" | tail -n 1)); a login node may forbid it"

printf '%s\n%s\n' "$(fingerprint)" "$line" >"$stamp"
say "$VENV is ready: $line"
