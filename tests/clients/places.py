"""Where things are, for the tests beside this file."""

import os
import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[2]
FLEET = ROOT / "examples" / "fleet"
# The program under test.
OPENELM = os.environ.get("OPENELM", str(ROOT / "target" / "debug" / "openelm"))
