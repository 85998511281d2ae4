"""One experiment: the keys of a configuration file as validated, frozen `Experiment`.

The fields of the sections are the only definition of the keys of a configuration file, their units, defaults and
allowed ranges.
"""

from __future__ import annotations

import hashlib
import html
import itertools
import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

from pydantic import (
    Field,
    PrivateAttr,
    ValidationError,
    ValidationInfo,
    create_model,
    field_validator,
    model_validator,
)

from hpcmass.config.axes import Axis, Bounds, Points, axis_problems, bounds_of, point_problems
from hpcmass.config.derived import depends_on
from hpcmass.config.imported import Imported
from hpcmass.config.limits import too_large
from hpcmass.config.network import ADDED, SWEEPABLE, WHOLE_NUMBERS, NetworkParameters
from hpcmass.config.section import Section, parameter
from hpcmass.config.settings import CompareParameters, MassParameters, TraceParameters
from hpcmass.config.yaml_text import written
from hpcmass.nearest import did_you_mean
from hpcmass.text import counted, is_control


def _bounds(name: str) -> Bounds:
    """Bounds of a sweepable parameter."""
    if name in ("p", "lam"):
        return {"ge": 0.0, "le": 1.0}
    return bounds_of(NetworkParameters.model_fields[name])


class _GridBase(Section):
    p: Axis = parameter(..., "1", "choice", "connection probability, in [0, 1]")
    lam: Axis = parameter(..., "1", "choice", "excitatory fraction, in [0, 1]")

    @field_validator("*")
    @classmethod
    def _values_are_allowed(cls, values: tuple[float, ...] | None, info: ValidationInfo) -> tuple[float, ...] | None:
        name = str(info.field_name)
        problems = axis_problems(values or (), _bounds(name), whole=name in WHOLE_NUMBERS)
        if problems:
            raise ValueError("; ".join(problems))
        return values

    def axes(self) -> dict[str, tuple[float, ...]]:
        """Name → values, in the order of the file's dimensions: p, lam, then the other swept parameters."""
        named = {name: getattr(self, name) for name in SWEEPABLE}
        return {name: values for name, values in named.items() if values is not None}


def _further_axis(name: str) -> Any:
    swept = NetworkParameters.model_fields[name]
    extra = swept.json_schema_extra
    unit = str(extra["unit"]) if isinstance(extra, dict) else "1"
    return parameter(None, unit, "choice", f"a further axis: {swept.description}")


if TYPE_CHECKING:
    Grid = _GridBase
else:
    Grid = create_model(
        "Grid",
        __base__=_GridBase,
        __module__=__name__,
        __doc__="The axes of the sweep: `p`, `lam` and any of `SWEEPABLE`, each a tuple of increasing values.",
        **{name: (Axis | None, _further_axis(name)) for name in SWEEPABLE if name not in ("p", "lam")},
    )


def plain_message(message: str) -> str:
    """A pydantic message without its own preamble, starting in lower case."""
    message = message.removeprefix("Value error, ").removeprefix("Input ")
    return message[:1].lower() + message[1:]


SPELT = {
    **dict.fromkeys(("λ", "lambda", "lamda"), "lam"),
    "n": "n_neurons",
    "m": "n_external",
    "ν": "external_rate_hz",
    "nu": "external_rate_hz",
    "q": "noise_q",
}
"""Other spellings of a key, in lower case: the symbols of the paper among them."""

ASIDE = "x-"
"""Keys of a configuration file with this prefix are not read: a place for anchors."""


class Experiment(Section):
    """A whole configuration file.

    Attributes
    ----------
    title : str
    root_seed : int
        Root of every random stream; with the values (p, lam, trial) it fixes a trial completely.
    trials : int
        Independent networks per grid point.
    points : tuple of tuple of float, or None
        The only points of the grid that are simulated, each with a value for every axis; None: all of them.
    grid, network, mass, compare, traces : sections
    """

    title: str = Field("hpcmass sweep", description="what the sweep is called in files and figures")
    root_seed: int = parameter(20_210_114, "1", "choice", "root of every random stream", ge=0, lt=2**64)
    trials: int = parameter(10, "1", "paper", "independent networks at each point", ge=1, le=1_000_000)
    points: Points = parameter(None, "1", "choice", "the only points of the grid to simulate, [[p, lam, …], …]")
    network: NetworkParameters = NetworkParameters()
    grid: Grid
    mass: MassParameters = MassParameters()
    compare: CompareParameters = CompareParameters()
    traces: TraceParameters = TraceParameters()

    _text: str | None = PrivateAttr(None)
    _assignments: tuple[str, ...] = PrivateAttr(())
    _imported: Imported | None = PrivateAttr(None)

    @field_validator("title")
    @classmethod
    def _title_can_be_written(cls, value: str) -> str:
        if any(is_control(c) and c not in "\n\t" for c in value):
            raise ValueError("must be text without control characters")
        return value

    @model_validator(mode="after")
    def _size_is_possible(self) -> Self:
        """Runs first: the later checks take a time that grows with the grid."""
        problem = too_large(self.grid.axes(), self.trials, dict(self.network))
        if problem is not None:
            raise ValueError(problem)
        return self

    @model_validator(mode="after")
    def _points_are_on_the_grid(self) -> Self:
        problems = [] if self.points is None else point_problems(self.points, self.grid.axes())
        if problems:
            raise ValueError(f"points: {'; '.join(problems)}")
        return self

    @model_validator(mode="after")
    def _ties_have_an_axis(self) -> Self:
        axes = self.grid.axes()
        for name, tie in self.network.ties.items():
            if name in axes:
                raise ValueError(
                    f"network.{name}: follows {tie.times}, but the grid sweeps it; leave out one of the two"
                )
            if tie.times not in axes:
                hint = did_you_mean(SPELT.get(tie.times.casefold(), tie.times), axes)
                raise ValueError(
                    f"network.{name}: times must be an axis of the grid, not '{tie.times}'; "
                    f"{hint or 'the axes are ' + ', '.join(axes)}"
                )
        return self

    @model_validator(mode="after")
    def _every_point_is_a_network(self) -> Self:
        """Conditions between parameters (a swept threshold above the reset) hold at every corner of the grid.

        No condition concerns more than two of them, so the axes are checked in pairs; twenty axes have a million
        corners. Tied parameters are largest and smallest at the ends of the axis that they follow.
        """
        needed = depends_on(self.network.model_dump())
        axes = {k: values for k, values in self.grid.axes().items() if k not in ("p", "lam") or k in needed}
        first = {name: values[0] for name, values in axes.items()}
        for names in itertools.combinations(axes, min(2, len(axes))):
            for ends in itertools.product(*({axes[name][0], axes[name][-1]} for name in names)):
                self._require_network(first | dict(zip(names, ends, strict=True)))
        return self

    @model_validator(mode="after")
    def _connections_have_probabilities(self) -> Self:
        """p times the factor of a pathway is largest where all axes are."""
        largest = {name: values[-1] for name, values in self.grid.axes().items()}
        try:
            self.network_at(largest).pathway_probabilities(largest["p"])
        except ValueError as error:
            raise ValueError(f"grid: {error}") from None
        return self

    @model_validator(mode="after")
    def _windows_are_whole_steps(self) -> Self:
        every_ms, network = self.traces.every_ms, self.network
        if every_ms is not None:
            steps = every_ms / network.dt_ms
            if round(steps) < 2 or abs(steps - round(steps)) > 1e-6 * steps:
                raise ValueError(
                    f"traces.every_ms: must be a whole number of steps of dt_ms = {network.dt_ms:g}, at least two, "
                    f"not {every_ms:g}"
                )
            if round(steps) > network.n_steps:
                raise ValueError(f"traces.every_ms: is longer than duration_ms = {network.duration_ms:g}")
        return self

    def _require_network(self, point: dict[str, float]) -> None:
        try:
            self.network_at(point)
        except ValidationError as error:
            where = ", ".join(f"{name} = {value:g}" for name, value in point.items())
            wrong = [f"{'.'.join(map(str, e['loc']))} {plain_message(e['msg'])}" for e in error.errors()]
            raise ValueError(f"grid: at {where}: {'; '.join(wrong)}") from None

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy; a changed copy no longer has the text that the original was read from."""
        copy = super().model_copy(update=update, deep=deep)
        if update:
            copy._text = None
        return copy

    def vary(self, keys: Mapping[str, Any] | None = None, /, **named: Any) -> Experiment:
        """A changed copy, validated like a configuration file.

        Parameters
        ----------
        keys : mapping of str to object, optional
            Dotted key of a configuration file → its value, `{"network.tau_E_ms": 5}`; None sets a key to its default,
            or removes an axis.
        **named
            The same by plain name: `p` and `lam`, `trials`, and any key of `network`, `mass` and `compare`. A parameter
            of the network that the grid sweeps, or that is given several values, is an axis of the grid. An axis is a
            number, a sequence, an array, `{"linspace": [first, last, n]}` or `{"logspace": [first, last, n]}`.

        Returns
        -------
        Experiment
            Its text, which is stored in files, has the changes.

        Raises
        ------
        UserError
            If a name is unknown, or given twice.
        ConfigError
            With every problem of the copy, as of a file.

        Examples
        --------
        >>> from hpcmass import Experiment
        >>> experiment = Experiment(grid={"p": 0.2, "lam": 0.8})
        >>> slower = experiment.vary(tau_E_ms=5, trials=3, p=[0.1, 0.5])
        >>> slower.network.tau_E_ms, slower.trials, slower.grid.p
        (5.0, 3, (0.1, 0.5))
        >>> experiment.vary(w_I=[0.002, 0.004]).grid.axes()
        {'p': (0.2,), 'lam': (0.8,), 'w_I': (0.002, 0.004)}
        >>> experiment.vary(tau_e_ms=5)
        Traceback (most recent call last):
            ...
        hpcmass.errors.UserError: there is no key 'tau_e_ms'; did you mean 'tau_E_ms'?
        """
        from hpcmass.config.vary import varied

        return varied(self, keys or {}, named)

    @property
    def text(self) -> str:
        """The YAML text this experiment was read from, or an equivalent one."""
        return self._text if self._text is not None else written(self.document())

    def document(self) -> dict[str, Any]:
        """The keys and values of an equivalent file; those without a value are left out."""
        keys = self.model_dump(mode="json", exclude_none=True)
        return keys if self._imported is None else {**keys, "imported": self._imported.model_dump(mode="json")}

    @property
    def imported(self) -> Imported | None:
        """Where the recordings come from, if another program has made them."""
        return self._imported

    def axes(self) -> dict[str, tuple[float, ...]]:
        """Name → values of all axes, in the order of a file's dimensions: the grid's, then those of an import."""
        further = {} if self._imported is None else self._imported.axes
        return {**self.grid.axes(), **further}

    def axis_units(self) -> dict[str, str]:
        """Units of those axes that are no parameters of the network, or have another unit than by default."""
        imported = {} if self._imported is None else self._imported.units
        return {"noise_q": self.network.noise_unit, **imported}

    @property
    def assignments(self) -> tuple[str, ...]:
        """What `--set` has put in place of values of the file, `KEY=VALUE`."""
        return self._assignments

    def outline(self) -> str:
        """Axes, points and trials on one line: `axes p (12), lam (9), 108 points, 216 trials of 2.5 s`."""
        lengths = {name: len(values) for name, values in self.axes().items()}
        points = math.prod(lengths.values())
        axes = ", ".join(f"{name} ({length})" for name, length in lengths.items())
        seconds = f"{self.network.duration_ms / 1e3:.4g} s"
        there = counted(points, "point")
        if self.points is not None:
            there, points = f"{len(self.points)} of {there} requested", len(self.points)
        return f"axes {axes}, {there}, {counted(points * self.trials, 'trial')} of {seconds}"

    def _repr_html_(self) -> str:
        """For a notebook: what it is, and every value that is not its default."""
        from hpcmass.config.reference import differences

        rows = (
            "".join(f"<td>{html.escape(text)}</td>" for text in (key.path, key.value, key.unit, key.meaning))
            for key in differences(self)
        )
        head = "".join(f"<th>{name}</th>" for name in ("key", "value", "unit", "meaning"))
        return (
            f"<p><b>{html.escape(self.title)}</b>: {self.outline()}</p>"
            f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(f'<tr>{row}</tr>' for row in rows)}</tbody></table>"
            "<p>All other keys have their defaults.</p>"
        )

    def physics(self) -> dict[str, Any]:
        """Everything that fixes the result of a trial beside its grid values: seed, axis names, network.

        A swept parameter's own entry under `network` has no influence and is left out.
        """
        axes = self.axes()
        keys = self.network.model_dump().items()
        fixed = {k: v for k, v in keys if k not in axes and not (k in ADDED and v == ADDED[k])}
        origin = {} if self._imported is None else {"imported": self._imported.identity}
        network = {f"network.{k}": v for k, v in fixed.items()}
        return {"root_seed": self.root_seed, "axes": sorted(axes), **network, **origin}

    def physics_sha256(self) -> str:
        """Hash of `physics`: two sweeps with the same hash may share trials."""
        return hashlib.sha256(json.dumps(self.physics(), sort_keys=True).encode()).hexdigest()

    def network_at(self, values: dict[str, float]) -> NetworkParameters:
        """The network's parameters at one grid point (`values`: axis name → value; other names are ignored)."""
        return self.network.at(values)

    def networks_at_ends(self) -> list[NetworkParameters]:
        """The network where all axes have their first values, and where they have their last ones."""
        axes = self.axes()
        return [self.network_at({name: values[end] for name, values in axes.items()}) for end in (0, -1)]
