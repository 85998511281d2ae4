"""Work in parallel: MPI ranks, processes of this machine, or this process alone, behind one kind of executor.

Nothing else in the package imports mpi4py.
"""
