"""The environment of the programs that Fanfold is measured against: .venv-bench.

dlt does not fit beside Airflow's pinned versions. It is made from requirements-bench.lock the first
time, and again when the lock or the interpreter changes.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).absolute().parents[1]
LOCK = ROOT / "requirements-bench.lock"
FOLDER = ROOT / ".venv-bench"
SCRIPTS = Path(__file__).parent / "contenders"


def python() -> str:
    """Return the interpreter of the peers; make their environment where it is missing."""
    interpreter = FOLDER / "bin" / "python"
    stamp = FOLDER / ".fanfold-bench"
    wanted = f"{FOLDER} {sys.version} {hashlib.sha256(LOCK.read_bytes()).hexdigest()}"
    if stamp.exists() and stamp.read_text("utf-8") == wanted:
        return str(interpreter)
    print(f"Making {FOLDER.name} for the programs to measure against", flush=True)
    shutil.rmtree(FOLDER, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", str(FOLDER)], check=True)
    # pip, not uv: it knows its own mirrors and certificates.
    subprocess.run(
        [
            *(str(interpreter), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
            *("--require-hashes", "-r", str(LOCK)),
        ],
        check=True,
    )
    stamp.write_text(wanted, "utf-8")
    return str(interpreter)
