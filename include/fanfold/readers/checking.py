"""Check the items of a reader and write them to the workspace."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fanfold.errors import BadInput
from fanfold.readers.files import BLOCK_ITEMS, Located, shortened
from fanfold.workspace.files import whole_file
from fanfold.workspace.items import json_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from fanfold.workspace.paths import Workspace

_SHOWN_ITEMS = 5


def write_items(
    workspace: Workspace, located: Iterable[Located], check: Callable[[str], str]
) -> tuple[int, int]:
    """Write the items of a reader in canonical form; return the numbers of items and of blanks.

    Surrounding space is stripped and blanks are skipped. All other items that ``check`` rejects
    are reported in one message.

    Raises:
        BadInput: ``check`` rejected some items; the message gives their positions and values.
    """
    items = blanks = rejected = 0
    shown: list[str] = []
    keys: list[str] = []
    with whole_file(workspace.listed) as temporary, temporary.open("wb") as file:
        for kind, number, raw in located:
            item = raw.strip() if isinstance(raw, str) else raw
            if item is None or item == "":
                blanks += 1
                continue
            try:
                keys.append(check(_as_text(item)))
            except ValueError as error:
                rejected += 1
                if rejected <= _SHOWN_ITEMS:
                    shown.append(f"{kind} {number} is {shortened(raw)}: {error}")
            if len(keys) == BLOCK_ITEMS:
                items += len(keys)
                file.write(json_lines(keys))
                keys.clear()
        if rejected:
            more = f"; and {rejected - len(shown)} more" if rejected > len(shown) else ""
            raise BadInput(
                f"{rejected} of the items are invalid, so nothing was fetched: "
                f"{'; '.join(shown)}{more}. Correct the items and trigger a new run."
            )
        file.write(json_lines(keys))
    return items + len(keys), blanks


def _as_text(item: Any) -> str:
    if isinstance(item, str):
        return item.removeprefix("\ufeff")
    if isinstance(item, bool) or not isinstance(item, int):
        raise ValueError("an item is a string or an integer")  # noqa: TRY004
    return str(item)
