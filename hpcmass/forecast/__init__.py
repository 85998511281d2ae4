"""What a sweep will take, before it is run: a few seconds' calibration here, and what follows from it."""

from hpcmass.forecast.calibration import Calibration, calibrate
from hpcmass.forecast.resources import USEFUL, Forecast, forecast

__all__ = ["USEFUL", "Calibration", "Forecast", "calibrate", "forecast"]
