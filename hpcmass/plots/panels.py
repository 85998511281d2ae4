"""Which statistic becomes which panel: values, reasons for gaps, outlined regions, scale.

A function returns no panels where the file lacks what it shows: one of an older format, or one still growing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import numpy as np

from hpcmass.plots import maps, style
from hpcmass.plots.lines import NETWORK
from hpcmass.plots.maps import Panel, Scale
from hpcmass.plots.outlines import ADJUSTED, RAW, SYNCHRONY, Outline
from hpcmass.plots.plane import NO_NEURONS, TOO_FEW_SPIKES, FloatMap, Mask
from hpcmass.plots.style import number
from hpcmass.plots.view import View

MINUS: Final = "\N{MINUS SIGN}"
MODEL_LESS_NETWORK: Final = f"model {MINUS} network".replace(" ", "\N{NO-BREAK SPACE}")
LOW_RHO: Final = 0.5
"""Below this correlation a lag is dimmed: the maximum is not distinct."""


def spike_contrast(view: View) -> list[Panel]:
    """Synchrony of the network: Spike-contrast, 0 to 1."""
    values = view.number("spike_contrast")
    scale = maps.linear("Spike-contrast", values, low=0, high=1)
    return [network_panel(view, "Spike-contrast", values, scale, "spike_contrast")]


def synchrony(view: View) -> list[Panel]:
    """Spike-contrast, the bin width at which it peaks, and how regularly a neuron fires."""
    return [*spike_contrast(view), *bin_width(view), *irregularity(view)]


def bin_width(view: View) -> list[Panel]:
    """The bin width at which Spike-contrast peaks."""
    if not view.has("spike_contrast_bin"):
        return []
    width = view.number("spike_contrast_bin")
    scale = maps.logarithmic("bin width (ms)", width)
    return [network_panel(view, "bin width of the peak", width, scale, "spike_contrast_bin")]


def irregularity(view: View) -> list[Panel]:
    """How regularly a neuron fires."""
    if not view.has("cv_isi"):
        return []
    cv = view.number("cv_isi")
    scale = maps.linear("CV of interspike intervals", cv, low=0)
    return [network_panel(view, "irregularity of firing", cv, scale, "cv_isi", few=True)]


def rates(view: View) -> list[Panel]:
    """Firing rates of both kinds of neurons on one scale that spreads the low rates."""
    kinds = {name: view.number(name) for name in ("rate_E", "rate_I")}
    scale = maps.linear("firing rate (Hz), square-root scale", *kinds.values(), low=0, power=0.5)
    titles = {"rate_E": "excitatory neurons", "rate_I": "inhibitory neurons"}
    return [
        Panel(
            titles[name],
            values,
            scale,
            view.network_gaps(values, (NO_NEURONS, np.isnan(values))),
            [synchrony_edge(view)],
            statistic=name,
        )
        for name, values in kinds.items()
    ]


def median_frequencies(view: View) -> list[Panel]:
    """Median frequencies of network and models on one logarithmic scale."""
    return _frequencies(view, "median_frequency", "median frequency (Hz)")


def peak_frequencies(view: View) -> list[Panel]:
    """Frequencies of the largest power density, likewise; dimmed where that is the band's lowest one: no peak."""
    lowest = float(view.data["frequency"].values[0])
    text = f"most power at the lowest frequency, {number(lowest)} Hz: no peak"
    return [
        replace(panel, dimmed=np.isclose(panel.values, lowest), dimmed_text=text)
        for panel in _frequencies(view, "peak_frequency", "peak frequency (Hz)")
    ]


def median_frequency_differences(view: View) -> list[Panel]:
    """Model minus network: positive where the model is too fast."""
    network = view.point("median_frequency_lif")
    models = {model: view.model("median_frequency", model) - network for model in view.models}
    scale = maps.centred(f"median frequency, {MODEL_LESS_NETWORK} (Hz)", *models.values())
    return model_panels(view, models, scale, title=lambda model: f"{model} {MINUS} network")


def chi_squared(view: View) -> list[Panel]:
    """χ²/dof of (25), the paper's, with the region in which it finds no difference."""
    models = {}
    for model in view.models:
        dof = view.model("chi2_dof", model)
        models[model] = view.model("chi2", model) / np.where(dof > 0, dof, np.nan)
    scale = maps.logarithmic("χ² / degrees of freedom", *models.values())
    what = "the paper's χ² test finds no difference"
    return model_panels(view, models, scale, lambda m: undecided(view, "chi2", m, what, "χ²"), statistic="chi2")


def spectral_shapes(view: View) -> list[Panel]:
    """How far the spectra's shapes are apart beyond sampling errors, with the calibrated test's region."""
    if view.has("spectral_distance"):
        models = of_models(view, "spectral_distance")
        scale = maps.linear("spectral distance (dB): rms difference of shapes", *models.values(), low=0)
    else:
        models = of_models(view, "log_ratio")
        scale = maps.linear("spread of log-ratios, standardised", *models.values())
    what = "the calibrated test finds no difference"
    name = "spectral_distance" if view.has("spectral_distance") else ""
    return model_panels(view, models, scale, lambda m: undecided(view, "log_ratio", m, what, "cal."), statistic=name)


def coherence(view: View) -> list[Panel]:
    """Mean coherence with the network."""
    if not view.has("coherence_mean"):
        return []
    models = of_models(view, "coherence_mean")
    scale = maps.linear("coherence, weighted by the network's power", *models.values(), low=0, high=1,
                          colours=style.CORRELATION)  # fmt: skip
    return model_panels(view, models, scale, statistic="coherence_mean")


def correlation(view: View) -> list[Panel]:
    """Correlation at the best lag, with the region of agreement."""
    models = of_models(view, "rho")
    lowest = min((float(np.nanmin(v)) for v in models.values() if np.isfinite(v).any()), default=0.0)
    scale = maps.linear("correlation ρ at the best lag", *models.values(), low=min(0.0, lowest), high=1.0,
                          colours=style.CORRELATION)  # fmt: skip
    return model_panels(view, models, scale, lambda m: agreement(view, m), statistic="rho")


def lag(view: View) -> list[Panel]:
    """Lag of the best correlation: positive where the model is late; dimmed where the correlation is low."""
    models = of_models(view, "lag")
    low = {model: view.model("rho", model) < LOW_RHO for model in view.models}
    certain = [np.where(low[model], np.nan, values) for model, values in models.items()]
    some = any(np.isfinite(values).any() for values in certain)
    scale = maps.centred("lag of the model (ms), positive: late", *(certain if some else models.values()))
    text = f"ρ < {number(LOW_RHO)}: the lag means little"
    return model_panels(
        view, models, scale, lambda m: agreement(view, m), dimmed=low, dimmed_text=text, statistic="lag"
    )


def mean_errors(view: View) -> list[Panel]:
    """Temporal mean of the model's potential less the network's."""
    if not view.has("mean_error"):
        return []
    models = of_models(view, "mean_error")
    scale = maps.centred(f"mean potential, {MODEL_LESS_NETWORK} (mV)", *models.values())
    return model_panels(view, models, scale, title=lambda model: f"{model} {MINUS} network", statistic="mean_error")


def variance_errors(view: View) -> list[Panel]:
    """Temporal variance of the model's potential over the network's, in decades."""
    if not view.has("log_variance_ratio"):
        return []
    models = {model: values / np.log(10) for model, values in of_models(view, "log_variance_ratio").items()}
    scale = maps.centred("log₁₀ of the variances' ratio, model / network", *models.values())
    return model_panels(view, models, scale, title=lambda model: f"{model} / network", statistic="log_variance_ratio")


def synchrony_edge(view: View) -> Outline:
    """The edge of the synchronised region, the same in every map."""
    threshold = number(view.experiment.compare.spike_contrast_min)
    text = f"synchronised (Spike-contrast ≥ {threshold})"
    return Outline(text, f"S ≥ {threshold}", view.synchronised, SYNCHRONY)


def agreement(view: View, model: str) -> list[Outline]:
    """Where the correlation is significant and high."""
    settings = view.experiment.compare
    text = f"ρ > {number(settings.rho_min)} and significant (α = {number(settings.alpha)})"
    outlines = [Outline(text, "ρ", view.model("rho_agrees", model) == 1, RAW)]
    if view.has("rho_agrees_bh"):
        adjusted = view.model("rho_agrees_bh", model) == 1
        outlines.append(_adjusted(outlines[0], adjusted, "Benjamini–Hochberg"))
    return outlines


def undecided(view: View, test: str, model: str, what: str, tag: str) -> list[Outline]:
    """Where a test of the spectra finds no difference, raw and with p-values adjusted over the map."""
    alpha = view.experiment.compare.alpha
    outlines = [Outline(f"{what} (p-value > {number(alpha)})", tag, view.model(f"{test}_pvalue", model) > alpha, RAW)]
    if view.has(f"{test}_qvalue"):
        inside: Mask = view.model(f"{test}_qvalue", model) > alpha
        outlines.append(_adjusted(outlines[0], inside, f"Benjamini–Hochberg (q > {number(alpha)})", what))
    return outlines


def _adjusted(raw: Outline, inside: Mask, how: str, what: str = "") -> Outline:
    """The same region by p-values adjusted over the map."""
    return Outline(f"{what or raw.text}, {how}", f"{raw.tag} BH", inside, ADJUSTED, raw.inside, f"by {how}")


def _frequencies(view: View, name: str, label: str) -> list[Panel]:
    if not view.has(name, f"{name}_lif"):
        return []
    network, models = view.point(f"{name}_lif"), of_models(view, name)
    scale = maps.logarithmic(label, network, *models.values())
    return [network_panel(view, NETWORK, network, scale, name), *model_panels(view, models, scale, statistic=name)]


def of_models(view: View, name: str) -> dict[str, FloatMap]:
    return {model: view.model(name, model) for model in view.models}


def network_panel(
    view: View, title: str, values: FloatMap, scale: Scale, statistic: str = "", few: bool = False
) -> Panel:
    reasons = [(TOO_FEW_SPIKES, view.spiking)] if few else []
    gaps = view.network_gaps(values, *reasons)
    return Panel(title, values, scale, gaps, [synchrony_edge(view)], statistic=statistic)


def model_panels(
    view: View,
    models: dict[str, FloatMap],
    scale: Scale,
    outlines: Callable[[str], list[Outline]] = lambda model: [],
    title: Callable[[str], str] = lambda model: model,
    dimmed: dict[str, Mask] | None = None,
    dimmed_text: str = "",
    statistic: str = "",
) -> list[Panel]:
    """One panel a model, with its gaps, outlines and partly diverged cells."""
    edge = synchrony_edge(view)
    return [
        Panel(
            title(model),
            values,
            scale,
            view.model_gaps(values, model),
            [*outlines(model), edge],
            view.partly_diverged(model),
            None if dimmed is None else dimmed[model],
            dimmed_text,
            statistic,
            model,
        )
        for model, values in models.items()
    ]
