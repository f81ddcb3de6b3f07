"""The texts of the run page: each one that its scripts ask for exists, and none is left over.

That each has both languages with the same parameters is in tests/unit/test_messages.py.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import fanfold

PACKAGE = Path(fanfold.__file__).parent


def test_every_text_that_is_asked_for_exists_and_every_other_is_asked_for():
    """Ids are written out, or begin with a literal, such as ``outcome.${name}``."""
    known = set(json.loads((PACKAGE / "messages.json").read_text("utf-8"))["page"])
    scripts = (PACKAGE / "airflow" / "page" / "static").glob("*.js")
    code = "\n".join(path.read_text("utf-8") for path in scripts)
    asked = set(re.findall(r'say\(\s*"([a-z_0-9.]+)"', code))
    assert asked
    assert asked <= known
    written = set(re.findall(r'"([a-z_0-9]+(?:\.[a-z_0-9]+)*)"', code))
    begun = set(re.findall(r"`([a-z_0-9.]+)\$\{", code))
    assert begun
    left = {key for key in known - written if not any(key.startswith(prefix) for prefix in begun)}
    assert left == set()
