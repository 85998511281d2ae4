"""The network's tests share two helpers: `oracle` (the equations, slowly) and `chance` (how unlikely is unlikely)."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # pytest's importlib mode puts no folder of tests on the path
