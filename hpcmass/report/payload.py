"""The numbers behind the page: every map's values, every point's potentials and spectra, small enough to embed."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from hpcmass.jsontext import json_text
from hpcmass.plots import style
from hpcmass.plots.lines import NETWORK, stated, window_ms
from hpcmass.plots.maps import Panel
from hpcmass.plots.plane import symbol
from hpcmass.plots.style import number
from hpcmass.plots.view import View

Real = npt.NDArray[np.float64]

LARGEST_BYTES: Final = 12_000_000
"""Curves take at most about this much of the page (bytes); on a large grid they are coarser."""
SAMPLES: Final = 400
FEWEST_SAMPLES: Final = 40
MISSING: Final = -32768
"""Stands for NaN among the 16-bit numbers."""
_BYTES_A_NUMBER: Final = 8 / 3
"""16 bits in base64."""


def payload(view: View, maps: Mapping[str, Panel], labels: Mapping[str, str]) -> dict[str, Any]:
    """All that the page's script reads; maps, and what they show, by their keys."""
    plane = view.plane
    return {
        "right": {"symbol": symbol(plane.right), "values": [number(v) for v in plane.right_values]},
        "up": {"symbol": symbol(plane.up), "values": [number(v) for v in plane.up_values]},
        "fixed": plane.fixed_text(),
        "maps": {key: _map(panel, labels[key]) for key, panel in maps.items()},
        **_curves(view),
    }


def script_json(data: Mapping[str, Any]) -> str:
    """JSON that can stand within a script element."""
    text = json_text(data, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _map(panel: Panel, label: str) -> dict[str, Any]:
    gaps = [""] * panel.values.size
    for gap, cells in panel.gaps:
        for i in np.flatnonzero(cells):
            gaps[i] = gap.text
    notes = [(o.text, o.inside) for o in panel.outlines]
    if panel.dimmed is not None:
        notes.append((panel.dimmed_text, panel.dimmed & np.isfinite(panel.values)))
    if panel.crossed is not None:
        notes.append(("model diverged in some of the trials", panel.crossed))
    return {
        "label": label,
        "title": panel.title,
        "values": [float(f"{v:.5g}") if np.isfinite(v) else None for v in panel.values.ravel()],
        "gaps": gaps if any(gaps) else [],
        "notes": [[text, "".join("1" if i else "0" for i in inside.ravel())] for text, inside in notes if inside.any()],
    }


def _curves(view: View) -> dict[str, Any]:
    """Standardised potentials, 16 bits a number, and spectra as decades, likewise."""
    names = [NETWORK, *view.models]
    frequency = np.asarray(view.data["frequency"].values, dtype=np.float64)
    coarser = max(1.0, view.shown.size * len(names) * (SAMPLES + frequency.size) * _BYTES_A_NUMBER / LARGEST_BYTES)
    samples, merged = max(FEWEST_SAMPLES, int(SAMPLES / coarser)), int(np.ceil(coarser))
    potentials = _stacked(view, "example_v_lif", "example_v")
    spectra = _stacked(view, "spectrum_lif", "spectrum")
    time = np.asarray(view.data["window"].values, dtype=np.float64)
    medians = view.point("median_frequency_lif")
    points: list[dict[str, Any] | None] = []
    for row, column in np.ndindex(view.plane.shape):
        if not view.shown[row, column]:
            points.append(None)
            continue
        length = window_ms(float(medians[row, column]), np.inf)
        shown = int(np.count_nonzero(time <= time[0] + length))
        width = max(1, round(shown / samples))
        own = view.mean_sd(row, column)
        traces = [
            {**_trace(_block_means(v[:shown], width)), "text": stated(name, v[:shown], own[name])}
            for name, v in zip(names, potentials[row, column], strict=True)
        ]
        powers = [_spectrum(_block_means(power, merged)) for power in spectra[row, column]]
        step = width * float(time[1] - time[0]) if time.size > 1 else 1.0
        points.append({"start": float(time[0]), "step": round(step, 6), "traces": traces, "spectra": powers})
    lines = [style.model_line(i) for i in range(len(view.models))]
    return {
        "series": [{"name": name, **line} for name, line in zip(names, [{}, *map(_css_line, lines)], strict=True)],
        "frequency": [round(float(f), 4) for f in _block_means(frequency, merged)],
        "points": points,
    }


def _css_line(line: Mapping[str, Any]) -> dict[str, str]:
    dashes = line["linestyle"]
    return {
        "colour": line["color"],
        "dashes": "" if dashes == "solid" else " ".join(f"{1.2 * d:g}" for d in dashes[1]),
    }


def _stacked(view: View, network: str, models: str) -> Real:
    """Network first, then the models: (up, right, series, n)."""
    own = np.asarray(view.plane.cut(view.data[network]).values, dtype=np.float64)
    others = np.asarray(view.plane.cut(view.data[models]).values, dtype=np.float64)
    return np.concatenate([own[:, :, None], others], axis=2)


def _block_means(values: Real, width: int) -> Real:
    whole = values.size // width * width
    return np.asarray(values[:whole].reshape(-1, width).mean(axis=1))


def _trace(v: Real) -> dict[str, Any]:
    """A potential, standardised over the time shown, with the mean and standard deviation (mV) that were taken out."""
    mean, sd = float(v.mean()), float(v.std())
    if not np.isfinite(sd):
        return {"mean": None, "sd": None, "data": ""}
    return {"mean": round(mean, 3), "sd": float(f"{sd:.4g}"), **_packed((v - mean) / (sd or 1.0))}


def _spectrum(power: Real) -> dict[str, Any]:
    """Decades of a power density."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return _packed(np.where(power > 0, np.log10(power), np.nan))


def _packed(values: Real) -> dict[str, Any]:
    """Numbers as base64 of little-endian 16 bits: value = offset + scale × integer; `MISSING` stands for NaN."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return {"data": ""}
    low, high = float(finite.min()), float(finite.max())
    scale = (high - low) / 65_000 or 1.0
    offset = (high + low) / 2
    whole = np.where(np.isfinite(values), np.round((values - offset) / scale), MISSING).astype("<i2")
    return {"offset": offset, "scale": scale, "data": base64.b64encode(whole.tobytes()).decode("ascii")}
