"""The comparison file while it is written: created at full size, then filled point by point, so that it can be resumed.

As with a sweep, nothing but raw data is written after the layout, and a point is marked as compared after its results
have reached the disk: at whatever moment a comparison is killed, the file opens and the same command continues it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from hpcmass.compare.contents import Contents
from hpcmass.compare.point import example_window
from hpcmass.compare.settings import bins_of, require_settings
from hpcmass.compare.uncertainty import adjusted
from hpcmass.config import CompareParameters, Experiment, MassParameters
from hpcmass.config.file import parse_experiment
from hpcmass.errors import UserError
from hpcmass.grid import places
from hpcmass.plugins import changed_sources, label_of
from hpcmass.store.files import START_OVER, Closing, RawFile, cannot_write, changing_metadata
from hpcmass.store.layout import Coordinate, axis_coordinates, creating_file, file_bytes, step_times_ms
from hpcmass.store.opening import open_hdf5
from hpcmass.store.parts import SweepParts
from hpcmass.store.provenance import append_history, history_line, history_of, history_value
from hpcmass.store.schema import (
    AXES,
    COMPARED_VARIABLES,
    COMPARISON_ATTRIBUTE,
    COMPARISON_FILETYPE,
    DONE,
    FAILED,
    PENDING,
    comparison_path,
)
from hpcmass.store.sweep_file import SweepFile
from hpcmass.text import noted

Point = tuple[int, ...]


def prepare(
    path: Path,
    sweep: SweepParts,
    contents: Contents,
    provenance: Mapping[str, Any],
    force: bool,
    *,
    only: npt.NDArray[np.bool_] | None = None,
) -> None:
    """Create the comparison file, or check that an existing one can be continued.

    One of fewer files of the same sweep is replaced by one of all files, with the same results. With `force` an
    existing file is backed up, unless it holds no results. `only` are the points, (axes…), that it will ever have: the
    curves of the others take no disk space, and read as 0.
    """
    continued = path.exists() and not force
    history, what = [], "started"
    if continued:
        require_continuable(path, sweep, contents)
        with open_hdf5(path, COMPARISON_FILETYPE, checked=True) as old:
            if str(old.attrs["sweep_uuid"]) == sweep.uuid:  # which follows from the files
                return
            history, what = history_of(old), "continued"
    experiment, scan = contents.experiment, contents.scan
    scanned = [] if scan is None else [Coordinate(scan.name, np.array(scan.values), scan.unit, scan.meaning)]
    variables = [*COMPARED_VARIABLES.values(), *(variable for each in contents.own for variable in each.variables())]
    curves = [v.name for v in variables if v.dims[0] == AXES and v.dims[-1] in ("frequency", "window")]
    sparse = [] if only is None else curves
    with creating_file(
        path,
        filetype=COMPARISON_FILETYPE,
        axes=[*sweep.axes, *(each.name for each in scanned)],
        coordinates=_coordinates(experiment, sweep.trial_numbers, scanned),
        variables=[replace(v, fill=None) if v.name in sparse else v for v in variables],
        attributes={
            "title": experiment.title,
            "config_yaml": experiment.text,
            "config_sha256": sweep.physics_sha256,
            "sweep_uuid": sweep.uuid,
            "sweep_uuids": "\n".join(sorted(set(sweep.uuids))),
            "sweep_path": "\n".join(noted(os.path.relpath(p.absolute(), path.parent.absolute())) for p in sweep.paths),
            "own_code": json.dumps(contents.code),
            **({} if scan is None else {"scan": scan.key, "scan_axis": scan.name}),
            "own_statistics": json.dumps([asdict(each) for each in contents.own]),
            "history": history_value([*history, history_line(f"comparison of {sweep.name} {what}")]),
            **provenance,
        },
        force=force,
        replace=continued or compares_nothing(path),
    ) as file:
        if continued:
            with open_hdf5(path, COMPARISON_FILETYPE, checked=True) as old:
                for variable in variables:
                    file[variable.name][...] = old[variable.name][()]
        for place in () if only is None else places(only):
            for name in sparse:
                file[name][place] = np.nan
        file["n_components"][...] = bins_of(experiment.network, experiment.compare).n_components


def _coordinates(
    experiment: Experiment, trial_numbers: npt.NDArray[np.int32], scanned: Sequence[Coordinate] = ()
) -> list[Coordinate]:
    """All dimensions of a comparison."""
    network = experiment.network
    bins = bins_of(network, experiment.compare)
    shown_ms = step_times_ms(network)[example_window(network)]
    return [
        *axis_coordinates(experiment.axes(), experiment.axis_units()),
        *scanned,
        Coordinate("trial", trial_numbers, "1", "trial number"),
        Coordinate("model", experiment.mass.labels, "text", "mass model"),
        Coordinate("frequency", bins.frequency, "Hz", "centre of the merged frequency components"),
        Coordinate("window", shown_ms, "ms", "time in the example window"),
    ]


def comparison_bytes(experiment: Experiment) -> int:
    """Size of the comparison of a whole sweep, up to some metadata and own statistics.

    Raises
    ------
    UserError
        If its settings do not fit the recordings.
    """
    require_settings(experiment.network, experiment.compare)
    coordinates = _coordinates(experiment, np.arange(experiment.trials, dtype=np.int32))
    return sum(file_bytes(COMPARED_VARIABLES.values(), tuple(experiment.axes()), coordinates))


def _files_of(file: h5py.File) -> set[str]:
    """Identities of the sweep files that a comparison compares."""
    return set(str(file.attrs.get("sweep_uuids", file.attrs["sweep_uuid"])).split())


def compares(path: Path, uuid: str) -> bool:
    """Whether a file is there that is the comparison of this sweep file."""
    try:
        with open_hdf5(path, COMPARISON_FILETYPE) as file:
            return str(file.attrs["sweep_uuid"]) == uuid
    except UserError:
        return False


def comparison_of(sweep: SweepFile) -> Path | None:
    """Where the comparison of a sweep file is; None if nothing says so.

    It has the name that the file notes. Beside the file it may have another one: both may have been renamed.
    """
    noted_name = str(sweep.attributes.get(COMPARISON_ATTRIBUTE, ""))
    path = sweep.path.with_name(noted_name) if noted_name else None
    if path is None or not path.exists():
        beside = comparison_path(sweep.path)
        path = beside if compares(beside, sweep.uuid) else path
    return path


def compares_nothing(path: Path) -> bool:
    """Whether a file is there that is a comparison without a single point that is compared."""
    try:
        with open_hdf5(path, COMPARISON_FILETYPE) as file:
            return "compared" in file and not bool((file["compared"][()] != PENDING).any())
    except UserError:
        return False


class OutdatedComparison(UserError):
    """A comparison that cannot be continued.

    Parameters
    ----------
    path : Path
    why : str
        What follows the path in a sentence.
    other_sweep, other_code : bool
        It compares another sweep; it was made with other code of a model or statistic.
    """

    def __init__(self, path: Path, why: str, *, other_sweep: bool = False, other_code: bool = False) -> None:
        super().__init__(f"{path} {why}; {START_OVER}")
        self.why, self.other_sweep, self.other_code = why, other_sweep, other_code


def require_continuable(path: Path, sweep: SweepParts, contents: Contents) -> None:
    """Refuse a comparison file that has other contents, or cannot be written; errors as of `require_same_contents`."""
    require_same_contents(path, sweep, contents)
    if not os.access(path, os.W_OK):
        raise UserError(f"no permission to write {path}; give another name")


def require_same_contents(path: Path, sweep: SweepParts, contents: Contents) -> None:
    """Refuse a comparison file of another sweep, with other settings or own code, or of an older hpcmass.

    Raises
    ------
    OutdatedComparison
    UserError
        If it is no comparison file.
    """
    with open_hdf5(path, COMPARISON_FILETYPE) as file:
        shape = file["status"].shape
        scan, values = str(file.attrs.get("scan", "")), ()
        if scan:
            values, shape = tuple(file[str(file.attrs["scan_axis"])][()].tolist()), (*shape[:-2], shape[-1])
        compared, given = _files_of(file), set(sweep.uuids)
        same = str(file.attrs["sweep_uuid"]) == sweep.uuid or compared <= given
        if compared > given:
            raise OutdatedComparison(path, f"compares {len(compared)} files of this sweep; give all of them")
        if not same or shape != sweep.shape:
            raise OutdatedComparison(path, f"compares another sweep than {sweep.name}", other_sweep=True)
        if any(name not in file for name in COMPARED_VARIABLES):
            raise OutdatedComparison(path, "was made by an older hpcmass, which computed fewer statistics")
        stored = parse_experiment(str(file.attrs["config_yaml"]), f"the configuration in {path}")
        other_code = changed_sources(json.loads(file.attrs.get("own_code", "{}")), contents.code)
    if (scan, values) != (("", ()) if contents.scan is None else (contents.scan.key, contents.scan.values)):
        raise OutdatedComparison(path, "was made with another scan of a parameter")
    differences = [
        f"{section}.{key} is {theirs.get(key, 'not set')} there and {ours.get(key, 'not set')} here"
        for section in ("mass", "compare")
        for theirs, ours in [(_settings(getattr(each, section)) for each in (stored, contents.experiment))]
        for key in theirs | ours
        if theirs.get(key) != ours.get(key)
    ]
    if differences:
        raise OutdatedComparison(path, f"was made with other settings ({'; '.join(differences)})")
    if other_code:
        raise OutdatedComparison(path, f"was made with other code of {', '.join(other_code)}", other_code=True)


def _settings(section: MassParameters | CompareParameters) -> dict[str, Any]:
    """A section's keys; of a model in a file the name alone, for the code is compared by its hash."""
    keys = section.model_dump()
    listed = {key: tuple(map(label_of, keys[key])) for key in ("models", "statistics") if key in keys}
    return keys | listed


class ComparisonFile(Closing):
    """An existing comparison file, open for writing; a context manager.

    Attributes
    ----------
    compared : array of int8, (axes…)
        State of each point. The last axis is that of a scanned parameter, if there is one.
    n_compared : array of int, (axes…)
        Trials in each point's results when the file was opened; 0 where there were none yet.
    """

    def __init__(self, path: Path, *, scanned: bool = False) -> None:
        self.path, self._scanned = path, scanned
        self._file = RawFile(path)
        self._tests = [name.removesuffix("_qvalue") for name in self._file.names() if name.endswith("_qvalue")]
        self.compared: npt.NDArray[np.int8] = self._file.read("compared").copy()
        n_compared = self._file.read("n_compared")
        self.n_compared: npt.NDArray[np.int64] = np.where(self.compared == PENDING, 0, n_compared)

    def is_complete(self, sweep: SweepParts) -> bool:
        """True if nothing of the sweep is left to compare."""
        status, agrees, agrees_bh = map(self._file.read, ("status", "rho_agrees", "rho_agrees_bh"))
        same = bool((status == self._of_trials(sweep.status)).all()) and np.array_equal(agrees < 0, agrees_bh < 0)
        return same and bool((self.n_compared == self._of_points(np.sum(sweep.status == DONE, axis=-1))).all())

    def places(self, point: Point) -> list[Point]:
        """Where the results of a point of the sweep belong, one place for each value of the scanned parameter."""
        return [(*point, i) for i in range(self.n_compared.shape[-1])] if self._scanned else [point]

    def _of_points(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Values of the sweep's points, the same for each value of the scanned parameter."""
        return values[..., None] if self._scanned else values

    def _of_trials(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return values[..., None, :] if self._scanned else values

    def begin(self, sweep: SweepParts, spike_contrast_min: float, what: str | None) -> None:
        """Copy the sweep's numbers and write what follows into the history, unless it is None.

        Until `finish` nothing is adjusted over the map, which is going to change.
        """
        if what is not None:
            with changing_metadata(self.path) as file:
                append_history(file, what)
        with self._writing():
            needed = {}
            for name, values in sweep.each_number():
                self._file.put(name, (), self._of_trials(values))
                if name in ("silent", "spike_contrast"):
                    needed[name] = values
            self._file.put("status", (), self._of_trials(sweep.status))
            known = np.where(needed["silent"] < 0, PENDING, sweep.status)  # no spikes need to have been recorded
            state = synchronised(needed["spike_contrast"], known, spike_contrast_min)
            self._file.put("synchronised", (), self._of_points(state))
            for test in self._tests:
                self._file.put(f"{test}_qvalue", (), np.nan)
            self._file.put("rho_agrees_bh", (), -1)

    def write(self, point: Point, result: Mapping[str, Any], state: int = DONE) -> None:
        """Store the results of one point; its state is FAILED if a model or a statistic has failed at it."""
        self.write_block([point], {name: [values] for name, values in result.items()}, [state])

    def write_block(
        self, points: Sequence[Point], results: Mapping[str, Sequence[Any] | npt.NDArray[Any]], states: Iterable[int]
    ) -> None:
        """Store the results of some points: variable → values of each, (point, …). They get their states at the end.

        The number of syncs is the same for any number of points. A kill leaves them without results, or with all.
        """
        again = [point for point in points if self.compared[point] != PENDING]
        with self._writing():
            for point in again:
                self._file.put("compared", point, PENDING)
            if again:
                self._file.sync()
            for name, values in results.items():
                for point, value in zip(points, values, strict=True):
                    self._file.put(name, point, value)
            self._file.sync()
            for point, state in zip(points, states, strict=True):
                self._file.put("compared", point, state)
                self.compared[point] = state

    def finish(self, settings: CompareParameters) -> None:
        """Adjust the p-values over the map, of all points that are compared."""
        qvalues = {test: self._adjusted(self._file.read(f"{test}_pvalue")) for test in self._tests}
        rho, agrees = self._file.read("rho"), self._file.read("rho_agrees")
        with self._writing():
            for test, values in qvalues.items():
                self._file.put(f"{test}_qvalue", (), values)
            agrees_bh = (qvalues["rho"] < settings.alpha) & (rho > settings.rho_min)
            self._file.put("rho_agrees_bh", (), np.where(agrees < 0, -1, agrees_bh))

    def _adjusted(self, pvalues: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """p-values adjusted over the map, one model and one value of the scanned parameter at a time."""
        by_family = pvalues.reshape(*pvalues.shape[: self.n_compared.ndim - self._scanned], -1)
        return adjusted(by_family).reshape(pvalues.shape)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """What the block writes is on the disk when it ends; if that fails, raise one sentence."""
        try:
            yield
            self._file.sync()
        except OSError as error:
            what_to_do = "free some space and start the same command again, what is done is kept"
            raise cannot_write(self.path, error, what_to_do) from error

    def n_diverged(self) -> npt.NDArray[np.int64]:
        """Trials in which each model diverged, over all points, (models,)."""
        counts = self._file.read("n_diverged")
        return np.asarray(np.maximum(counts, 0).reshape(-1, counts.shape[-1]).sum(axis=0), dtype=np.int64)

    def n_failed(self) -> int:
        """Points at which a model or a statistic has failed; each value of a scanned parameter counts."""
        return int((self.compared == FAILED).sum())

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def synchronised(
    spike_contrast: npt.NDArray[Any], status: npt.NDArray[np.int8], spike_contrast_min: float
) -> npt.NDArray[np.int8]:
    """1 where Spike-contrast, averaged over the trials that have it, reaches its threshold, 0 where it does not.

    Returns
    -------
    array of int8, (axes…)
        0 also where all trials are silent, -1 where none is done.
    """
    defined = np.isfinite(spike_contrast)
    total = np.where(defined, spike_contrast, 0.0).sum(axis=-1)
    mean = total / np.maximum(defined.sum(axis=-1), 1)
    done = (status == DONE).any(axis=-1)
    return np.where(done, mean >= spike_contrast_min, -1).astype(np.int8)
