"""The texts and colours of the run page: each one that it asks for exists, and no text is left over.

That each has both languages with the same parameters is in tests/unit/test_messages.py.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import fanfold

PACKAGE = Path(fanfold.__file__).parent
STATIC = PACKAGE / "airflow" / "page" / "static"


def test_every_text_that_is_asked_for_exists_and_every_other_is_asked_for():
    """Ids are written out, or begin with a literal, such as ``outcome.${name}``."""
    known = set(json.loads((PACKAGE / "messages.json").read_text("utf-8"))["page"])
    code = "\n".join(path.read_text("utf-8") for path in STATIC.glob("*.js"))
    asked = set(re.findall(r'say\(\s*"([a-z_0-9.]+)"', code))
    assert asked
    assert asked <= known
    written = set(re.findall(r'"([a-z_0-9]+(?:\.[a-z_0-9]+)*)"', code))
    begun = set(re.findall(r"`([a-z_0-9.]+)\$\{", code))
    assert begun
    left = {key for key in known - written if not any(key.startswith(prefix) for prefix in begun)}
    assert left == set()


def test_every_variable_of_the_style_sheets_is_set():
    """What has an unknown colour is black, in the dark theme, too."""
    sheets = "\n".join(path.read_text("utf-8") for path in STATIC.glob("*.css"))
    used, defined = (
        set(re.findall(form, sheets)) for form in (r"var\((--[\w-]+)\)", r"(--[\w-]+):")
    )
    assert used
    assert used <= defined
