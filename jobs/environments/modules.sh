# shellcheck shell=bash
# Recipe: the site's modules and a virtual environment.
#
# Once, on a login node, in the repository's root:
#
#   module load python/3.12 openmpi/5.0 hdf5/1.14-parallel      (names differ from site to site: `module spider hdf5`)
#   HPCMASS_HDF5=parallel HPCMASS_APT=never make env
#
# builds h5py against the module's parallel HDF5 (found by HDF5_DIR, HDF5_ROOT or EBROOTHDF5). A site
# without one: HPCMASS_HDF5=serial; rank 0 then writes the sweep file for all ranks.
# Then write the same modules here, with versions: a default may change while a sweep is in the queue.
modules=()
# modules=(python/3.12 openmpi/5.0 hdf5/1.14-parallel)

if ((${#modules[@]})); then
    module purge
    module load "${modules[@]}"
fi

venv=${VENV:-.venv}
if [[ ! -f $venv/bin/activate ]]; then
    echo "jobs/environments/modules.sh: there is no virtual environment $venv; run 'make env' on a login node first." >&2
    return 1
fi
# shellcheck source=/dev/null
. "$venv/bin/activate"

# If a plain `srun` starts processes that do not see each other (hpcmass then prints an error), set the site's
# interface; `srun --mpi=list` lists the types. Open MPI wants pmix, MPICH and Intel MPI pmi2 or pmix.
# export SLURM_MPI_TYPE=pmix
