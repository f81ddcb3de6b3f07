"""Charts as PNG or SVG files, for those who ask for them: FANFOLD_REPORT_PICTURES=png or svg.

Needs the extra ``pictures`` (vl-convert, 85 MB); the page has download buttons without it.
"""

from __future__ import annotations

import importlib.util
import os
from typing import TYPE_CHECKING

from fanfold.errors import BadConfiguration
from fanfold.stages.reporting.theme import complete_spec
from fanfold.workspace.files import whole_file

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from fanfold.stages.reporting.charts import Drawing

VARIABLE = "FANFOLD_REPORT_PICTURES"
_WIDTH = 640


def write_pictures(charts: Sequence[Drawing], folder: Path) -> tuple[Path, ...]:
    """Write each chart with rows as ``<slug>.png`` or ``.svg`` in English, if the environment asks.

    Pictures of an earlier report are removed.

    Raises:
        BadConfiguration: The variable has another value, or the extra is not installed.
    """
    for earlier in folder.glob("chart-*.*"):
        earlier.unlink()
    form = os.environ.get(VARIABLE, "")
    if not form:
        return ()
    if form not in {"png", "svg"}:
        raise BadConfiguration(f"{VARIABLE} must be png or svg, not {form!r}.")
    if importlib.util.find_spec("vl_convert") is None:
        raise BadConfiguration(f"{VARIABLE} is set; install fanfold[pictures], or unset it.")
    import vl_convert

    paths = []
    for chart in charts:
        if not chart.rows.rows:
            continue
        spec = complete_spec(chart, _WIDTH)
        picture = (
            vl_convert.vegalite_to_png(spec, scale=2)
            if form == "png"
            else vl_convert.vegalite_to_svg(spec).encode()
        )
        path = folder / f"{chart.slug}.{form}"
        with whole_file(path) as temporary:
            temporary.write_bytes(picture)
        paths.append(path)
    return tuple(paths)
