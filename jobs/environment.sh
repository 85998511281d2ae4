# shellcheck shell=bash
# What every job needs before it starts hpcmass; all templates source this file from the repository's root.
#
# HPCMASS_ENVIRONMENT chooses the recipe in jobs/environments/: modules (default), spack or apptainer. Adapt that file to
# the site once; the templates stay as they are. A recipe may set
#
#   HPCMASS   the words that start the program                  hpcmass
#   LAUNCH    the words that start it on all ranks              the template's: srun, or mpiexec -n RANKS
#
# and so may you, for one job: LAUNCH=mpirun sbatch jobs/slurm/mpi.sbatch

# shellcheck source=jobs/environments/modules.sh
. "jobs/environments/${HPCMASS_ENVIRONMENT:-modules}.sh" || exit 1
HPCMASS=${HPCMASS:-hpcmass}

# A rank is one process on one core: no library may start threads of its own.
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 NUMBA_NUM_THREADS=1

# Compiled kernels are kept in the node's own temporary directory (TMPDIR, else /tmp), so that hundreds of ranks do not
# meet on a shared file system; one rank of each node compiles, the others load. Where /tmp is tiny or forbidden, name
# another directory that is local to the node:
# export NUMBA_CACHE_DIR=/local/$USER/numba
