import sys
from pathlib import Path

# The benches are scripts: their modules import each other by bare names.
sys.path.append(str(Path(__file__).resolve().parents[3] / "bench"))
