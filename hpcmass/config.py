"""One experiment: YAML text → validated, frozen `Experiment`.

The field names are the keys of a configuration file and nothing else defines them, their units, their
defaults or their allowed ranges. Defaults are the reference set of the documentation; the origin of each
number (the paper, related literature, our choice) is kept beside it. Reference: Deschle, Gossn, Tewarie,
Schelter & Daffertshofer (2021), Front. Comput. Neurosci. 14:581040; equation numbers are that paper's.
"""

from __future__ import annotations

import difflib
import hashlib
import itertools
import json
import math
import operator
import re
from collections.abc import Hashable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import numpy as np
import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    ValidationInfo,
    create_model,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo

from hpcmass.errors import ConfigError, UserError

Origin = Literal["paper", "related literature", "choice"]


def _parameter(default: float, unit: str, origin: Origin, **bounds: Any) -> Any:
    """A field that carries its unit and its origin beside default and bounds."""
    return Field(default, json_schema_extra={"unit": unit, "origin": origin}, **bounds)


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class NetworkParameters(_Section):
    """The spiking network of equations (7) and (11); one trial is `(NetworkParameters, p, lam, seed)`."""

    n_neurons: int = _parameter(10_000, "1", "paper", ge=2, le=65_535)
    n_external: int = _parameter(10_000, "1", "paper", ge=0, le=1_000_000)
    dt_ms: float = _parameter(0.1, "ms", "paper", gt=0)
    duration_ms: float = _parameter(3.0e4, "ms", "paper", gt=0)
    transient_ms: float = _parameter(3.0e3, "ms", "paper", ge=0)
    noise_q: float = _parameter(5.0e-4, "mV^2 ms", "paper", ge=0)
    external_rate_hz: float = _parameter(5.0, "Hz", "paper", ge=0)
    p_ext: float = _parameter(0.1, "1", "choice", ge=0, le=1)
    tau_m_ms: float = _parameter(20.0, "ms", "related literature", gt=0)
    v_leak_mv: float = _parameter(-74.0, "mV", "related literature")
    v_reset_mv: float = _parameter(-60.0, "mV", "related literature")
    v_threshold_mv: float = _parameter(-54.0, "mV", "related literature")
    t_ref_ms: float = _parameter(5.0, "ms", "related literature", ge=0)
    v_exc_mv: float = _parameter(0.0, "mV", "related literature")
    v_inh_mv: float = _parameter(-80.0, "mV", "related literature")
    v_ext_mv: float = _parameter(0.0, "mV", "related literature")
    tau_E_ms: float = _parameter(3.0, "ms", "related literature", gt=0)
    tau_I_ms: float = _parameter(7.0, "ms", "related literature", gt=0)
    tau_ext_ms: float = _parameter(5.0, "ms", "paper", gt=0)
    w_E: float = _parameter(0.0007, "1", "choice", ge=0)
    w_I: float = _parameter(0.004, "1", "choice", ge=0)
    w_ext: float = _parameter(0.0133, "1", "choice", ge=0)

    @field_validator("transient_ms")
    @classmethod
    def _transient_leaves_something(cls, value: float, info: ValidationInfo) -> float:
        duration, dt = info.data.get("duration_ms"), info.data.get("dt_ms")
        if duration is not None and value >= duration:
            raise ValueError(f"must be shorter than duration_ms = {duration:g}")
        if duration is not None and dt is not None and round(duration / dt) - round(value / dt) < 2:
            raise ValueError(f"leaves less than two steps of dt_ms = {dt:g} before duration_ms = {duration:g}")
        return value

    @field_validator("v_threshold_mv")
    @classmethod
    def _threshold_above_reset(cls, value: float, info: ValidationInfo) -> float:
        reset = info.data.get("v_reset_mv")
        if reset is not None and value <= reset:
            raise ValueError(f"must be above v_reset_mv = {reset:g}")
        return value

    @field_validator("tau_m_ms", "tau_E_ms", "tau_I_ms", "tau_ext_ms")
    @classmethod
    def _step_resolves(cls, value: float, info: ValidationInfo) -> float:
        dt = info.data.get("dt_ms")
        if dt is not None and value < 2 * dt:
            raise ValueError(f"must be at least two steps of dt_ms = {dt:g}, else forward Euler is meaningless")
        return value

    @property
    def n_steps(self) -> int:
        """Number of integration steps, transient included."""
        return round(self.duration_ms / self.dt_ms)

    @property
    def n_transient(self) -> int:
        """Number of leading steps that every statistic discards."""
        return round(self.transient_ms / self.dt_ms)

    def g_tilde_ms(self) -> dict[str, float]:
        """The mass models' g̃_σ = w_σ τ_σ (ms) for σ = E, I, ext, from the jumps w (leak units) of (11b)."""
        return {
            "E": self.w_E * self.tau_E_ms,
            "I": self.w_I * self.tau_I_ms,
            "ext": self.w_ext * self.tau_ext_ms,
        }

    def reversal_mv(self) -> dict[str, float]:
        """The reversal potentials V_σ (mV) for σ = E, I, ext."""
        return {"E": self.v_exc_mv, "I": self.v_inh_mv, "ext": self.v_ext_mv}


ONE_TIME_AXIS = ("dt_ms", "duration_ms", "transient_ms")
"""Parameters that cannot be swept: a file has one time axis and one transient."""

SWEEPABLE = ("p", "lam", *(k for k in NetworkParameters.model_fields if k not in ONE_TIME_AXIS))
"""Names that may stand under `grid`."""


Bounds = dict[str, float]
"""Any of ge, gt, le, lt → limit."""


def _bounds(name: str) -> Bounds:
    """Bounds of a sweepable parameter."""
    if name in ("p", "lam"):
        return {"ge": 0.0, "le": 1.0}
    return _bounds_of(NetworkParameters.model_fields[name])


def _bounds_of(field: FieldInfo) -> Bounds:
    return {k: v for m in field.metadata for k in ("ge", "gt", "le", "lt") if (v := getattr(m, k, None)) is not None}


def _within(value: float, bounds: Bounds) -> bool:
    compare = {"ge": operator.ge, "gt": operator.gt, "le": operator.le, "lt": operator.lt}
    return all(compare[k](value, limit) for k, limit in bounds.items())


def _range_text(bounds: Bounds) -> str:
    """Bounds as a reader writes them: `[0, 1]`, `> 0`, `>= 0`."""
    low, high = bounds.get("ge", bounds.get("gt")), bounds.get("le", bounds.get("lt"))
    if low is not None and high is not None:
        return f"{'[' if 'ge' in bounds else '('}{low:g}, {high:g}{']' if 'le' in bounds else ')'}"
    signs = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
    return ", ".join(f"{signs[k]} {v:g}" for k, v in bounds.items())


def canonical(value: float) -> float:
    """`value` rounded to 12 significant digits, so that 0.1 + 0.2 and 0.3 are one grid point."""
    return float(f"{value:.12g}") + 0.0  # + 0.0 turns -0.0 into 0.0


def _expand_axis(spec: Any) -> tuple[float, ...]:
    """Values of one axis from a number, a list, `{linspace: [a, b, n]}` or `{logspace: [a, b, n]}`."""
    usage = "give a number, a list of numbers, {linspace: [first, last, n]} or {logspace: [first, last, n]}"
    if isinstance(spec, dict):
        if len(spec) != 1 or not set(spec) <= {"linspace", "logspace"}:
            raise ValueError(usage)
        ((kind, args),) = spec.items()
        if not (isinstance(args, list | tuple) and len(args) == 3 and all(_is_number(a) for a in args)):
            raise ValueError(f"{kind} takes [first, last, n]")
        first, last, n = args
        if n != int(n) or not 1 <= n <= 100_000:
            raise ValueError(f"{kind} takes a whole number of values n from 1 to 100000, not {n}")
        if kind == "logspace" and not (first > 0 and last > 0):
            raise ValueError("logspace takes a first and a last value above 0 (the values themselves, not exponents)")
        spec = (np.linspace if kind == "linspace" else np.geomspace)(first, last, int(n)).tolist()
    values = spec if isinstance(spec, list | tuple) else [spec]
    if not values or not all(_is_number(v) for v in values):
        raise ValueError(usage)
    axis = tuple(canonical(v) for v in values)
    if any(b <= a for a, b in itertools.pairwise(axis)):
        raise ValueError("values must increase strictly")
    return axis


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


Axis = Annotated[tuple[float, ...], BeforeValidator(_expand_axis)]
"""The values of a swept parameter, strictly increasing."""


class _GridBase(_Section):
    p: Annotated[Axis, Field(json_schema_extra={"unit": "1", "origin": "choice"})]
    lam: Annotated[Axis, Field(json_schema_extra={"unit": "1", "origin": "choice"})]

    @field_validator("*")
    @classmethod
    def _values_are_allowed(cls, values: tuple[float, ...] | None, info: ValidationInfo) -> tuple[float, ...] | None:
        name = str(info.field_name)
        whole = name in _WHOLE_NUMBERS
        for value in values or ():
            if whole and value != int(value):
                raise ValueError(f"{value:g} is not a whole number")
            if not _within(value, _bounds(name)):
                raise ValueError(f"{value:g} is outside the allowed range, {_range_text(_bounds(name))}")
        return values

    def axes(self) -> dict[str, tuple[float, ...]]:
        """Name → values, in the order of the file's dimensions: p, lam, then the other swept parameters."""
        named = {name: getattr(self, name) for name in SWEEPABLE}
        return {name: values for name, values in named.items() if values is not None}


_WHOLE_NUMBERS = {k for k, f in NetworkParameters.model_fields.items() if f.annotation is int}

if TYPE_CHECKING:
    Grid = _GridBase
else:
    Grid = create_model(
        "Grid",
        __base__=_GridBase,
        __module__=__name__,
        __doc__="The axes of the sweep: `p`, `lam` and any of `SWEEPABLE`, each a tuple of increasing values.",
        **{name: (Axis | None, None) for name in SWEEPABLE if name not in ("p", "lam")},
    )


class MassParameters(_Section):
    """The mass models of section "mass models": one synaptic time constant, and which models to run."""

    tau_s_ms: float = _parameter(5.0, "ms", "paper", gt=0)
    models: Annotated[tuple[str, ...], BeforeValidator(lambda v: tuple(v) if isinstance(v, list) else v)] = Field(
        ("CFM", "MFM"), min_length=1, json_schema_extra={"unit": "names", "origin": "paper"}
    )


class CompareParameters(_Section):
    """Settings of the statistics; changing them never invalidates a sweep."""

    alpha: float = _parameter(0.01, "1", "paper", gt=0, lt=1)
    rho_min: float = _parameter(0.9, "1", "choice", ge=-1, lt=1)
    max_lag_ms: float = _parameter(50.0, "ms", "choice", gt=0)
    bin_hz: float = _parameter(2.0, "Hz", "choice", gt=0)
    band_hz: Annotated[tuple[float, float], BeforeValidator(lambda v: tuple(v) if isinstance(v, list) else v)] = Field(
        (0.0, 500.0), json_schema_extra={"unit": "Hz", "origin": "choice"}
    )
    histogram_count: float | None = Field(
        None, gt=0, json_schema_extra={"unit": "counts; null: trials x components", "origin": "choice"}
    )

    @field_validator("band_hz")
    @classmethod
    def _band_ascends(cls, value: tuple[float, float]) -> tuple[float, float]:
        if not 0 <= value[0] < value[1]:
            raise ValueError("must be [low, high] with 0 <= low < high")
        return value


class Experiment(_Section):
    """A whole configuration file.

    Attributes
    ----------
    title : str
    root_seed : int
        Root of every random stream; with the values (p, lam, trial) it fixes a trial completely.
    trials : int
        Independent networks per grid point.
    grid, network, mass, compare : sections
    """

    title: str = "hpcmass sweep"
    root_seed: int = Field(20_210_114, ge=0, lt=2**64, json_schema_extra={"unit": "1", "origin": "choice"})
    trials: int = _parameter(10, "1", "paper", ge=1, le=1_000_000)
    network: NetworkParameters = NetworkParameters()
    grid: Grid
    mass: MassParameters = MassParameters()
    compare: CompareParameters = CompareParameters()

    _text: str | None = PrivateAttr(None)

    @model_validator(mode="after")
    def _every_point_is_a_network(self) -> Self:
        """Conditions between parameters (a swept threshold above the reset) hold at every corner of the grid."""
        axes = {name: values for name, values in self.grid.axes().items() if name not in ("p", "lam")}
        for corner in itertools.product(*({values[0], values[-1]} for values in axes.values())):
            point = dict(zip(axes, corner, strict=True))
            try:
                self.network_at(point)
            except ValidationError as error:
                where = ", ".join(f"{name} = {value:g}" for name, value in point.items())
                wrong = [f"{'.'.join(map(str, e['loc']))} {_plain(e['msg'])}" for e in error.errors()]
                raise ValueError(f"grid: at {where}: {'; '.join(wrong)}") from None
        return self

    @property
    def text(self) -> str:
        """The YAML text this experiment was read from, or an equivalent one."""
        if self._text is not None:
            return self._text
        return yaml.safe_dump(json.loads(self.model_dump_json(exclude_none=True)), sort_keys=False)

    def physics(self) -> dict[str, Any]:
        """Everything that fixes the result of a trial beside its grid values: seed, axis names, network.

        A swept parameter's own entry under `network` has no influence and is left out.
        """
        axes = self.grid.axes()
        fixed = {k: v for k, v in self.network.model_dump().items() if k not in axes}
        return {"root_seed": self.root_seed, "axes": sorted(axes), **{f"network.{k}": v for k, v in fixed.items()}}

    def physics_sha256(self) -> str:
        """Hash of `physics`: two sweeps with the same hash may share trials."""
        return hashlib.sha256(json.dumps(self.physics(), sort_keys=True).encode()).hexdigest()

    def network_at(self, values: dict[str, float]) -> NetworkParameters:
        """The network's parameters at one grid point (`values`: axis name → value; p and lam are ignored)."""
        swept = {k: v for k, v in values.items() if k not in ("p", "lam")}
        if not swept:
            return self.network
        whole = {k for k in swept if NetworkParameters.model_fields[k].annotation is int}
        update = {k: int(v) if k in whole and v == int(v) else v for k, v in swept.items()}
        return NetworkParameters.model_validate({**self.network.model_dump(), **update})


class _Loader(yaml.SafeLoader):
    """SafeLoader that reads 5e-4 as a number (YAML 1.1 wants 5.0e-4) and refuses a key given twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                raise yaml.constructor.ConstructorError(None, None, "a key must be a name", key_node.start_mark)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key '{key}' is given twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9][0-9_]*(\.[0-9_]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def parse_experiment(text: str, name: str = "configuration") -> Experiment:
    """Validate YAML text.

    Parameters
    ----------
    text : str
        The YAML document.
    name : str
        What to call it in messages (a path).

    Raises
    ------
    ConfigError
        With every problem of the document, one line each: the key's path, what is wrong, what is allowed.
    """
    try:
        document = yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise ConfigError(f"{name} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(document, dict):
        raise ConfigError(f"{name} holds no keys; it needs at least 'grid' with the axes p and lam")
    try:
        experiment = Experiment.model_validate(document)
    except ValidationError as error:
        problems = [_explain(dict(e)) for e in error.errors()]
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise ConfigError("\n  ".join([f"{name} has {count}:", *problems])) from None
    experiment._text = text
    return experiment


def _plain(message: str) -> str:
    """A pydantic message without its own preamble, starting in lower case."""
    message = message.removeprefix("Value error, ").removeprefix("Input ")
    return message[:1].lower() + message[1:]


def _explain(error: dict[str, Any]) -> str:
    """One line for one pydantic error: the key's path, what is wrong, what is allowed."""
    location = [part for part in error["loc"] if isinstance(part, str | int)]
    path = ".".join(str(part) for part in location)
    if not path:  # a condition on the whole file says its own path
        return _plain(str(error["msg"]))
    section, field = _resolve(location)
    if error["type"] == "extra_forbidden":
        near = _nearest(str(location[-1]), list(section.model_fields))
        hint = f"did you mean '{near}'?" if near else f"known keys: {', '.join(section.model_fields)}"
        return f"{path}: unknown key; {hint}"
    if error["type"] == "missing":
        return f"{path}: required, but missing"
    line = f"{path}: {_plain(error['msg'])}"
    if not isinstance(error["input"], dict | list | tuple):
        line += f", not {error['input']!r}"
    allowed = _range_text(_bounds_of(field)) if field is not None else ""
    return f"{line} (allowed: {allowed})" if allowed else line


def _nearest(name: str, known: list[str]) -> str | None:
    """The known key most like `name`; one that differs in case alone comes first."""
    same = [k for k in known if k.lower() == name.lower()]
    return next(iter(same or difflib.get_close_matches(name, known, n=1, cutoff=0.5)), None)


def _resolve(location: list[str | int]) -> tuple[type[BaseModel], FieldInfo | None]:
    """The section and the field that a location points at."""
    section: type[BaseModel] = Experiment
    field: FieldInfo | None = None
    for part in location:
        field = section.model_fields.get(str(part))
        inner = field.annotation if field is not None else None
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            section = inner
    return section, field


def load_experiment(path: str | Path) -> Experiment:
    """Read and validate a configuration file.

    Raises
    ------
    UserError
        If the file cannot be read.
    ConfigError
        If it does not validate (all problems at once).
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UserError(f"cannot read the configuration {path}: {reason}") from None
    return parse_experiment(text, str(path))
