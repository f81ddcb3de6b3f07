"""Put the tables into docs/performance.md: python bench/page.py FILE, where `--json FILE` wrote.

A table stands between ``<!-- bench:NAME -->`` and ``<!-- /bench -->``; everything else stays.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from tables import TABLES

from fanfold.workspace import read_json

PAGE = Path(__file__).resolve().parents[1] / "docs" / "performance.md"
_PLACE = re.compile(r"(<!-- bench:([a-z-]+) -->\n).*?(<!-- /bench -->)", re.DOTALL)


def filled(text: str, data: dict[str, object]) -> str:
    """Return the page with its tables made from the figures.

    Raises:
        KeyError: A marker names no table.
    """
    return _PLACE.sub(lambda found: found[1] + TABLES[found[2]](data) + "\n" + found[3], text)


def main() -> None:
    """Fill the page."""
    data = read_json(Path(sys.argv[1]))
    PAGE.write_text(filled(PAGE.read_text("utf-8"), data), "utf-8")
    print(f"{PAGE} has the figures of {data['machine']['day']}.")


if __name__ == "__main__":
    main()
