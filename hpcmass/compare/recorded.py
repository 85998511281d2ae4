"""Recordings that are in memory, of any origin, compared with mass models."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from hpcmass.compare.arrays import FEWEST, positive, real_array, real_number
from hpcmass.compare.own import statistics_of
from hpcmass.compare.plausible import Seen, doubts
from hpcmass.compare.point import Result, compare_point
from hpcmass.compare.series import Real
from hpcmass.compare.settings import bins_of
from hpcmass.compiled import require_compiler
from hpcmass.config import CompareParameters, MassParameters, NetworkParameters
from hpcmass.config.file import validated
from hpcmass.errors import UserError
from hpcmass.mass import Traces
from hpcmass.mass.registry import declared_models
from hpcmass.messages import logger
from hpcmass.nearest import did_you_mean
from hpcmass.store.schema import COMPARISON_VARIABLES, Variable
from hpcmass.text import counted

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

DIVERGED: Final = "diverged"
"""In place of the statistics that a model does not have."""

RECORDED: Final = "recording"
"""Name of the recorded potential beside the models'."""

SHOWN: Final = (
    "rho", "lag", "chi2", "log_ratio", "spectral_distance", "coherence_mean", "mean_error", "log_variance_ratio",
)  # fmt: skip
"""Statistics in the table that a notebook shows."""


@dataclass(frozen=True)
class ModelStatistics:
    """One model against the recording; all are NaN if the model diverged in a trial.

    Attributes
    ----------
    rho, rho_pvalue : float
        Correlation at the best lag, averaged over the trials by Fisher's z, and its p-value under independence.
    rho_agrees : bool
        Significant at `compare.alpha`, and above `compare.rho_min`.
    lag : float
        Median of the trials' best lags (ms); positive where the model is late.
    n_eff : float
        Effective number of samples of the correlation.
    chi2, chi2_dof, chi2_pvalue : float
        The paper's χ² between the spectra.
    log_ratio, log_ratio_pvalue : float
        The calibrated test of the spectra.
    spectral_distance : float
        Root-mean-square difference of the spectra's shapes (dB) beyond sampling errors.
    coherence_mean : float
        Coherence, weighted by the recording's power; NaN where a bin holds one component of one trial.
    mean_error : float
        Temporal mean of the model minus the recording's (mV).
    log_variance_ratio : float
        Natural logarithm of the model's temporal variance over the recording's.
    median_frequency : float
        Frequency (Hz) below which half of the model's power lies.
    n_diverged : int
        Trials in which the model diverged.
    spectrum, coherence : array, (n_bins,)
        Power density (mV²/Hz) and coherence in each bin, at `RecordingComparison.frequency_hz`.
    """

    rho: float
    rho_pvalue: float
    rho_agrees: bool
    lag: float
    n_eff: float
    chi2: float
    chi2_dof: int
    chi2_pvalue: float
    log_ratio: float
    log_ratio_pvalue: float
    spectral_distance: float
    coherence_mean: float
    mean_error: float
    log_variance_ratio: float
    median_frequency: float
    n_diverged: int
    spectrum: Real = field(repr=False)
    coherence: Real = field(repr=False)


class RecordingComparison(Mapping[str, ModelStatistics]):
    """Mass models against a recording: model → `ModelStatistics`; a notebook shows it as a table.

    Made by `compare_recording` and `TrialResult.compare`.
    """

    def __init__(self, data: xr.Dataset) -> None:
        self._data = data

    @property
    def frequency_hz(self) -> Real:
        """Centres (Hz) of the bins of the spectra."""
        return np.asarray(self._data["frequency"].values, dtype=np.float64)

    @property
    def spectra(self) -> pd.DataFrame:
        """Power densities (mV²/Hz): a row per frequency (Hz), columns `recording` and the models."""
        import pandas as pd

        columns = {RECORDED: self._data["spectrum_lif"].values} | {m: self[m].spectrum for m in self}
        return pd.DataFrame(columns, index=pd.Index(self.frequency_hz, name="frequency"))

    def to_xarray(self) -> xr.Dataset:
        """All statistics, with the names, units and descriptions of a comparison file."""
        return self._data.copy()

    def to_dataframe(self) -> pd.DataFrame:
        """One row a model, one column a statistic, with the names of a comparison file."""
        alone = [name for name, variable in self._data.data_vars.items() if variable.dims == ("model",)]
        table: pd.DataFrame = self._data[alone].to_dataframe()
        return table

    def __getitem__(self, model: str) -> ModelStatistics:
        if model not in self:
            hint = did_you_mean(str(model), self) or f"there are {', '.join(self)}"
            raise UserError(f"there is no model '{model}' in this comparison; {hint}")
        row = self._data.sel(model=model)
        values = {f.name: row[f.name].values for f in fields(ModelStatistics)}
        plain: dict[str, Any] = {name: value if value.ndim else value.item() for name, value in values.items()}
        return ModelStatistics(**plain | {"rho_agrees": plain["rho_agrees"] == 1})

    def __contains__(self, model: object) -> bool:
        return model in list(self)

    def __iter__(self) -> Iterator[str]:
        return iter(self._data["model"].values.tolist())

    def __len__(self) -> int:
        return int(self._data.sizes["model"])

    def __repr__(self) -> str:
        return f"{self._title()}\n{self._table().to_string(float_format='{:.3g}'.format)}"

    def _repr_html_(self) -> str:
        return f"<p>{self._title()}</p>{self._table().to_html(float_format='{:.3g}'.format)}"

    def _title(self) -> str:
        trials = counted(int(self._data["n_compared"]), "trial")
        return f"{counted(len(self), 'mass model')} against {trials} of {self._data.attrs['analysed_ms'] / 1e3:g} s"

    def _table(self) -> pd.DataFrame:
        units = {name: self._data[name].attrs["units"] for name in SHOWN}
        named = {name: name if unit == "1" else f"{name} ({unit})" for name, unit in units.items()}
        table = self.to_dataframe()
        diverged = table["n_diverged"] > 0
        shown = table[list(SHOWN)].astype(object)
        return shown.mask(shown.isna().mul(diverged, axis=0), DIVERGED).rename(columns=named).rename_axis(None)


def compare_recording(
    mean_v: npt.ArrayLike,
    phi_E: npt.ArrayLike,
    phi_I: npt.ArrayLike,
    phi_ext: npt.ArrayLike,
    *,
    dt_ms: float,
    mean_i_syn: npt.ArrayLike | None = None,
    transient_ms: float = 0.0,
    network: NetworkParameters | Mapping[str, Any] | None = None,
    models: Sequence[str] = ("CFM", "MFM"),
    tau_s_ms: float = 5.0,
    compare: CompareParameters | Mapping[str, Any] | None = None,
) -> RecordingComparison:
    """Compare a recording of your own with mass models.

    The models are driven by the recorded input. What they predict is compared with the recorded potential by the
    statistics of `hpcmass compare`.

    Parameters
    ----------
    mean_v : array, (n_steps,) or (n_trials, n_steps)
        Population mean of the membrane potential (mV).
    phi_E, phi_I, phi_ext : array, of the same shape, or number
        Spikes that a neuron receives from excitatory, inhibitory and external units, population mean (1/ms); a number
        is constant.
    dt_ms : float
        Time step (ms).
    mean_i_syn : array, of the same shape, optional
        Population mean of the synaptic current Σ_σ g_σ (v - V_σ) (mV, in units of the leak conductance), which some
        models need.
    transient_ms : float
        Start of each trial (ms) that the statistics leave out.
    network : NetworkParameters or mapping, optional
        Parameters of the neurons and synapses, `{"tau_E_ms": 5}`; without it, and for those not named, the defaults.
        Time step and duration are those of the recording.
    models : sequence of str
        Mass models, see `hpcmass.mass.known_models`.
    tau_s_ms : float
        Synaptic time constant of the mass models (ms).
    compare : CompareParameters or mapping, optional
        Settings of the statistics, `{"max_lag_ms": 20}`.

    Returns
    -------
    RecordingComparison
        Model → its statistics.

    Raises
    ------
    UserError
        If an array, a name or a setting is not allowed, a model needs a trace that is not given, or `mean_v` seems to
        be in V. Input that seems to be in spikes per s, and steps that seem not to be in ms, give a warning.

    Examples
    --------
    >>> import numpy as np
    >>> from hpcmass import compare_recording
    >>> rng = np.random.default_rng(1)
    >>> phi_E = 20 + np.convolve(rng.standard_normal(8000), np.ones(100) / 10, "same")
    >>> mean_v = -60 + 0.1 * np.convolve(phi_E - 20, np.exp(-np.arange(100) / 20))[:8000]
    >>> found = compare_recording(mean_v, phi_E, phi_I=4.0, phi_ext=1.0, dt_ms=0.5, network={"tau_E_ms": 5})
    >>> list(found)
    ['CFM', 'MFM']
    >>> found["MFM"].rho > found["CFM"].rho
    True
    >>> found.spectra.columns.tolist()
    ['recording', 'CFM', 'MFM']
    """
    dt = positive("dt_ms", dt_ms)
    given: dict[str, npt.ArrayLike] = {"mean_v": mean_v, "phi_E": phi_E, "phi_I": phi_I, "phi_ext": phi_ext}
    if mean_i_syn is not None:
        given["mean_i_syn"] = mean_i_syn
    arrays = {name: real_array(name, values) for name, values in given.items()}
    shape = arrays["mean_v"].shape
    if len(shape) not in (1, 2) or 0 in shape:
        raise UserError(f"mean_v has shape {shape}; give (n_steps,) or (n_trials, n_steps)")
    if shape[-1] < FEWEST:
        raise UserError(f"mean_v has {shape[-1]} steps; give at least {FEWEST}, with time along the last dimension")
    for name, array in arrays.items():
        if array.shape not in (shape, ()):
            raise UserError(f"{name} has shape {array.shape} and mean_v {shape}; give arrays of the same shape")
        arrays[name] = np.atleast_2d(np.broadcast_to(array, shape))
    recorded = {"dt_ms": dt, "duration_ms": shape[-1] * dt, "transient_ms": real_number("transient_ms", transient_ms)}
    names = (models,) if isinstance(models, str) else tuple(models)
    neurons = validated(NetworkParameters, _keys(network) | recorded)
    mass = validated(MassParameters, {"models": names, "tau_s_ms": tau_s_ms})
    settings = validated(CompareParameters, _keys(compare))
    trials = [{name: array[k] for name, array in arrays.items()} for k in range(len(arrays["mean_v"]))]
    seen = Seen()
    for trial in trials:
        seen.add(trial, neurons)
    seen.require()
    for sentence in doubts(seen, neurons):
        logger.warning("%s", sentence)
    return compare_traces([Traces(**trial) for trial in trials], neurons, mass, settings)


def compare_traces(
    trials: Sequence[Traces], network: NetworkParameters, mass: MassParameters, compare: CompareParameters
) -> RecordingComparison:
    """Compare the mass models with trials that are in memory.

    Raises
    ------
    UserError
        As `compare_recording`.
    """
    import xarray as xr

    require_compiler()
    try:
        models = declared_models(mass, n_trials=len(trials))
    except UserError as error:
        raise UserError(str(error).removeprefix("mass.")) from None
    for name, entry in models.items():
        lacking = [trace for trace in entry.value.needs if getattr(trials[0], trace) is None]
        if lacking:
            raise UserError(f"{name} needs {', '.join(lacking)}; give it by that name, or leave {name} out of models")
    result = compare_point(list(enumerate(trials)), len(trials), network, mass, compare)
    coordinates = {
        "model": ("model", list(models), {"long_name": "mass model"}),
        "trial": ("trial", np.arange(len(trials)), {"long_name": "trial number"}),
        "frequency": ("frequency", bins_of(network, compare).frequency, {"units": "Hz"}),
    }
    analysed = (network.n_steps - network.n_transient) * network.dt_ms
    own = [variable for each in statistics_of(compare).values() for variable in each.value.about.variables()]
    return RecordingComparison(xr.Dataset(_variables(result, own), coordinates, {"analysed_ms": analysed}))


def _variables(result: Result, own: Iterable[Variable]) -> dict[str, tuple[tuple[str, ...], Any, dict[str, str]]]:
    """A point's results for xarray; the example windows, which the caller has, are left out."""
    return {
        name: (variable.dimensions(()), result[name], {"units": variable.unit, "long_name": variable.long_name})
        for name, variable in (COMPARISON_VARIABLES | {each.name: each for each in own}).items()
        if name in result and "window" not in variable.dims
    }


def _keys(section: NetworkParameters | CompareParameters | Mapping[str, Any] | None) -> dict[str, Any]:
    if section is None:
        return {}
    return dict(section) if isinstance(section, Mapping) else section.model_dump()
