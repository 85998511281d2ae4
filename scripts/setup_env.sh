#!/usr/bin/env bash
# Set up the environment of hpcmass: a virtual environment, an MPI library and an h5py that fits it.
#
#   scripts/setup_env.sh            (or: make env)
#
# On a machine that offers a parallel HDF5 (cluster modules, distribution packages; Debian and Ubuntu
# packages are installed as root or with password-less sudo), h5py is built against it and every rank
# writes into one file. Elsewhere h5py is the serial wheel and every process writes its own shard.
# A second call with nothing changed only says so.
#
# Environment variables:
#   PYTHON          interpreter to build the environment from          python3
#   VENV            where the environment goes                         .venv
#   HPCMASS_HDF5    auto | parallel (fail without it) | serial         auto
#   HPCMASS_APT     auto | never (leave the distribution alone)        auto
#   HPCMASS_EXTRAS  optional dependencies to install                   analysis,dev
#   HDF5_DIR, HDF5_ROOT, EBROOTHDF5                                    where a parallel HDF5 is
#   MPICC           MPI compiler wrapper                               mpicc
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"

PYTHON=${PYTHON:-python3}
VENV=${VENV:-.venv}
HPCMASS_HDF5=${HPCMASS_HDF5:-auto}
HPCMASS_APT=${HPCMASS_APT:-auto}
HPCMASS_EXTRAS=${HPCMASS_EXTRAS-analysis,dev}
MPICC=${MPICC:-mpicc}
export DEBIAN_FRONTEND=noninteractive PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
unset PYTHONPATH PYTHONHOME

fail() {
    printf 'make env: %s\n' "$*" >&2
    exit 1
}

say() { printf '[env %3ds] %s\n' "$SECONDS" "$*"; }

case $HPCMASS_HDF5 in auto | parallel | serial) ;; *) fail "HPCMASS_HDF5 is '$HPCMASS_HDF5'; it must be auto, parallel or serial." ;; esac
case $HPCMASS_APT in auto | never) ;; *) fail "HPCMASS_APT is '$HPCMASS_APT'; it must be auto or never." ;; esac

# An activated environment must not pass its own mpiexec for the machine's.
clean_path=
IFS=: read -r -a path_entries <<<"$PATH"
for entry in "${path_entries[@]}"; do
    case $entry in
        "$root/$VENV/bin" | "$VENV/bin" | "${VIRTUAL_ENV:-/nonexistent}/bin") ;;
        *) clean_path+=${clean_path:+:}$entry ;;
    esac
done
on_path() { PATH=$clean_path command -v "$1" 2>/dev/null; }

# ---------------------------------------------------------------------------------- nothing to do?

command -v "$PYTHON" >/dev/null 2>&1 || fail "there is no '$PYTHON' on PATH; install Python 3.11 or newer, or name one with PYTHON=..."
python_id=$("$PYTHON" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3], sys.base_prefix)') ||
    fail "'$PYTHON' does not run; name another interpreter with PYTHON=..."
"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "Python ${python_id%% *} is too old; hpcmass needs 3.11 or newer (name another interpreter with PYTHON=...)."

fingerprint() {
    {
        cat pyproject.toml scripts/setup_env.sh
        printf '%s\n' "$root" "$python_id" "$HPCMASS_HDF5" "$HPCMASS_APT" "$HPCMASS_EXTRAS" \
            "$(on_path "$MPICC")" "$(on_path mpiexec)" "${HDF5_DIR:-}" "${HDF5_ROOT:-}" "${EBROOTHDF5:-}"
    } | sha256sum | cut -d' ' -f1
}

stamp=$VENV/.hpcmass-env
if [[ -f $stamp && -x $VENV/bin/python ]] && [[ $(head -n1 "$stamp") == "$(fingerprint)" ]]; then
    printf '%s is up to date: %s\n' "$VENV" "$(sed -n 2p "$stamp")"
    exit 0
fi

# ------------------------------------------------------------------------------------------ tools

log=$(mktemp)
trap 'rm -f "$log"' EXIT

# Run a command quietly; its output is shown only if it fails.
quietly() {
    "$@" >"$log" 2>&1 </dev/null
}

must() {
    local what=$1
    shift
    quietly "$@" || {
        tail -n 30 "$log" >&2
        fail "$what failed; the last lines of its output are above."
    }
}

sudo=()
can_apt() {
    [[ $HPCMASS_APT == auto ]] && command -v apt-get >/dev/null 2>&1 || return 1
    if [[ $EUID -eq 0 ]]; then return 0; fi
    command -v sudo >/dev/null 2>&1 && sudo -n true >/dev/null 2>&1 || return 1
    sudo=(sudo -n --preserve-env=DEBIAN_FRONTEND)
}

apt_install() {
    quietly "${sudo[@]}" apt-get update -qq || return 1
    quietly "${sudo[@]}" apt-get install -y -qq --no-install-recommends "$@"
}

is_parallel_hdf5() {
    [[ -n $1 && -d $1/include ]] && grep -qsE '^#define +H5_HAVE_PARALLEL +1' "$1"/include/H5pubconf*.h
}

# The directory of a parallel HDF5: module variables, then the distribution, then h5pcc.
find_hdf5() {
    local dir
    for dir in "${HDF5_DIR:-}" "${HDF5_ROOT:-}" "${EBROOTHDF5:-}" /usr/lib/*-linux-gnu/hdf5/openmpi; do
        if is_parallel_hdf5 "$dir"; then
            printf '%s\n' "$dir"
            return
        fi
    done
    if on_path h5pcc >/dev/null; then
        dir=$("$(on_path h5pcc)" -showconfig 2>/dev/null | sed -n 's/^ *Installation point: *//p')
        if is_parallel_hdf5 "$dir"; then
            printf '%s\n' "$dir"
            return
        fi
    fi
    return 1
}

has_headers() {
    "$PYTHON" -c 'import os, sys, sysconfig
sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))'
}

# What still stands between this machine and a build of h5py against a parallel HDF5; empty if nothing.
obstacle() {
    on_path mpiexec >/dev/null || { echo "no mpiexec on PATH" && return; }
    on_path "$MPICC" >/dev/null || { echo "no $MPICC on PATH" && return; }
    find_hdf5 >/dev/null || { echo "no parallel HDF5 found" && return; }
    has_headers || { echo "no Python headers" && return; }
}

# ---------------------------------------------------------------- what the machine lacks and may get

packages=()
distribution_python=false
[[ $(readlink -f "$(command -v "$PYTHON")") == /usr/bin/python3* ]] && distribution_python=true

if ! "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null; then
    $distribution_python && packages+=(python3-venv)
    if ! $distribution_python || ! can_apt; then
        fail "'$PYTHON' has no venv module; install it (on Debian and Ubuntu: apt-get install python3-venv)."
    fi
fi

why=
if [[ $HPCMASS_HDF5 == serial ]]; then
    why="HPCMASS_HDF5=serial"
else
    why=$(obstacle)
    # A cluster's own MPI is not mixed with the distribution's.
    if [[ -n $why ]]; then
        mpiexec_found=$(on_path mpiexec || true)
        if [[ -z $mpiexec_found || $mpiexec_found == /usr/bin/* || $mpiexec_found == /bin/* ]] && can_apt; then
            packages+=(openmpi-bin libhdf5-openmpi-dev gcc libc6-dev)
            if $distribution_python && ! has_headers; then packages+=(python3-dev); fi
        fi
    fi
fi

if ((${#packages[@]})) && can_apt; then
    say "installing distribution packages: ${packages[*]}"
    if ! apt_install "${packages[@]}"; then
        if [[ $HPCMASS_HDF5 == parallel || " ${packages[*]} " == *" python3-venv "* ]]; then
            tail -n 30 "$log" >&2
            fail "apt-get could not install ${packages[*]}; the last lines of its output are above."
        fi
        why="apt-get could not install ${packages[*]}"
    fi
    hash -r
    if [[ $HPCMASS_HDF5 != serial ]]; then
        still=$(obstacle)
        if [[ -n $still ]]; then why="$still"; else why=; fi
    fi
fi

if [[ $HPCMASS_HDF5 == parallel && -n $why ]]; then
    fail "a parallel HDF5 was asked for (HPCMASS_HDF5=parallel), but: $why."
fi

# ------------------------------------------------------------------------------ virtual environment

if [[ -x $VENV/bin/python ]] &&
    [[ $("$VENV/bin/python" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3], sys.base_prefix)' 2>/dev/null) != "$python_id" ]]; then
    say "rebuilding $VENV for Python ${python_id%% *}"
    rm -rf "$VENV"
fi
if [[ ! -x $VENV/bin/python ]]; then
    say "creating $VENV with Python ${python_id%% *}"
    must "creating the virtual environment" "$PYTHON" -m venv "$VENV"
fi
rm -f "$stamp"
python=$VENV/bin/python
pip=("$python" -m pip)
installed() { quietly "${pip[@]}" show "$1"; }

h5py_is() { # parallel|serial, against the HDF5 in $2
    "$python" - "$1" <<'PY' 2>/dev/null
import sys
try:
    import mpi4py
    mpi4py.rc.initialize = False
except ImportError:
    pass
import h5py
sys.exit(h5py.get_config().mpi != (sys.argv[1] == "parallel"))
PY
}

build_h5py() {
    local hdf5=$1
    say "installing mpi4py, numpy, numba"
    # numba bounds numpy, so both come before h5py is compiled against numpy.
    quietly "${pip[@]}" install -q 'mpi4py>=4' 'numpy>=2' 'numba>=0.60' 'cython>=3,<4' 'setuptools>=77' packaging pkgconfig || return 1
    if [[ $(cat "$VENV/.hpcmass-hdf5" 2>/dev/null) == "$hdf5" ]] && h5py_is parallel; then return 0; fi
    say "building h5py against the parallel HDF5 in $hdf5"
    # Isolated, the build compiles an old mpi4py; cached, pip hands back a build for another HDF5.
    quietly env HDF5_MPI=ON CC="$MPICC" CFLAGS=-g0 HDF5_DIR="$hdf5" \
        "${pip[@]}" install -q --no-cache-dir --force-reinstall --no-deps --no-binary=h5py --no-build-isolation 'h5py>=3.11' || return 1
    printf '%s\n' "$hdf5" >"$VENV/.hpcmass-hdf5"
    h5py_is parallel
}

if [[ -z $why ]]; then
    if installed mpich; then must "removing the mpich wheel" "${pip[@]}" uninstall -q -y mpich; fi
    hdf5=$(find_hdf5)
    if ! build_h5py "$hdf5"; then
        tail -n 30 "$log" >&2
        [[ $HPCMASS_HDF5 == parallel ]] && fail "h5py could not be built against $hdf5; the last lines of the output are above."
        why="h5py could not be built against $hdf5"
    fi
fi

if [[ -n $why ]]; then
    extra_wheels=()
    if ! on_path mpiexec >/dev/null; then extra_wheels+=(mpich); fi
    rm -f "$VENV/.hpcmass-hdf5"
    say "installing mpi4py, serial h5py ${extra_wheels[*]}"
    must "installing mpi4py and numpy" "${pip[@]}" install -q 'mpi4py>=4' 'numpy>=2' "${extra_wheels[@]}"
    if ! h5py_is serial; then
        must "installing h5py" "${pip[@]}" install -q --force-reinstall --no-deps --only-binary=h5py 'h5py>=3.11'
    fi
fi

# h5py is there by now and satisfies the requirement, so pip leaves the MPI build alone.
say "installing hpcmass and its dependencies"
must "installing hpcmass" "${pip[@]}" install -q -e ".${HPCMASS_EXTRAS:+[$HPCMASS_EXTRAS]}"

if [[ -z $why ]]; then
    h5py_is parallel || fail "pip replaced the MPI build of h5py; remove $VENV and try again."
    line="parallel HDF5 (mpio): h5py is built against $hdf5, all ranks write one file"
else
    line="serial HDF5, one shard per process: $why"
fi
printf '%s\n%s\n' "$(fingerprint)" "$line" >"$stamp"
say "$VENV is ready: $line"
