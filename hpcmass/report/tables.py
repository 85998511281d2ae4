"""The page's tables: failures, provenance, configuration."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd

from hpcmass.config.yaml_text import written
from hpcmass.plots.plane import symbol
from hpcmass.plots.style import number
from hpcmass.plots.view import View
from hpcmass.store import schema
from hpcmass.store.parts import SweepParts

MOST_FAILURES: Final = 200
_PROVENANCE: Final = (
    "software", "version", "git_commit", "date", "host", "processor", "python", "libraries", "mpi_library", "n_ranks",
    "driver", "uuid", "config_sha256", "format_version", "history",
)  # fmt: skip
"""Root attributes of a result file, in this order."""


def counts(view: View) -> dict[str, int]:
    """Numbers of trials that are done, failed and pending, and of all; of each model that diverged, in how many."""
    status = np.asarray(view.data["status"].transpose(*view.all_requested.dims, ...).values)[view.all_requested.values]
    states = {name: int((status == k).sum()) for k, name in enumerate(schema.STATUS_MEANINGS.split())}
    return states | {"all": status.size}


def diverged(view: View) -> dict[str, int]:
    """Model → trials in which it diverged, of those that did."""
    counted = view.data["n_diverged"].clip(min=0).sum([dim for dim in view.data["n_diverged"].dims if dim != "model"])
    return {name: int(n) for name, n in zip(view.models, counted.values, strict=True) if n > 0}


def failures(sweep: SweepParts) -> pd.DataFrame:
    """Failed trials and their messages, at most `MOST_FAILURES`."""
    axes = sweep.axes.items()
    rows = [
        {
            **{symbol(name): number(values[i]) for i, (name, values) in zip(place, axes, strict=False)},
            "trial": str(place[-1]),
            "message": sweep.error(tuple(place)),
        }
        for place in np.argwhere(sweep.status == schema.FAILED)[:MOST_FAILURES].tolist()
    ]
    return pd.DataFrame(rows)


def provenance(view: View, sweep: SweepParts | None) -> pd.DataFrame:
    """The comparison's root attributes, and the sweep's beside them."""
    recorded: dict[str, Any] = {} if sweep is None else sweep.file(0).attributes
    columns = {
        "sweep" if sweep is not None else "sweep (not available)": recorded,
        f"comparison ({view.path.name})": {str(name): value for name, value in view.data.attrs.items()},
    }
    table = pd.DataFrame({head: [_text(found.get(name)) for name in _PROVENANCE] for head, found in columns.items()})
    table.insert(0, "", [name.replace("_", " ") for name in _PROVENANCE])
    return table[(table.iloc[:, 1:] != "").any(axis=1)]


def other_settings(view: View, sweep: SweepParts) -> str:
    """The settings that the comparison used in place of the sweep's, as YAML; empty if there are none."""
    used = view.experiment.model_dump(mode="json", include={"mass", "compare"})
    own = sweep.experiment.model_dump(mode="json", include={"mass", "compare"})
    other = {
        section: changed
        for section, values in used.items()
        if (changed := {key: value for key, value in values.items() if value != own[section].get(key)})
    }
    return written(other) if other else ""


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
