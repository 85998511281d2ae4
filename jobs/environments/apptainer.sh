# shellcheck shell=bash
# Recipe: the container of hpcmass.def, one per rank, started by the host's launcher (hybrid MPI; see the comment at its top).

image=${HPCMASS_IMAGE:-hpcmass.sif}
if [[ ! -f $image ]]; then
    echo "jobs/environments/apptainer.sh: there is no image $image; 'apptainer build' it from jobs/environments/hpcmass.def." >&2
    return 1
fi
# module load apptainer
# The file system that holds configuration and results must be bound; the host's /tmp, where the compiled kernels are
# kept, is bound by default.
export HPCMASS="apptainer exec --bind $PWD --pwd $PWD $image hpcmass"
# export SLURM_MPI_TYPE=pmix
