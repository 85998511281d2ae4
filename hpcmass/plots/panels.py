"""Which statistic becomes which panel: values, reasons for gaps, outlined regions, scale."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hpcmass.plots import scales, style
from hpcmass.plots.gaps import NO_NEURONS
from hpcmass.plots.maps import Outline, Panel
from hpcmass.plots.plane import FloatMap
from hpcmass.plots.scales import Scale
from hpcmass.plots.style import number
from hpcmass.plots.view import View

NETWORK = "network (LIF)"


def spike_contrast(view: View) -> list[Panel]:
    """Synchrony of the network: Spike-contrast, 0 to 1."""
    values = view.number("spike_contrast")
    scale = scales.linear("Spike-contrast", values, low=0, high=1)
    return [Panel("Spike-contrast of the network", values, scale, view.network_gaps(values))]


def rates(view: View) -> list[Panel]:
    """Firing rates of both kinds of neurons on one scale that spreads the low rates."""
    kinds = {"excitatory neurons": view.number("rate_E"), "inhibitory neurons": view.number("rate_I")}
    scale = scales.linear("firing rate (Hz), square-root scale", *kinds.values(), low=0, power=0.5)
    return [
        Panel(title, values, scale, view.network_gaps(values, (NO_NEURONS, np.isnan(values))))
        for title, values in kinds.items()
    ]


def median_frequencies(view: View) -> list[Panel]:
    """Median frequencies of network and models on one logarithmic scale."""
    network = view.point("median_frequency_lif")
    models = {model: view.model("median_frequency", model) for model in view.models}
    scale = scales.logarithmic("median frequency (Hz)", network, *models.values())
    return [
        Panel(NETWORK, network, scale, view.network_gaps(network)),
        *_model_panels(view, models, scale),
    ]


def median_frequency_differences(view: View) -> list[Panel]:
    """Model minus network: red where the model is too fast."""
    network = view.point("median_frequency_lif")
    models = {model: view.model("median_frequency", model) - network for model in view.models}
    scale = scales.centred("median frequency, model \N{MINUS SIGN} LIF (Hz)", *models.values())
    return _model_panels(view, models, scale, title=lambda model: f"{model} \N{MINUS SIGN} LIF")


def chi_squared(view: View) -> list[Panel]:
    """χ²/dof of (25), with the region that each test leaves undecided: the paper's and the calibrated one."""
    alpha = view.experiment.compare.alpha
    models = {}
    for model in view.models:
        dof = view.model("chi2_dof", model)
        models[model] = view.model("chi2", model) / np.where(dof > 0, dof, np.nan)
    scale = scales.logarithmic("χ² / degrees of freedom", *models.values())

    def outlines(model: str) -> list[Outline]:
        paper = view.model("chi2_pvalue", model) > alpha
        calibrated = view.model("log_ratio_pvalue", model) > alpha
        return [
            Outline(f"not distinguished by the paper's χ² test (p > {number(alpha)})", paper),
            Outline(f"not distinguished by the calibrated test (p > {number(alpha)})", calibrated, rank=1),
        ]

    return _model_panels(view, models, scale, outlines)


def correlation(view: View) -> list[Panel]:
    """Correlation at the best lag, with the region of agreement."""
    settings = view.experiment.compare
    models = {model: view.model("rho", model) for model in view.models}
    lowest = min((float(np.nanmin(v)) for v in models.values() if np.isfinite(v).any()), default=0.0)
    low = min(0.0, lowest)
    label = "correlation ρ at the best lag"
    scale = scales.linear(label, *models.values(), low=low, high=1.0, colours=style.CORRELATION)
    text = f"correlation agrees: ρ > {number(settings.rho_min)} and significant (α = {number(settings.alpha)})"
    return _model_panels(view, models, scale, lambda m: [Outline(text, view.model("rho_agrees", m) == 1)])


def lag(view: View) -> list[Panel]:
    """Lag of the best correlation: red where the model is late."""
    models = {model: view.model("lag", model) for model in view.models}
    scale = scales.centred("lag of the model (ms), positive: late", *models.values())
    return _model_panels(view, models, scale)


def _model_panels(
    view: View,
    models: dict[str, FloatMap],
    scale: Scale,
    outlines: Callable[[str], list[Outline]] = lambda model: [],
    title: Callable[[str], str] = lambda model: model,
) -> list[Panel]:
    """One panel a model, with its gaps, outlines and partly run-away cells."""
    return [
        Panel(title(m), values, scale, view.model_gaps(values, m), outlines(m), view.partly_diverged(m))
        for m, values in models.items()
    ]
