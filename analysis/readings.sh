#!/usr/bin/env bash
# Sweep, and compare with the mass models, every reading of what the paper leaves open; print which claims hold in each.
#
#   analysis/readings.sh [DIRECTORY] [hpcmass run's options]        the default is readings/ and -j 2
#
# configs/readings.yml sweeps p, lam and the noise. Here it is run for two readings of the external drive (p_ext fixed,
# or equal to p) and for three sets of weights, into one file each. A rerun continues; nothing is computed twice.
set -euo pipefail

directory=${1:-readings}
shift || true
options=("$@")
((${#options[@]})) || options=(-j 2)
mkdir -p "$directory"
cd "$(dirname "$0")/.." || exit 1

# Sets A and B: synaptic weights for which the tied network is silent at small p and synchronises at p of 0.1 to 0.3.
weights() {
    case $1 in
        A) echo tau_ext_ms=5 w_ext=0.004446 w_E=0.0023505 w_I=0.007662 ;;
        B) echo tau_ext_ms=3 w_ext=0.0065165 w_E=0.0016555 w_I=0.0094805 ;;
        default) ;;
    esac
}

for drive in tied fixed; do
    for set in A B default; do
        name=$drive-$set
        read -ra changes <<<"title=$name $(weights "$set")"
        [[ $drive == fixed ]] || changes+=("p_ext={times: p}")
        hpcmass run configs/readings.yml "${options[@]}" "${changes[@]/#/--set=}" -o "$directory/$name.h5"
        hpcmass compare "$directory/$name.h5" -o "$directory/$name-cmp.h5" --models CFM,MFM
    done
done
hpcmass claims "$directory"/*-cmp.h5
