"""What all charts look like: ``page/config.json``, a Vega-Lite config with the page's colours.

``var(--ink)`` in it is a colour of ``page.css``; the page's script resolves it, for dark and light.
"""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fanfold.stages.reporting.data import json_value

if TYPE_CHECKING:
    from fanfold.stages.reporting.charts import Drawing

FOLDER = Path(__file__).parent / "page"


@functools.cache
def asset(name: str) -> str:
    """Return the text of a file of the page."""
    return (FOLDER / name).read_text("utf-8").strip()


def complete_spec(chart: Drawing, width: int) -> dict[str, Any]:
    """Return the specification of a chart in English with values, title and colours.

    Args:
        chart: The chart.
        width: Width in pixels of a chart that is as wide as the page.
    """
    light = dict(
        re.findall(r"--([\w-]+): (#[0-9a-f]{6})", asset("page.css").partition("@media")[0])
    )
    both = json.dumps([json.loads(asset("config.json")), chart.specs["en"]])
    config, spec = json.loads(re.sub(r"var\(--([\w-]+)\)", lambda found: light[found[1]], both))
    # The page's script defines the format of numbers; here, Vega-Lite's own.
    config |= {"customFormatTypes": False, "numberFormatType": None}
    if spec.get("width") == "container":
        spec["width"] = width
    if "vconcat" in spec:
        spec["vconcat"] = [{"width": width, **each} for each in spec["vconcat"]]
    rows = [
        dict(zip(chart.rows.columns, map(json_value, row), strict=True)) for row in chart.rows.rows
    ]
    title = {"text": chart.title.en, "subtitle": chart.finding.en if chart.finding else ""}
    data = {**spec.get("data", {}), "values": rows}
    values = {name: json_value(value) for name, value in chart.values.items()}
    return {
        **spec,
        "data": data,
        "datasets": {"values": [values]},
        "title": title,
        "config": {**config, **spec.get("config", {})},
    }
