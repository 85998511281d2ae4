# shellcheck shell=bash
# Environment of every job; all templates source this file from the repository's root.
#
# HPCMASS_ENVIRONMENT chooses the recipe in jobs/environments/: modules (default), spack or apptainer. Adapt that file to
# the site once; the templates stay as they are. A recipe may set
#
#   HPCMASS   command of the program                            hpcmass
#   LAUNCH    command that starts it on all ranks               the template's: srun, or mpiexec -n RANKS
#
# You can set them for one job, too: LAUNCH=mpirun sbatch jobs/slurm/mpi.sbatch

# shellcheck source=jobs/environments/modules.sh
. "jobs/environments/${HPCMASS_ENVIRONMENT:-modules}.sh" || exit 1
HPCMASS=${HPCMASS:-hpcmass}

# A rank is one process on one core: no library may start more threads.
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 NUMBA_NUM_THREADS=1

# Compiled kernels are kept in the node's own temporary directory (TMPDIR, else /tmp), so that hundreds of ranks do not
# load a shared file system; one rank of each node compiles, the others load. Where /tmp is too small or forbidden, set
# another directory that is local to the node:
# export NUMBA_CACHE_DIR=/local/$USER/numba
#
# Many short jobs save the compiling: `hpcmass kernels --into DIR` once on a compute node, then
# export HPCMASS_KERNELS=DIR
