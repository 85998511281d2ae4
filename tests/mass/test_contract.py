"""A mass model cannot change another model's results, and its result is a potential or refused."""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from scipy import signal

from hpcmass.compare.point import compare_point
from hpcmass.compile_lock import WaitStopped
from hpcmass.config import CompareParameters, MassParameters, NetworkParameters
from hpcmass.errors import UserError
from hpcmass.mass import Traces, mass_model, models_named, predict, registry
from hpcmass.mass.traces import V_BOUND_MV
from hpcmass.user_code import Errors

NET = NetworkParameters(dt_ms=0.5, duration_ms=700.0, transient_ms=100.0)
COMPARE = CompareParameters(max_lag_ms=30.0, bin_hz=5.0, band_hz=(0.0, 200.0))
N = NET.n_steps


def trial(seed: int) -> Traces:
    """A network with a rhythm that its input has too."""
    rng = np.random.default_rng(seed)
    phi = {f"phi_{kind}": rng.gamma(2.0, mean, N).astype("f4") for kind, mean in (("E", 9), ("I", 2), ("ext", 1))}
    v = -60 + signal.lfilter([0.02], [1, -0.97], phi["phi_E"]) + 0.1 * rng.standard_normal(N)
    return Traces(v.astype("f4"), **phi, mean_i_syn=(-v).astype("f4"))


RECORDINGS = [(k, trial(k)) for k in range(3)]


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Models of a test are forgotten after it."""
    models_named(("CFM",))
    monkeypatch.setattr(registry.MODELS, "entries", dict(registry.MODELS.entries))


def compared(*models: str) -> dict[str, Any]:
    return compare_point(RECORDINGS, 3, NET, MassParameters(models=models), COMPARE)


def of_model(result: dict[str, Any], k: int) -> dict[str, np.ndarray]:
    """The statistics of the k-th model, and those of the network."""
    own = {name: np.asarray(v) for name, v in result.items()}
    return {name: v[..., k] if name.endswith("_trial") and "_lif" not in name else v[k] if v.ndim and "_lif" not in name
            and name != "coherence_threshold" else v for name, v in own.items()}  # fmt: skip


# What a model may do to its input --------------------------------------------------------------------------------


def refused_by_the_array(traces, network, mass):
    phi = traces.phi_E
    phi *= 10
    return np.full(N, -60.0)


def network_trace(traces, network, mass):
    traces.mean_v[5:] = 0
    return np.full(N, -60.0)


def writeable_again(traces, network, mass):
    traces.phi_E.setflags(write=True)
    return np.full(N, -60.0)


def other_trace(traces, network, mass):
    traces.phi_E = traces.phi_I
    return np.full(N, -60.0)


def other_time_constant(traces, network, mass):
    network.tau_m_ms = 1.0
    return np.full(N, -60.0)


def other_synapse(traces, network, mass):
    mass.tau_s_ms = 1.0
    return np.full(N, -60.0)


@pytest.mark.parametrize(
    "model",
    [refused_by_the_array, network_trace, writeable_again, other_trace, other_time_constant, other_synapse],
    ids=lambda model: model.__name__,
)
@pytest.mark.parametrize("order", [("BAD", "MFM"), ("MFM", "BAD")])
def test_a_model_that_changes_its_input_is_told_so(model, order):
    mass_model("BAD")(model)
    with pytest.raises(UserError, match=r"^the mass model BAD failed, .*read-only: change a copy$") as error:
        compared(*order)
    assert f"test_contract.py, line {model.__code__.co_firstlineno}"[:-3] in str(error.value)


def container(traces, network, mass):
    object.__setattr__(traces, "phi_E", 10 * traces.phi_E)
    return np.full(N, -60.0)


def parameters(traces, network, mass):
    network.__dict__["tau_m_ms"] = 1.0
    mass.__dict__["tau_s_ms"] = 1.0
    return np.full(N, -60.0)


def shape(traces, network, mass):
    phi = traces.phi_E
    phi.shape = (2, N // 2)
    return np.full(N, -60.0)


def arithmetic(traces, network, mass):
    np.seterr(all="raise")
    return np.full(N, -60.0)


class Keeper:
    """Returns the same array again and again, changed in between."""

    def __init__(self) -> None:
        self.v = np.full(N, -60.0)

    def __call__(self, traces: Traces, network: NetworkParameters, mass: MassParameters) -> np.ndarray:
        self.v[:] = traces.mean_v
        return self.v


@pytest.mark.parametrize("model", [container, parameters, shape, arithmetic, Keeper()], ids=lambda m: str(m)[:20])
def test_changes_to_a_models_containers_affect_nothing_else(model):
    mass_model("BAD")(model)
    alone = of_model(compared("MFM"), 0)
    for k, order in enumerate([("BAD", "MFM"), ("MFM", "BAD")]):
        for name, values in of_model(compared(*order), 1 - k).items():
            np.testing.assert_array_equal(values, alone[name], err_msg=name)
    assert np.geterr()["over"] != "raise"


def test_a_kept_array_that_changes_later_is_not_the_result():
    keeper = Keeper()
    mass_model("KEEPER")(keeper)
    found = [predict(traces, NET, MassParameters(models=("KEEPER",)))["KEEPER"] for _, traces in RECORDINGS]
    keeper.v[:] = 0
    for potential, (_, traces) in zip(found, RECORDINGS, strict=True):
        np.testing.assert_array_equal(potential, traces.mean_v.astype("f8"))


def test_a_view_of_the_input_is_a_result():
    mass_model("NETWORK")(lambda traces, network, mass: traces.mean_v)
    found = predict(RECORDINGS[0][1], NET, MassParameters(models=("NETWORK",)))["NETWORK"]
    assert found.flags.writeable
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, RECORDINGS[0][1].mean_v)


def test_traces_are_read_only_copies():
    v = np.full(N, -60.0, "f4")
    traces = Traces(v, v, np.full(N, 3), np.full(2 * N, 1.0)[::2])
    v[:] = 0
    for field in dataclasses.fields(Traces):
        trace = getattr(traces, field.name)
        if trace is None:
            continue
        assert trace.dtype in ("f4", "f8")
        assert trace.shape == (N,)
        with pytest.raises(ValueError, match="read-only"):
            trace[0] = 1
        with pytest.raises(ValueError, match="WRITEABLE"):
            trace.flags.writeable = True
    assert (traces.mean_v == -60).all()
    assert (traces.phi_I == 3).all()
    with pytest.raises(dataclasses.FrozenInstanceError):
        traces.phi_E = v
    assert not hasattr(traces, "__dict__")


# What a model may return -----------------------------------------------------------------------------------------

FLAT = np.full(N, -60.0)


async def later() -> np.ndarray:
    return FLAT


RETURNED: dict[str, tuple[Callable[[], Any], str]] = {
    "one value more": (lambda: np.full(N + 1, -60.0), rf"an array of shape \({N + 1},\)"),
    "one value less": (lambda: FLAT[1:], rf"an array of shape \({N - 1},\)"),
    "a column": (lambda: FLAT[:, None], rf"an array of shape \({N}, 1\)"),
    "a row": (lambda: FLAT[None], rf"an array of shape \(1, {N}\)"),
    "no dimension": (lambda: np.array(-60.0), r"an array of shape \(\)"),
    "empty": (lambda: np.zeros(0), r"an array of shape \(0,\)"),
    "a number": (lambda: -60.0, "a float"),
    "a scalar": (lambda: FLAT[0], "a float64"),
    "nothing": (lambda: None, r"nothing \(None\)"),
    "a list": (FLAT.tolist, "a list"),
    "a tuple": (lambda: (FLAT, FLAT), "a tuple"),
    "a text": (lambda: "-60", "a str"),
    "a generator": (lambda: (v for v in FLAT), "a generator"),
    "masked": (lambda: np.ma.masked_array(FLAT, FLAT > 0), "a masked array"),
    "a subclass": (lambda: FLAT.view(np.recarray), "a recarray"),
    "complex": (lambda: FLAT + 0j, "an array of complex128"),
    "objects": (lambda: FLAT.astype(object), "an array of object"),
    "whole numbers": (lambda: FLAT.astype(int), "an array of int64"),
    "truth": (lambda: FLAT < 0, "an array of bool"),
    "texts": (lambda: FLAT.astype(str), "an array of <U"),
    "times": (lambda: FLAT.astype("timedelta64[ms]"), r"an array of timedelta64\[ms\]"),
    "fields": (lambda: np.zeros(N, [("V", "f8")]), r"an array of \[\('V', '<f8'\)\]"),
}


@pytest.mark.parametrize("kind", RETURNED)
def test_what_is_no_potential_is_refused_with_the_models_name(kind):
    make, printed = RETURNED[kind]
    mass_model("BAD")(lambda traces, network, mass: make())
    message = (
        rf"^the mass model BAD returned {printed}.*; it must return a NumPy array of {N} floating-point numbers, V"
    )
    with pytest.raises(UserError, match=message):
        compared("MFM", "BAD")
    with pytest.raises(UserError, match=message):
        predict(RECORDINGS[0][1], NET, MassParameters(models=("BAD", "MFM")))


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f8", "g"])
def test_any_real_kind_of_floating_point_is_a_potential(dtype):
    mass_model("REAL")(lambda traces, network, mass: traces.mean_v.astype(dtype))
    found = predict(RECORDINGS[0][1], NET, MassParameters(models=("REAL",)))["REAL"]
    assert found.dtype == np.dtype("f8")
    np.testing.assert_allclose(found, RECORDINGS[0][1].mean_v, rtol=1e-3)
    assert compared("REAL")["rho"][0] > 0.99


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e200, -1e200, np.longdouble("1e400"), 1.001 * V_BOUND_MV])
def test_leaving_the_physical_range_is_a_result_for_every_model(value):
    def leaving(traces, network, mass):
        v = traces.mean_v.astype(np.longdouble)
        v[700] = value  # and comes back
        return v

    mass_model("LEAVING")(leaving)
    found = predict(RECORDINGS[0][1], NET, MassParameters(models=("LEAVING",)))["LEAVING"]
    assert np.isfinite(found[:700]).all()
    assert np.isnan(found[700:]).all()
    result = compared("MFM", "LEAVING")
    assert result["n_diverged"].tolist() == [0, 3]
    assert np.isnan([result[name][1] for name in ("rho", "chi2", "mean_v_model", "lag", "log_variance_ratio")]).all()
    assert np.isfinite(result["rho"][0])
    np.testing.assert_array_equal(result["rho"][0], compared("MFM")["rho"][0])


def test_the_physical_range_includes_its_bound():
    mass_model("EDGE")(lambda traces, network, mass: np.where(np.arange(N) % 2, V_BOUND_MV, -V_BOUND_MV))
    assert compared("EDGE")["n_diverged"].tolist() == [0]


# What a model may raise ------------------------------------------------------------------------------------------


class Strange(BaseException):
    """An exception outside `Exception`."""


@pytest.mark.parametrize(
    "error",
    [
        ValueError("two\n  lines"),
        ImportError("no module"),
        MemoryError(),
        RecursionError("deep"),
        StopIteration(3),
        OSError(28, "No space left on device"),
        UserError("mine"),
        SystemExit(0),
        SystemExit("bye"),
        GeneratorExit(),
        Strange("x"),
    ],
    ids=repr,
)
def test_what_a_model_raises_is_one_sentence(error):
    def failing(traces, network, mass):
        raise error

    mass_model("BAD")(failing)
    line = failing.__code__.co_firstlineno + 1
    with pytest.raises(UserError, match=rf"^the mass model BAD failed, {type(error).__name__}") as found:
        compared("MFM", "BAD")
    text = str(found.value)
    assert "\n" not in text
    assert f"(test_contract.py, line {line}); correct it, or leave it out" in text
    assert found.value.__cause__ is error


@pytest.mark.parametrize("kind", [KeyboardInterrupt, WaitStopped])
def test_an_interruption_is_the_users(kind):
    def interrupted(traces, network, mass):
        raise kind

    mass_model("LONG")(interrupted)
    with pytest.raises(kind):
        compared("LONG")


def test_a_long_message_is_cut():
    def failing(traces, network, mass):
        raise ValueError("x" * 100_000)

    mass_model("BAD")(failing)
    with pytest.raises(UserError, match="xxx…") as found:
        compared("BAD")
    assert len(str(found.value)) < 500


def test_compiled_code_that_writes_to_its_input_is_told_so():
    from numba import njit

    @njit
    def scaled(phi):
        for k in range(phi.size):
            phi[k] *= 10
        return phi.astype(np.float64)

    mass_model("BAD")(lambda traces, network, mass: scaled(traces.phi_E))
    with pytest.raises(UserError, match=r"^the mass model BAD failed, TypingError.*read-only: change a copy$"):
        compared("MFM", "BAD")


# What a model may be ---------------------------------------------------------------------------------------------


class NotAnInstance:
    def __call__(self, traces, network, mass):
        return FLAT


class Fitted:
    """A fitted model that predicts the mean over its summaries."""

    def summarise(self, traces, network, mass):
        return traces.mean_v.mean(dtype=np.float64)

    def fit(self, summaries, held_out, network):
        mean = np.mean([v for k, v in summaries.items() if k != held_out])
        return lambda traces, network, mass: mean + 0.01 * traces.phi_E.astype(np.float64)


class ShortLesson(Fitted):
    def summarise(self, traces):
        return 0.0


class ShortFitted(Fitted):
    def fit(self, summaries):
        return lambda traces, network, mass: FLAT


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda: FLAT, r"the mass model BAD takes \(\); it must take \(traces, network, mass\)"),
        (lambda traces: FLAT, r"the mass model BAD takes \(traces\)"),
        (lambda traces, network, mass, more: FLAT, r"takes \(traces, network, mass, more\)"),
        (lambda *, traces, network, mass: FLAT, r"takes \(\*, traces, network, mass\)"),
        (NotAnInstance, "the mass model BAD is a class; register an instance"),
        (Fitted, "the mass model BAD is a class; register an instance"),
        (3, r"the mass model BAD is an int; it must be a function"),
        (ShortLesson(), r"the method summarise of the mass model BAD takes \(traces\)"),
        (
            ShortFitted(),
            r"the method fit of the mass model BAD takes \(summaries\); .* \(summaries, held_out, network\)",
        ),
    ],
)
def test_what_cannot_be_called_as_a_model_is_refused_before_anything_is_read(model, message):
    mass_model("BAD")(model)
    with pytest.raises(UserError, match=message):
        models_named(("MFM", "BAD"))
    assert list(models_named(("MFM",))) == ["MFM"]


@pytest.mark.parametrize("model", [lambda traces, network, mass=None, *more: FLAT, lambda *all_of_it: FLAT, np.add])
def test_what_can_be_called_as_a_model_is_one(model):
    mass_model("GOOD")(model)
    assert list(models_named(("GOOD",))) == ["GOOD"]


@pytest.mark.parametrize("name", ["", " A", "A,B", "A\nB"])
def test_a_name_can_be_in_a_list(name):
    with pytest.raises(ValueError, match=rf"^{re.escape(repr(name))} cannot name a mass model; see `mass_model`"):
        mass_model(name)


@pytest.mark.parametrize("name", [3, None, lambda traces, network, mass: FLAT])
def test_a_name_is_a_text(name):
    with pytest.raises(ValueError, match=r"not a name for a mass model; write @mass_model\('NAME'\)"):
        mass_model(name)


@pytest.mark.parametrize("needs", [("spikes",), "mean_i_syn"])
def test_needs_are_traces(needs):
    with pytest.raises(ValueError, match=r"the mass model A needs .*; the traces are mean_v, phi_E"):
        mass_model("A", needs=needs)


# Fitted models ---------------------------------------------------------------------------------------------------


class Forgetful(Fitted):
    """Destroys its summaries in every fit."""

    def summarise(self, traces, network, mass):
        return [super().summarise(traces, network, mass)]

    def fit(self, summaries, held_out, network):
        summaries.pop(held_out)
        mean = np.mean([blocks.pop() for blocks in summaries.values()])
        network.__dict__["tau_m_ms"] = 1.0
        return lambda traces, network, mass: mean + 0.01 * traces.phi_E.astype(np.float64)


class Accumulating(Fitted):
    """Returns one array as summary and keeps changing it."""

    def __init__(self) -> None:
        self.kept = np.zeros(1)

    def summarise(self, traces, network, mass):
        self.kept[0] = super().summarise(traces, network, mass)
        return self.kept


@pytest.mark.parametrize("model", [Forgetful(), Accumulating()], ids=lambda m: type(m).__name__)
def test_every_trial_is_fitted_to_lessons_as_they_were(model):
    mass_model("PLAIN")(Fitted())
    mass_model("BAD")(model)
    result = compared("PLAIN", "BAD", "MFM")
    for name in ("mean_v_model", "rho", "chi2"):
        assert result[name][1] == result[name][0], name
    np.testing.assert_array_equal(result["rho"][2], compared("MFM")["rho"][0])


class NothingFitted(Fitted):
    def fit(self, summaries, held_out, network):
        return None


class LivingLesson(Fitted):
    def summarise(self, traces, network, mass):
        return (v for v in traces.mean_v)


class FailingLesson(Fitted):
    def summarise(self, traces, network, mass):
        sys.exit(4)


class FailingFit(Fitted):
    def fit(self, summaries, held_out, network):
        raise ArithmeticError("singular")


class LateFailure(Fitted):
    def fit(self, summaries, held_out, network):
        return lambda traces: FLAT


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (NothingFitted(), r"the method fit of the mass model BAD returned nothing \(None\)"),
        (LivingLesson(), "the mass model BAD failed, TypeError: cannot pickle 'generator' object;"),
        (FailingLesson(), "the mass model BAD failed, SystemExit: 4"),
        (FailingFit(), "the mass model BAD failed, ArithmeticError: singular"),
        (LateFailure(), "the mass model BAD failed, TypeError: .* takes 1 positional argument"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_fitted_model_that_fails_is_one_sentence(model, message):
    mass_model("BAD")(model)
    with pytest.raises(UserError, match=message) as error:
        compared("MFM", "BAD")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("model", "n_failed"),
    [
        (FailingLesson(), 3),
        (FailingFit(), 3),
        (LateFailure(), 3),
        (lambda traces, network, mass: 1 / 0, 3),
        (lambda traces, network, mass: traces.mean_v[:: 1 + (traces.mean_v[0] == RECORDINGS[1][1].mean_v[0])], 1),
    ],
    ids=["summary", "fit", "prediction", "error", "one trial"],
)
def test_failures_that_are_noted_leave_the_others_alone(model, n_failed):
    mass_model("BAD")(model)
    failures: Errors = {}
    result = compare_point(RECORDINGS, 3, NET, MassParameters(models=("BAD", "MFM")), COMPARE, failures)
    assert list(failures) == ["the mass model BAD"]
    assert failures["the mass model BAD"].what.startswith("the mass model BAD ")
    assert "correct it" not in failures["the mass model BAD"].what
    assert result["n_diverged"].tolist() == [n_failed, 0]
    assert np.isfinite(result["rho_trial"][:, 0]).sum() == 3 - n_failed
    assert np.isnan([result[name][0] for name in ("rho", "chi2", "mean_v_model", "lag", "log_variance_ratio")]).all()
    for name, values in of_model(compared("MFM"), 0).items():
        np.testing.assert_array_equal(of_model(result, 1)[name], values, err_msg=name)


@pytest.fixture
def quiet_coroutines() -> Iterator[None]:
    """One that is never awaited warns when it is thrown away."""
    with pytest.warns(RuntimeWarning, match="never awaited"):
        yield


def test_a_coroutine_is_no_potential(quiet_coroutines):
    mass_model("BAD")(lambda traces, network, mass: later())
    with pytest.raises(UserError, match="the mass model BAD returned a coroutine"):
        compared("BAD")
