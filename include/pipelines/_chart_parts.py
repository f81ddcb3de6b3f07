"""Parts of Vega-Lite specifications that the charts of several pipelines share.

Texts are pairs, English and Chinese, as are fields with a column for each language.
"""

from __future__ import annotations

from typing import Any

BESIDE = {"type": "text", "align": "left", "dx": 5, "tooltip": None}
"""The mark of a text to the right of a bar."""
LABEL = {"field": "label"}
NO_TITLE: dict[str, Any] = {"axis": {"title": None}}


def quantity(field: str, english: str, chinese: str, **more: Any) -> dict[str, Any]:
    """Return the encoding of a number."""
    return {"field": field, "type": "quantitative", "title": (english, chinese), **more}


def nominal(
    field: str | tuple[str, str], english: str, chinese: str, **more: Any
) -> dict[str, Any]:
    """Return the encoding of a text."""
    return {"field": field, "type": "nominal", "title": (english, chinese), **more}


def tooltip(*encodings: dict[str, Any]) -> list[dict[str, Any]]:
    """Return encodings for a tooltip, without their axes and scales."""
    return [
        {key: value for key, value in each.items() if key not in {"axis", "scale"}}
        for each in encodings
    ]


def bars(
    name: dict[str, Any],
    value: dict[str, Any],
    text: dict[str, Any],
    *more: dict[str, Any],
    over: tuple[dict[str, Any], ...] = (),
    **encoding: Any,
) -> dict[str, Any]:
    """Return horizontal bars with a text beside each, in the order of the query.

    Args:
        name: Encoding of the bars' names.
        value: Encoding of their lengths; its ``format`` is that of the tooltip.
        text: Encoding of the texts.
        more: Encodings that only the tooltip has.
        over: Layers between the bars and the texts.
        encoding: Further encodings of the bars.
    """
    length = {key: each for key, each in value.items() if key != "format"}
    return {
        "encoding": {
            "y": {**NO_TITLE, **name, "sort": None},
            "x": {"scale": {"nice": False}, **length, "axis": None},
        },
        "layer": [
            {"mark": "bar", "encoding": {**encoding, "tooltip": tooltip(name, value, *more)}},
            *over,
            {"mark": BESIDE, "encoding": {"text": text}},
        ],
    }
