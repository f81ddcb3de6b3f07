"""Put the tables into docs/performance.md: python bench/page.py FILE, where `--json FILE` wrote.

A table stands between ``<!-- bench:NAME -->`` and ``<!-- /bench -->``; everything else stays. Behind
``--only`` stand the names of tables, where the others are to keep the figures of another day.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING

from tables import TABLES

from fanfold.workspace.files import read_json

if TYPE_CHECKING:
    from collections.abc import Collection

PAGE = Path(__file__).resolve().parents[1] / "docs" / "performance.md"
_PLACE = re.compile(r"(<!-- bench:([a-z-]+) -->\n).*?(<!-- /bench -->)", re.DOTALL)


def filled(text: str, data: dict[str, object], only: Collection[str] = tuple(TABLES)) -> str:
    """Return the page with its tables made from the figures.

    Args:
        text: The page.
        data: The figures.
        only: Names of the tables that are made anew.

    Raises:
        KeyError: A marker names no table.
    """

    def table(found: re.Match[str]) -> str:
        made = TABLES[found[2]]
        return found[1] + made(data) + "\n" + found[3] if found[2] in only else found[0]

    return _PLACE.sub(table, text)


def main() -> None:
    """Fill the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition(":")[0])
    parser.add_argument("figures", type=Path, help="the file behind --json")
    parser.add_argument("--only", nargs="+", choices=list(TABLES), default=list(TABLES))
    given = parser.parse_args()
    data = read_json(given.figures)
    PAGE.write_text(filled(PAGE.read_text("utf-8"), data, given.only), "utf-8")
    print(f"{PAGE} has the figures of {data['machine']['day']}.")


if __name__ == "__main__":
    main()
