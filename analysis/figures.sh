#!/usr/bin/env bash
# Draw the figures of docs/results.md.
#
#   analysis/figures.sh [CMP] [DIRECTORY]        the default is docs/data/paper-cmp.h5 and docs/images/results
#
# Figures 4 and 5 are arranged as in Deschle et al. (2021): a column for each model, p to the right, λ upwards.
set -euo pipefail
cd "$(dirname "$0")/.."

comparison=${1:-docs/data/paper-cmp.h5}
directory=${2:-docs/images/results}
mkdir -p "$directory"

figure() {
    hpcmass figure "$comparison" -o "$directory/$1.png" --panels "$2" --columns 2 --letters --dpi 150 --force "${@:3}"
}

figure network spike_contrast,median_frequency:network,rate_E,rate_I --clim median_frequency=2:730
figure figure-4 chi2:CFM,chi2:MFM
figure figure-5 rho:CFM,rho:MFM,lag:CFM,lag:MFM
figure spectra spectral_distance:CFM,spectral_distance:MFM,median_frequency:CFM,median_frequency:MFM
figure amplitude mean_error:CFM,mean_error:MFM,log_variance_ratio:CFM,log_variance_ratio:MFM --clim mean_error=-60:60
figure baselines rho:CFM-closed,rho:CLO,rho:FOM,rho:LIN
python analysis/points.py "$comparison" -o "$directory" --formats png --force \
    --point 0.15,0.7 --point 0.25,0.7 --point 0.3,0.95
