"""Check the items of a reader and write them to the workspace."""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import IO, TYPE_CHECKING, Any

from fanfold.errors import BadInput
from fanfold.readers.limited import MAX_ITEMS
from fanfold.readers.parquet import BLOCK_ITEMS
from fanfold.readers.values import key_text, shortened
from fanfold.sources.strict_json import MAX_DEPTH, is_too_deep
from fanfold.workspace.files import whole_file
from fanfold.workspace.items import json_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from fanfold.readers.files import Located
    from fanfold.workspace.paths import Workspace

_SHOWN_ITEMS = 5
_UNSHOWN = ("line", "row")
"""Places in files and databases: messages do not show their content."""


def write_items(
    workspace: Workspace, located: Iterable[Located], check: Callable[[str], str]
) -> tuple[int, int]:
    """Write the items of a reader in canonical form; return the numbers of items and of blanks.

    Surrounding space is stripped, but that of files which were found (it may be the only difference of
    two names), and blanks are skipped. All other items that ``check`` rejects
    are reported in one message. Keys and attributes go to parallel files, the attributes only if
    there are any.

    Raises:
        BadInput: There are too many, or ``check`` rejected some items; the message gives their positions,
            and the values of a Param.
    """
    blanks = rejected = 0
    shown: list[str] = []
    keys: list[str] = []
    attributes: dict[int, Mapping[str, Any]] = {}  # by position in keys
    with ExitStack() as stack:
        lists = _Lists(workspace, stack)
        for count, (kind, number, raw, others) in enumerate(located, start=1):
            if count > MAX_ITEMS:
                raise BadInput(
                    f"There are more than {MAX_ITEMS:,} items, the limit of a run. Split the list and "
                    "trigger several runs."
                )
            item = raw.strip() if isinstance(raw, str) and kind != "file" else raw
            if item is None or item == "" or item != item:  # noqa: PLR0124 - NaN is null
                blanks += 1
                continue
            try:
                _check_depth(others)
                keys.append(check(key_text(item)))
            except ValueError as error:
                rejected += 1
                if rejected <= _SHOWN_ITEMS:
                    value = "" if kind in _UNSHOWN else f" is {shortened(raw)}"
                    shown.append(f"{kind} {number}{value}: {error}")
                continue
            if others:
                attributes[len(keys) - 1] = others
            if len(keys) == BLOCK_ITEMS:
                lists.write(keys, attributes)
                keys.clear()
                attributes.clear()
        if rejected:
            more = f"; and {rejected - len(shown)} more" if rejected > len(shown) else ""
            raise BadInput(
                f"{rejected} of the items {'is' if rejected == 1 else 'are'} invalid, so nothing was fetched: "
                f"{'; '.join(shown)}{more}. Correct the items and trigger a new run."
            )
        lists.write(keys, attributes)
    return lists.items, blanks


def _check_depth(attributes: Mapping[str, Any] | None) -> None:
    if attributes and is_too_deep(attributes):
        raise ValueError(f"its attributes have more than {MAX_DEPTH} levels")


class _Lists:
    """The parallel files of keys and attributes; ``stack`` completes them."""

    def __init__(self, workspace: Workspace, stack: ExitStack) -> None:
        self.items = 0
        self._stack = stack
        self._attributes_path = workspace.listed_attributes
        # That of an earlier try may not belong to these keys.
        self._attributes_path.unlink(missing_ok=True)
        self._keys = self._open(workspace.listed)
        self._attributes: IO[bytes] | None = None

    def write(self, keys: list[str], attributes: dict[int, Mapping[str, Any]]) -> None:
        """Append a block of keys, and attributes by position in the block."""
        self._keys.write(json_lines(keys))
        if attributes and self._attributes is None:
            self._attributes = self._open(self._attributes_path)
            for start in range(0, self.items, BLOCK_ITEMS):
                self._attributes.write(b"{}\n" * min(BLOCK_ITEMS, self.items - start))
        if self._attributes is not None:
            lines = (_encoded(attributes.get(position, {})) for position in range(len(keys)))
            text = "".join(f"{line}\n" for line in lines)
            self._attributes.write(text.encode("utf-8", "backslashreplace"))
        self.items += len(keys)

    def _open(self, path: Path) -> IO[bytes]:
        return self._stack.enter_context(self._stack.enter_context(whole_file(path)).open("wb"))


_encoded = json.JSONEncoder(
    ensure_ascii=False,
    separators=(",", ":"),
    sort_keys=True,  # equal attributes are equal lines
    default=str,
).encode
