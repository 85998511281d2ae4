# shellcheck shell=bash
# Settings for mpiexec to run more ranks than cores, also as root, on one machine. To be sourced:
#
#   VENV=.venv . scripts/mpi_env.sh; "$MPIEXEC" -n 3 .venv/bin/hpcmass run ...
#
# The Makefile, the continuous integration and the tests use it. On a cluster the batch system sets up MPI
# instead, and this file is not needed. A variable that is set already keeps its value.

# Every rank is one process on one core.
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"

# Open MPI 4 and 5: root is fine (containers), more ranks than cores are fine (rank 0 only distributes), no pinning.
export OMPI_ALLOW_RUN_AS_ROOT="${OMPI_ALLOW_RUN_AS_ROOT:-1}"
export OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="${OMPI_ALLOW_RUN_AS_ROOT_CONFIRM:-1}"
export OMPI_MCA_rmaps_base_oversubscribe="${OMPI_MCA_rmaps_base_oversubscribe:-1}"
export OMPI_MCA_hwloc_base_binding_policy="${OMPI_MCA_hwloc_base_binding_policy:-none}"
export OMPI_MCA_mpi_yield_when_idle="${OMPI_MCA_mpi_yield_when_idle:-1}"
export PRTE_MCA_rmaps_default_mapping_policy="${PRTE_MCA_rmaps_default_mapping_policy:-:oversubscribe}"
export PRTE_MCA_hwloc_default_binding_policy="${PRTE_MCA_hwloc_default_binding_policy:-none}"
# Containers forbid the copy between address spaces that Open MPI 4 tries first, which gives a warning.
export OMPI_MCA_btl_vader_single_copy_mechanism="${OMPI_MCA_btl_vader_single_copy_mechanism:-none}"

# The mpich wheel has its own mpiexec; otherwise use the machine's.
if [ -z "${MPIEXEC:-}" ]; then
    if [ -x "${VENV:-.venv}/bin/mpiexec" ]; then
        MPIEXEC="${VENV:-.venv}/bin/mpiexec"
    else
        MPIEXEC=mpiexec
    fi
fi
export MPIEXEC
