#!/usr/bin/env bash
# Set up an aarch64 Python that runs on this machine under QEMU's user-mode emulation, without root:
#
#   .venv-arm/qemu   QEMU, unless qemu-aarch64(-static) is on the PATH
#   .venv-arm/root   Debian 12's Python 3.11 for arm64, with the libraries that it needs
#   .venv-arm/site   the wheels of the program and of pytest, in the versions of the environment of `make env`
#   .venv-arm/python starts it
#
# A second call with unchanged versions does nothing. Where a part cannot be had, the last line says `skipped: …` and why, and
# the exit code is 3. HPCMASS_ARM sets another directory, HPCMASS_DEBIAN another mirror.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
arm=${HPCMASS_ARM:-$here/.venv-arm}
venv=${VENV:-.venv}
case $venv in /*) ;; *) venv=$here/$venv ;; esac
# the mirror of this machine's own Debian; apt replaces $(SITE), not the shell
# shellcheck disable=SC2016
mirror=${HPCMASS_DEBIAN:-$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 2>/dev/null | head -n 1 || true)}
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

skip() {
    echo "skipped: $1"
    exit 3
}

packages=(numpy numba llvmlite scipy h5py mpi4py pydantic pydantic-core annotated-types typing-extensions typing-inspection PyYAML
    pytest pytest-timeout pluggy iniconfig packaging pygments hypothesis sortedcontainers)
wanted=$("$venv/bin/python" - "${packages[@]}" <<'PYTHON'
import sys
from importlib import metadata

for name in sys.argv[1:]:
    try:
        print(f"{name}=={metadata.version(name)}")
    except metadata.PackageNotFoundError:
        print(f"{name} is not installed", file=sys.stderr)
PYTHON
)
if [ -x "$arm/python" ] && [ "$wanted" = "$(cat "$arm/installed.txt" 2>/dev/null)" ]; then
    exit 0
fi

echo "[arm] setting up ${arm#"$here"/} (about 600 MB)"
mkdir -p "$arm"
qemu=$(command -v qemu-aarch64-static || command -v qemu-aarch64 || true)
if [ ! -e "$arm/root/usr/lib/aarch64-linux-gnu/libstdc++.so.6" ] || [ -z "$qemu" ]; then
    for program in apt-get dpkg-deb; do
        command -v "$program" >/dev/null ||
            skip "$program, which fetches or unpacks QEMU and Debian's Python for arm64, is not installed"
    done
    [ -n "$mirror" ] || skip "apt knows no mirror; name one of Debian's with HPCMASS_DEBIAN"
    [ -r "$keyring" ] || skip "$keyring is missing (package debian-archive-keyring)"
    # apt with directories of its own: nothing of the machine's packages is read or changed
    apt=$arm/apt
    rm -rf "$apt"
    mkdir -p "$apt"/{etc,lists/partial,archives/partial}
    : >"$apt/status"
    echo "deb [signed-by=$keyring] $mirror bookworm main" >"$apt/etc/sources.list"
    cat >"$apt/apt.conf" <<APT
Dir::Etc::sourcelist "$apt/etc/sources.list";
Dir::Etc::sourceparts "-";
Dir::Etc::trusted "$keyring";
Dir::State::lists "$apt/lists";
Dir::State::status "$apt/status";
Dir::Cache "$apt";
Dir::Cache::archives "$apt/archives";
Dir::Log "$apt";
APT::Architecture "arm64";
APT::Architectures { "arm64"; "amd64"; };
APT::Install-Recommends "false";
APT::Sandbox::User "";
Debug::NoLocking "true";
Acquire::Languages "none";
APT
    export APT_CONFIG=$apt/apt.conf
    apt-get -qq update >"$apt/log" 2>&1 || skip "$mirror could not be read ($(tail -1 "$apt/log"))"
    mkdir -p "$apt/qemu"
    if [ -z "$qemu" ]; then
        (cd "$apt/qemu" && apt-get -qq download qemu-user-static:amd64) >"$apt/log" 2>&1 ||
            skip "the package qemu-user-static could not be fetched ($(tail -1 "$apt/log"))"
        dpkg-deb -x "$apt"/qemu/*.deb "$arm/qemu"
    fi
    apt-get -qq -y --download-only install python3.11 libstdc++6 >"$apt/log" 2>&1 ||
        skip "Debian's Python for arm64 could not be fetched ($(tail -1 "$apt/log"))"
    for package in "$apt"/archives/*_arm64.deb "$apt"/archives/*_all.deb; do
        dpkg-deb -x "$package" "$arm/root"
    done
    rm -rf "$apt"
    unset APT_CONFIG
fi
[ -n "$qemu" ] || qemu=$arm/qemu/usr/bin/qemu-aarch64-static

rm -rf "$arm/site"
mapfile -t pinned <<<"$wanted"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --target "$arm/site" \
    --python-version 3.11 --implementation cp --only-binary :all: \
    --platform manylinux_2_28_aarch64 --platform manylinux_2_27_aarch64 --platform manylinux_2_17_aarch64 \
    --platform manylinux2014_aarch64 "${pinned[@]}" 2>"$arm/pip.log" ||
    skip "the aarch64 wheels could not be installed ($(tail -1 "$arm/pip.log"))"

cat >"$arm/python" <<RUN
#!/bin/sh
export PYTHONPATH="$here:$here/tests/helpers:$arm/site" PYTHONNOUSERSITE=1
export NUMBA_CACHE_DIR="\${HPCMASS_ARM_CACHE:-$arm/cache}"
exec "$qemu" -L "$arm/root" "$arm/root/usr/bin/python3.11" "\$@"
RUN
chmod +x "$arm/python"
mkdir -p "$arm/cache"
"$arm/python" -c 'import numba, numpy' >"$arm/log" 2>&1 || skip "Python does not start under QEMU ($(tail -1 "$arm/log"))"
echo "$wanted" >"$arm/installed.txt"
