"""`python -m hpcmass` is `hpcmass`."""

import sys

from hpcmass.cli import main

sys.exit(main())
