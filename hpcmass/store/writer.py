"""Writing a sweep: everything is created first, then trials put their raw data into it, one slab each.

Two writers behind one interface: `ParallelWriter`, all processes into one file through MPI-IO, and `ShardWriter`,
each process into a file of its own. Neither ever changes metadata, and each trial's status comes after its data have
reached the disk: whatever moment a job is killed in, the file opens and every trial that is `done` is true.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np
import numpy.typing as npt

from hpcmass.config import Experiment
from hpcmass.errors import UserError
from hpcmass.grid import Trial
from hpcmass.store.creation import create_sweep_file
from hpcmass.store.identity import require_same_sweep
from hpcmass.store.inplace import open_in_place, sync
from hpcmass.store.layout import reason
from hpcmass.store.parts import Share, require_same_part
from hpcmass.store.reader import open_hdf5, shard_directory
from hpcmass.store.schema import DONE, ERROR_LENGTH, FAILED, SWEEP_FILETYPE, SWEEP_VARIABLES

Values = Mapping[str, npt.NDArray[np.generic] | float | int]


class SlabWriter:
    """Writes trials into one sweep file that is there already; a context manager.

    This one is for a single process; the two below are for many.

    Parameters
    ----------
    path : Path
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = self._open()
        # a file of an older minor version goes on without the variables that came later
        self._variables = {name: self._file[name] for name in SWEEP_VARIABLES if name in self._file}
        self._descriptor = os.open(path, os.O_RDWR)
        self._torn = False

    def _open(self) -> h5py.File:
        return open_in_place(self.path)

    def _settle(self) -> None:
        """Bring this process's writes, which are in the file already, to the disk."""
        sync(self._descriptor)

    def write(self, trial: Trial, values: Values, *, rank: int) -> None:
        """Store a trial that is done.

        Parameters
        ----------
        trial : Trial
        values : mapping of str to array or number
            `Recording.variables()`.
        rank : int
            Who ran it.

        Raises
        ------
        UserError
            If it cannot be written (disk full); the trial then stays as it was.
        """
        self._store([(trial, {**values, "rank": rank, "error": b""})], DONE)

    def write_many(self, recorded: Sequence[tuple[Trial, Values]]) -> None:
        """Store trials that are done, with all that belongs to them (`rank`, `wall_s`, …), in two steps for all.

        Raises
        ------
        UserError
            See `write`.
        """
        self._store([(trial, {**values, "error": b""}) for trial, values in recorded], DONE)

    def write_spikes(self, spikes: Mapping[str, npt.NDArray[np.generic]]) -> None:
        """Store the spikes of a one-trial file that has space for them (`spike_neuron`, `spike_time`)."""
        for name, values in spikes.items():
            self._file[name][...] = values

    def fail(self, trial: Trial, message: str, *, rank: int, wall_s: float = float("nan")) -> None:
        """Mark a trial as failed, with the reason.

        Raises
        ------
        UserError
            See `write`.
        """
        text = message.encode()[:ERROR_LENGTH].decode(errors="ignore").encode()
        self._store([(trial, {"rank": rank, "error": text, "wall_s": wall_s})], FAILED)

    def _store(self, recorded: Sequence[tuple[Trial, Mapping[str, Any]]], status: int) -> None:
        try:
            for trial, values in recorded:
                for name, value in values.items():
                    if name in self._variables or name not in SWEEP_VARIABLES:
                        self._variables[name][trial.index] = value
            self._settle()
            for trial, _ in recorded:
                self._variables["status"][trial.index] = status
            self._settle()
        except (OSError, RuntimeError) as error:
            self._torn = True
            raise UserError(
                f"cannot write {recorded[0][0].label()} into {self.path}: {reason(error)}; free some space and start "
                "the same command again, what is done is kept"
            ) from error

    def close(self) -> None:
        """Close the file; with `ParallelWriter` all processes must do so together.

        Raises
        ------
        UserError
            If something cannot be written any more, unless `write` has said so already.
        """
        try:
            self._file.close()
        except (OSError, RuntimeError) as error:
            if not self._torn:
                raise UserError(f"cannot close {self.path}: {reason(error)}; start the same command again") from error
        finally:
            os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class ParallelWriter(SlabWriter):
    """Writes into one file together with the other processes of a communicator.

    Opening and closing are collective, everything between is not: a trial's slab goes straight to the file through
    MPI-IO, without a buffer of HDF5's, and no call here may touch metadata, or the job hangs.

    Parameters
    ----------
    path : Path
    comm : mpi4py.MPI.Intracomm
        All of its processes construct the writer together.
    """

    def __init__(self, path: Path, comm: Any) -> None:
        self._comm = comm
        super().__init__(path)

    def _open(self) -> h5py.File:
        return h5py.File(self.path, "r+", driver="mpio", comm=self._comm)


class ShardWriter(SlabWriter):
    """Writes into this process's own shard of a sweep, itself a sweep file of the full shape.

    A shard of an earlier run with the same rank is continued, never truncated. Only the space of trials that are
    written is occupied on the disk.

    Parameters
    ----------
    sweep : Path
        The sweep file that the shards make together.
    experiment : Experiment
    provenance : mapping
        Root attributes; the same `uuid` on all ranks.
    rank : int
    share : Share, optional
        The part of a job array that the sweep is.
    """

    def __init__(
        self,
        sweep: Path,
        experiment: Experiment,
        *,
        provenance: Mapping[str, Any],
        rank: int,
        share: Share | None = None,
    ) -> None:
        directory = shard_directory(sweep)
        shard = directory / f"shard-{rank:05d}.h5"
        try:
            directory.mkdir(exist_ok=True)
        except OSError as error:
            raise UserError(f"cannot write {directory}: {reason(error)}; give another -o") from None
        if shard.exists():
            with open_hdf5(shard, SWEEP_FILETYPE) as file:
                require_same_sweep(file, experiment, "give another -o, or --force to start anew")
                require_same_part(file, share.part if share else None, "give another -o, or --force to start anew")
        else:
            create_sweep_file(shard, experiment, driver="shards", provenance=provenance, share=share)
        super().__init__(shard)
