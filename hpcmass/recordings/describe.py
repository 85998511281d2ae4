"""The configuration of an import: what the sources, a configuration file and `--set` say, and what is missing."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import yaml

from hpcmass.config import Experiment, NetworkParameters
from hpcmass.config.assignments import assigned
from hpcmass.config.axes import canonical
from hpcmass.config.experiment import ASIDE
from hpcmass.config.file import IMPORTED, configuration_text, parse_experiment
from hpcmass.config.network import SWEEPABLE
from hpcmass.config.yaml_text import Document, Refused, written
from hpcmass.errors import ConfigError, UserError
from hpcmass.messages import logger
from hpcmass.recordings.collect import Recordings
from hpcmass.recordings.source import KINDS, PHI
from hpcmass.store.schema import TRACES
from hpcmass.text import one_line

NEEDED: Final = {
    "E": ("w_E", "tau_E_ms", "v_exc_mv"),
    "I": ("w_I", "tau_I_ms", "v_inh_mv"),
    "ext": ("w_ext", "tau_ext_ms", "v_ext_mv"),
}
"""Kind of synapse → what the mass models need of it: g̃_σ = w_σ τ_σ, and V_σ."""

MEMBRANE: Final = ("tau_m_ms", "v_leak_mv")

LABELS: Final = {
    "p": "connection probability, or density of the graph",
    "lam": "fraction of excitatory neurons",
}
"""What a place in the maps means; no model uses it."""

GUIDE: Final = "the guide's page on recordings says what to give for current-based synapses"


def given_keys(config: Path | None, assignments: Sequence[str]) -> dict[str, Any]:
    """The keys of a configuration file, which need not be complete, with those of `--set`.

    Raises
    ------
    UserError
        If the file cannot be read, or a value of `--set` is not allowed.
    """
    keys: Any = {}
    if config is not None:
        try:
            keys = Document(configuration_text(config)).value
        except (yaml.YAMLError, Refused) as error:
            raise ConfigError(f"{config} is not a configuration: {' '.join(str(error).split())}") from None
        if not isinstance(keys, dict):
            raise ConfigError(f"{config} holds no keys; give at least one section, such as network")
    keys = {key: value for key, value in keys.items() if not key.startswith(ASIDE) and key != IMPORTED}
    return assigned(keys, assignments) if assignments else keys


OWN_WAY: Final = ("title", "trials", "grid", "network", "compare", "traces")
"""Parts of a configuration that `describe` handles; an import keeps every step of every trial."""


def describe(recordings: Recordings, keys: Mapping[str, Any], zero: Sequence[str]) -> Experiment:
    """The experiment of an import.

    Parameters
    ----------
    recordings : Recordings
    keys : mapping
        From `given_keys`.
    zero : sequence of str
        Kinds of synapse, of `KINDS`, without any input.

    Raises
    ------
    UserError
        Naming everything that a mass model needs and nothing says.
    """
    network, grid = _section(keys, "network"), _section(keys, "grid")
    own = {k: v for k, v in recordings.keys.items() if k not in ("p", "lam")}
    labels = {k: v for k, v in recordings.keys.items() if k in ("p", "lam")}
    stated = {**own, **network}
    axes = {name: sorted(canonical(v) for v in values.tolist()) for name, values in recordings.axes.items()}
    swept = {name: values for name, values in axes.items() if name in SWEEPABLE}
    wrong = [name for name in grid if name not in ("p", "lam")]
    if wrong:
        raise UserError(f"grid.{wrong[0]}: an import has the axes of its sources; give --axis {wrong[0]}=…")
    for name in grid:
        if name not in swept and not isinstance(grid[name], int | float):
            raise UserError(
                f"grid.{name} is no single value, and the sources have no axis {name}; give --set grid.{name}=VALUE"
            )
    _require_stated(recordings, {**stated, **labels, **grid, **swept}, zero)
    if "transient_ms" not in stated:
        logger.info("no transient_ms: the whole recording is analysed")
    stated |= {
        "dt_ms": recordings.dt_ms,
        "duration_ms": canonical(recordings.n_steps * recordings.dt_ms),
        "transient_ms": stated.get("transient_ms", 0.0),
    }
    compare = _section(keys, "compare")
    nyquist_hz = 500 / recordings.dt_ms
    if "band_hz" not in compare and nyquist_hz < 500:
        compare = {**compare, "band_hz": [0.0, nyquist_hz]}
    document = {
        "title": keys.get("title", f"imported from {', '.join(map(one_line, recordings.names))}"),
        "trials": recordings.n_trials,
        IMPORTED: {
            "sources": [one_line(name) for name in recordings.names],
            "identity": str(uuid.uuid4()),
            "axes": {name: values for name, values in axes.items() if name not in SWEEPABLE},
            "units": {name: unit for name, unit in recordings.units.items() if name not in SWEEPABLE and unit},
            "lacks": [trace for trace in TRACES if not recordings.available(trace)],
        },
        "grid": {**labels, **grid, **swept},
        "network": {name: value for name, value in stated.items() if name not in swept},
        **{name: keys[name] for name in keys if name not in OWN_WAY},
        **({"compare": compare} if compare else {}),
    }
    return parse_experiment(written(document), "the import")


def sorted_places(values: Any) -> list[int]:
    """Where the ascending values of an axis stand in the source's order."""
    return [int(i) for i in np.argsort(np.asarray(values, dtype=np.float64), kind="stable")]


def _section(keys: Mapping[str, Any], name: str) -> dict[str, Any]:
    section = keys.get(name) or {}
    if not isinstance(section, dict):
        raise UserError(f"{name} must be a section with keys")
    return {key: value for key, value in section.items() if value is not None}


def _require_stated(recordings: Recordings, stated: Mapping[str, Any], zero: Sequence[str]) -> None:
    """Refuse an import that lacks what mass models or maps need; names all of it."""
    problems = [
        *_no_input(recordings),
        *_no_parameters(stated, zero),
        *_no_size(recordings, stated),
        *_no_place(stated),
    ]
    if problems:
        raise UserError(f"{recordings.names[0]} {'; it '.join(problems)}")


def _no_input(recordings: Recordings) -> Iterator[str]:
    absent = [f"phi_{kind}" for kind in KINDS if not recordings.available(f"phi_{kind}")]
    if absent:
        yield (
            f"has no {' and no '.join(absent)}, the spikes that a neuron receives (1/ms); add it, or spikes "
            f"with kind and out_degree, or give a constant such as --constant {absent[-1]}=0"
        )


def _no_parameters(stated: Mapping[str, Any], zero: Sequence[str]) -> Iterator[str]:
    kinds = [kind for kind in KINDS if kind not in zero]
    lacking = [key for key in (*MEMBRANE, *(k for kind in kinds for k in NEEDED[kind])) if key not in stated]
    if lacking:
        listed = ", ".join(_with_meaning(key) if len(lacking) <= 4 else key for key in lacking)
        current = f"; {GUIDE}" if any(key[:2] in ("w_", "v_") and key != "v_leak_mv" for key in lacking) else ""
        yield (
            f"does not say {listed}, which the mass models need; add it there, or give --set "
            f"network.{lacking[0]}=VALUE{current}"
        )


def _no_size(recordings: Recordings, stated: Mapping[str, Any]) -> Iterator[str]:
    """The number of neurons, by which the spikes of all senders are divided, and which weights may follow."""
    if "n_neurons" in stated:
        return
    uses = ["Φ from spikes"] if any(recordings.from_spikes(trace) for trace in PHI) else []
    uses += ["weight_scaling"] if stated.get("weight_scaling", "none") != "none" else []
    if uses:
        yield (
            f"does not say {_with_meaning('n_neurons')}, which {' and '.join(uses)} need{'s' * (len(uses) == 1)}; add "
            "it there, or give --set network.n_neurons=VALUE"
        )


def _no_place(stated: Mapping[str, Any]) -> Iterator[str]:
    unplaced = [key for key in LABELS if key not in stated]
    if unplaced:
        listed = ", ".join(f"{key} ({LABELS[key]})" for key in unplaced)
        yield (
            f"does not say {listed}; it is the place in the maps, and no model uses it: add it, or give --set "
            f"grid.{unplaced[0]}=VALUE"
        )


def _with_meaning(key: str) -> str:
    return f"{key} ({NetworkParameters.model_fields[key].description})"
