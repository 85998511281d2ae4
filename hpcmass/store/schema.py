"""The contract of the result files: names, dimensions, types, units, flags and the format's version.

Both kinds of file, sweep and comparison, are HDF5 with dimension scales, so that
`xarray.open_dataset(path, engine="h5netcdf")` gives labelled arrays. These tables are
the only definition of the datasets: writers create them, readers look them up.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

FORMAT_VERSION: Final = (2, 3)
"""Major.minor. A reader refuses a newer major version; a minor step only adds variables, attributes or flags."""

COMPLETE: Final = ("2.0", "2.1", "2.2", "2.3")
"""Versions in which a sweep has every variable of this one."""

SWEEP_FILETYPE: Final = "hpcmass-sweep"
COMPARISON_FILETYPE: Final = "hpcmass-comparison"

PENDING, DONE, FAILED = 0, 1, 2
STATUS_MEANINGS: Final = "pending done failed"

ERROR_LENGTH: Final = 240
"""Bytes of a failed trial's message, which has a fixed length so that writing it changes no metadata."""

LETTERS: Final = "letter"
"""Dimension of the bytes of a text, as netCDF stores texts of fixed length; it has no coordinate values."""

AXES: Final = "axes"
"""Stands in `Variable.dims` for the swept axes, in the configuration's order (p, lam, …)."""

KEPT_TRIALS: Final = "kept_trial"
"""Dimension of the traces in place of `trial` where the file keeps those of the first trials only."""

KEEP_ATTRIBUTE: Final = "traces"
"""Root attribute: which traces a sweep keeps, `traces.keep` of its configuration; absent in files before 2.2."""

COMPARISON_ATTRIBUTE: Final = "comparison"
"""Root attribute of a sweep that is compared during the run: the name of the comparison file beside it."""


def comparison_path(sweep: Path) -> Path:
    """The comparison that `run --compare` makes: `sweep-cmp.h5` beside `sweep.h5`."""
    return sweep.with_name(f"{sweep.stem}-cmp{sweep.suffix}")


Role = Literal["trace", "number", "bookkeeping"]


@dataclass(frozen=True)
class Variable:
    """One dataset.

    Attributes
    ----------
    name, unit, long_name : str
    dims : tuple of str
        Dimension names; `AXES` expands to the swept axes.
    dtype : str
        NumPy type string.
    role : str
        `trace` (large, allocated but never filled), `number` (a trial's scientific result) or `bookkeeping`
        (how it was computed: differs from run to run).
    fill : float or int or bytes or None
        Value of what has not been written; None for traces, which are allocated but not filled.
    flag_meanings : str, optional
        For flags: the names of the values 0, 1, …, separated by spaces.
    """

    name: str
    dims: tuple[str, ...]
    dtype: str
    unit: str
    long_name: str
    role: Role = "number"
    fill: float | int | bytes | None = float("nan")
    flag_meanings: str | None = None

    def dimensions(self, axes: tuple[str, ...]) -> tuple[str, ...]:
        """`dims` with the swept axes' names in place of `AXES`."""
        return tuple(name for dim in self.dims for name in (axes if dim == AXES else (dim,)))


_TRIAL = (AXES, "trial")
_TRACE = (AXES, "trial", "time")


def _trace(name: str, unit: str, long_name: str) -> Variable:
    return Variable(name, _TRACE, "f4", unit, long_name, role="trace", fill=None)


SWEEP_VARIABLES: Final[dict[str, Variable]] = {
    v.name: v
    for v in (
        _trace("mean_v", "mV", "population mean of the membrane potential"),
        _trace("phi_E", "1/ms", "excitatory spikes arriving per neuron and ms"),
        _trace("phi_I", "1/ms", "inhibitory spikes arriving per neuron and ms"),
        _trace("phi_ext", "1/ms", "external spikes arriving per neuron and ms"),
        _trace("mean_i_syn", "mV", "population mean of the synaptic current, in units of the leak conductance"),
        Variable("spike_contrast", _TRIAL, "f8", "1", "Spike-contrast of all trains after the transient"),
        Variable("spike_contrast_bin", _TRIAL, "f8", "ms", "bin width at which Spike-contrast peaks"),
        Variable("rate_E", _TRIAL, "f8", "Hz", "mean firing rate of the excitatory neurons"),
        Variable("rate_I", _TRIAL, "f8", "Hz", "mean firing rate of the inhibitory neurons"),
        Variable("cv_isi", _TRIAL, "f8", "1", "mean over neurons of the CV of interspike intervals"),
        Variable("n_spikes", _TRIAL, "i8", "1", "spikes of all neurons after the transient", fill=-1),
        Variable("n_edges", _TRIAL, "i8", "1", "directed connections drawn within the network", fill=-1),
        Variable("n_edges_ext", _TRIAL, "i8", "1", "connections drawn from external units", fill=-1),
        Variable(
            "silent", _TRIAL, "i1", "flag", "1 if there are too few spikes for spike statistics", fill=-1,
            flag_meanings="spiking silent",
        ),
        Variable(
            "status", _TRIAL, "i1", "flag", "state of the trial", role="bookkeeping", fill=PENDING,
            flag_meanings=STATUS_MEANINGS,
        ),
        Variable("seed", (*_TRIAL, "word"), "u4", "1", "the trial's SeedSequence words", role="bookkeeping", fill=0),
        Variable("wall_s", _TRIAL, "f8", "s", "wall time of the trial", role="bookkeeping"),
        Variable("kernel_s", _TRIAL, "f8", "s", "processor time in the time loop", role="bookkeeping"),
        Variable(
            "rank", _TRIAL, "i4", "1", "rank that ran the trial, -1: copied from another sweep", role="bookkeeping",
            fill=-1,
        ),
        Variable("error", (*_TRIAL, LETTERS), "S1", "text", "why the trial failed", role="bookkeeping", fill=b""),
    )
}  # fmt: skip
"""Variables of a sweep file, beside the coordinates (each swept axis, trial, time, word)."""

SWEEP_VARIABLES_1: Final = {
    **SWEEP_VARIABLES,
    "error": replace(SWEEP_VARIABLES["error"], dims=_TRIAL, dtype=f"S{ERROR_LENGTH}"),
}
"""The same in a file of format 1, which is read and continued as it is."""


def sweep_variables(keep: str) -> dict[str, Variable]:
    """Variables of a sweep file that keeps `all`, the `first_trial` or `none` of a point's traces."""
    if keep == "all":
        return SWEEP_VARIABLES
    if keep == "none":
        return {name: v for name, v in SWEEP_VARIABLES.items() if v.role != "trace"}
    return {
        name: replace(v, dims=(AXES, KEPT_TRIALS, "time")) if v.role == "trace" else v
        for name, v in SWEEP_VARIABLES.items()
    }


TRACES: Final = tuple(v.name for v in SWEEP_VARIABLES.values() if v.role == "trace")
NUMBERS: Final = tuple(v.name for v in SWEEP_VARIABLES.values() if v.role == "number")

SPIKE_VARIABLES: Final[dict[str, Variable]] = {
    v.name: v
    for v in (
        Variable("spike_neuron", ("spike",), "i4", "1", "neuron that spiked (excitatory ones come first)", fill=-1),
        Variable("spike_time", ("spike",), "f8", "ms", "time of the spike"),
    )
}
"""Added by `hpcmass trial --spikes` to its one-trial sweep file."""

_POINT = (AXES,)
_MODEL = (AXES, "model")

_SPECTRUM = (AXES, "frequency")
_MODEL_SPECTRUM = (AXES, "model", "frequency")


def _both(name: str, unit: str, long_name: str) -> tuple[Variable, ...]:
    """A statistic of the network (`name_lif`) and of each model (`name`), each with its standard error."""
    return (
        *_with_error(Variable(f"{name}_lif", _POINT, "f8", unit, f"{long_name}, network")),
        *_with_error(Variable(name, _MODEL, "f8", unit, f"{long_name}, model")),
    )


def _with_error(variable: Variable) -> tuple[Variable, Variable]:
    """A statistic and its standard error over the trials, `name_se`, NaN for a single trial."""
    name, text = f"{variable.name}_se", f"standard error over trials: {variable.long_name}"
    return variable, replace(variable, name=name, long_name=text)


def _adjusted(test: str) -> str:
    """What a q-value is."""
    return f"q-value of {test} (p-value adjusted over the map, Benjamini-Hochberg)"


COMPARISON_VARIABLES: Final[dict[str, Variable]] = {
    v.name: v
    for v in (
        Variable("n_components", ("frequency",), "i8", "1", "raw frequency components merged into one", fill=-1),
        *_with_error(Variable("spectrum_lif", _SPECTRUM, "f8", "mV^2/Hz", "trial-averaged power density, network")),
        *_with_error(Variable("spectrum", _MODEL_SPECTRUM, "f8", "mV^2/Hz", "trial-averaged power density, model")),
        *_both("median_frequency", "Hz", "frequency below which half of the power lies"),
        Variable("median_frequency_lif_trial", _TRIAL, "f8", "Hz",
                 "frequency below which half of the power lies, network, trial by trial"),
        *_both("peak_frequency", "Hz", "frequency of the largest power density in the band"),
        *_both("peak_power", "mV^2/Hz", "largest power density in the band"),
        *_with_error(Variable("chi2", _MODEL, "f8", "1", "chi-squared between the spectra, equation (25)")),
        Variable("chi2_without_trial", (AXES, "trial", "model"), "f8", "1",
                 "chi-squared between the spectra averaged over all trials but this one"),
        Variable("chi2_dof", _MODEL, "i8", "1", "degrees of freedom of chi-squared", fill=-1),
        Variable("chi2_pvalue", _MODEL, "f8", "1", "probability of a larger chi-squared under equality"),
        Variable("chi2_qvalue", _MODEL, "f8", "1", _adjusted("χ²")),
        Variable("histogram_count", _POINT, "f8", "1", "total count of the spectra as histograms in chi-squared"),
        *_with_error(Variable(
            "log_ratio", _MODEL, "f8", "1", "spread of the spectra's log-ratios about their mean, standardised",
        )),
        Variable("log_ratio_pvalue", _MODEL, "f8", "1", "p-value of the calibrated spectral statistic"),
        Variable("log_ratio_qvalue", _MODEL, "f8", "1", _adjusted("the calibrated spectral test")),
        *_with_error(Variable(
            "spectral_distance", _MODEL, "f8", "dB", "spectral distance: rms difference of shapes, beyond chance",
        )),
        *_with_error(Variable("coherence", _MODEL_SPECTRUM, "f8", "1", "magnitude-squared coherence with the network")),
        Variable("coherence_threshold", _SPECTRUM, "f8", "1", "critical value of the coherence at level alpha"),
        *_with_error(Variable("coherence_mean", _MODEL, "f8", "1", "coherence weighted by the network's power")),
        Variable("rho", _MODEL, "f8", "1", "correlation at the best lag, averaged over trials by Fisher's z"),
        Variable("rho_z", _MODEL, "f8", "1", "mean over trials of Fisher's z = atanh(rho)"),
        Variable("rho_se", _MODEL, "f8", "1", "standard error of z in the pooled trials from the effective samples"),
        Variable("rho_se_trials", _MODEL, "f8", "1", "standard error of z over the trials"),
        Variable("rho_pvalue", _MODEL, "f8", "1", "p-value of the pooled correlation under independence"),
        Variable("rho_qvalue", _MODEL, "f8", "1", _adjusted("ρ")),
        Variable("rho_agrees", _MODEL, "i1", "flag", "inside the drawn contour: significant and above rho_min",
                 fill=-1, flag_meanings="no yes"),
        Variable("rho_agrees_bh", _MODEL, "i1", "flag", "significant after adjustment over the map, and above rho_min",
                 fill=-1, flag_meanings="no yes"),
        Variable("n_eff", _MODEL, "f8", "1", "effective number of samples, mean over trials"),
        *_with_error(Variable("lag", _MODEL, "f8", "ms",
                              "median of the trials' best lags (positive: the model is late)")),
        Variable("rho_trial", (AXES, "trial", "model"), "f8", "1", "correlation at the best lag, trial by trial"),
        Variable("lag_trial", (AXES, "trial", "model"), "f8", "ms", "lag of the largest correlation, trial by trial"),
        *_with_error(Variable("mean_v_lif", _POINT, "f8", "mV", "temporal mean of the network's mean potential")),
        *_with_error(Variable("sd_v_lif", _POINT, "f8", "mV",
                              "temporal standard deviation of the network's mean potential")),
        *_with_error(Variable("mean_v_model", _MODEL, "f8", "mV", "temporal mean of the model's potential")),
        *_with_error(Variable("sd_v_model", _MODEL, "f8", "mV",
                              "temporal standard deviation of the model's potential")),
        *_with_error(Variable("mean_error", _MODEL, "f8", "mV", "model's temporal mean minus the network's")),
        *_with_error(Variable("log_variance_ratio", _MODEL, "f8", "1",
                              "natural logarithm of the model's temporal variance over the network's")),
        Variable("example_v_lif", (AXES, "window"), "f4", "mV",
                 "network's mean potential in an example window of the first compared trial"),
        Variable("example_v", (AXES, "model", "window"), "f4", "mV",
                 "model's potential in the example window of the same trial"),
        Variable("n_diverged", _MODEL, "i8", "1", "trials in which the model diverged or failed", fill=-1),
        Variable("n_compared", _POINT, "i8", "1", "trials that entered the comparison", fill=0),
        Variable("synchronised", _POINT, "i1", "flag", "Spike-contrast, averaged over trials, reaches its threshold",
                 fill=-1, flag_meanings="desynchronised synchronised"),
        Variable("compared", _POINT, "i1", "flag",
                 "state of the point (failed: compared, but a model or a statistic has failed)",
                 role="bookkeeping", fill=0, flag_meanings=STATUS_MEANINGS),
    )
}  # fmt: skip
"""Variables of a comparison file; it also copies the sweep's per-trial numbers (`NUMBERS`) and `status`.

`name_se` is the standard error of `name` over the trials; `name_qvalue` is `name_pvalue` adjusted over all points of
the map, one model at a time (Benjamini & Hochberg 1995).
"""

COMPARED_VARIABLES: Final = {
    **COMPARISON_VARIABLES,
    **{name: SWEEP_VARIABLES[name] for name in (*NUMBERS, "status")},
}
"""All variables of a comparison file."""

DERIVED: Final = ("_lif", "_trial", "_se", "_pvalue", "_qvalue")
"""Endings of the variables that belong to a statistic."""


@dataclass(frozen=True)
class OwnStatistic:
    """A statistic of the user's in a comparison file; the root attribute `own_statistics` lists them.

    Attributes
    ----------
    name, unit, meaning : str
    single : bool
        It is a property of one potential, so the network has it, too. Otherwise it compares a model with the network.
    pvalue : bool
        It is a test.
    """

    name: str
    unit: str
    meaning: str
    single: bool
    pvalue: bool

    def variables(self) -> tuple[Variable, ...]:
        """Its variables: mean and standard error over trials, the trials' own values, and of a test the p-values."""
        of_model = self._variables(self.name, self.meaning, _MODEL, (AXES, "trial", "model"))
        if not self.single:
            return of_model
        return (*of_model, *self._variables(f"{self.name}_lif", f"{self.meaning}, network", _POINT, (AXES, "trial")))

    def _variables(self, name: str, text: str, point: tuple[str, ...], trial: tuple[str, ...]) -> tuple[Variable, ...]:
        tests = (
            Variable(f"{name}_pvalue", point, "f8", "1", f"p-value over the trials (Fisher's method): {text}"),
            Variable(f"{name}_qvalue", point, "f8", "1", _adjusted(self.name)),
        )
        return (
            *_with_error(Variable(name, point, "f8", self.unit, text)),
            Variable(f"{name}_trial", trial, "f8", self.unit, f"trial by trial: {text}"),
            *(tests if self.pvalue else ()),
        )


def own_statistics(attributes: Mapping[str, Any]) -> tuple[OwnStatistic, ...]:
    """The own statistics of a comparison file, from its root attributes."""
    listed = json.loads(str(attributes.get("own_statistics", "[]")))
    return tuple(OwnStatistic(**each) for each in listed)


EXAMPLE_MS: Final = 500.0
"""Length (ms) of the example window: the first of it after the transient, or what a shorter trial has.

The coordinate `window` holds its time stamps (ms), the same values as the sweep's `time`; NaN where no trial was
compared or the model diverged.
"""
