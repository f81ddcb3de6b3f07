"""Charts of the trade statistics."""

from __future__ import annotations

from fanfold import Chart

CHARTS: list[Chart] = []
