# shellcheck shell=bash
# Recipe: a Spack environment for the compiler-built part, a virtual environment on top; see spack.yaml for both.

if ! type spack >/dev/null 2>&1; then
    # shellcheck source=/dev/null
    . "${SPACK_ROOT:?the directory of Spack, for its share/spack/setup-env.sh}/share/spack/setup-env.sh"
fi
spack env activate "${SPACK_ENVIRONMENT:-hpcmass}"
venv=${VENV:-.venv-spack}
if [[ ! -f $venv/bin/activate ]]; then
    echo "jobs/environments/spack.sh: there is no virtual environment $venv; spack.yaml has the commands that create it." >&2
    return 1
fi
# shellcheck source=/dev/null
. "$venv/bin/activate"

# Open MPI from Spack, under a Slurm that has the pmix plugin:
# export SLURM_MPI_TYPE=pmix
