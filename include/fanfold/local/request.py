"""What ``make run`` is asked to run: a pipeline and its items, as Params of its DAG."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fanfold.errors import BadInput
from fanfold.loader import pipeline_names
from fanfold.local.settings import dags_folder
from fanfold.simulator.sample import SAMPLES, USERS
from fanfold.uris import check_uri

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LIST_FILES = (".csv", ".jsonl", ".csv.gz", ".jsonl.gz", ".parquet")


@dataclass(frozen=True, slots=True)
class Request:
    """A pipeline and its items.

    Attributes:
        pipeline: Name of the pipeline and of its DAG, or of another DAG file that runs a pipeline.
        items: Keys separated by commas or spaces, or the path or URI of an items file. For a pipeline over
            files, their paths or URIs, which may be patterns.
        users: Number of simulated users, instead of ``items``.

    Without both, the items are 300 simulated users if the API of the pipeline is simulated,
    otherwise the default list of the DAG.
    """

    pipeline: str
    items: str = ""
    users: int | None = None

    def check(self) -> None:
        """Raise if there is no such pipeline or DAG, or no such users or items file.

        Raises:
            BadInput: With the alternatives.
        """
        pages = (path.stem for path in dags_folder().glob("*.py"))
        names = sorted({*pipeline_names(), *pages})
        if self.pipeline not in names:
            raise BadInput(
                f"There is no pipeline {self.pipeline!r} in include/pipelines, and no DAG file of this "
                f"name; available: {', '.join(names) or 'none'}."
            )
        if self.users and self.pipeline not in SAMPLES:
            raise BadInput(
                f"USERS={self.users}: there are simulated users only for {', '.join(SAMPLES)}. "
                f"Set ITEMS for {self.pipeline}, or neither for the default list of its DAG."
            )
        for word in self._words():
            if "://" not in self.items and word.endswith(LIST_FILES) and not _matching(word):
                raise BadInput(f"ITEMS={self.items}: there is no file {word}.")

    def conf(
        self,
        params: Mapping[str, Any],
        folder: Path,
        is_simulated: Callable[[str], bool],
        upload: Callable[[Path], str] = Path.as_uri,
    ) -> dict[str, Any]:
        """Return the Params of the run.

        Args:
            params: Params of the DAG by name, as returned by Airflow's REST API.
            folder: Where runs may read items files; for a copy of the user's, or a list of simulated users.
            is_simulated: Whether runs use the simulator for a connection.
            upload: Makes a local file available to a pipeline over files; returns its URI.

        Raises:
            BadInput: The DAG has no Param for the items, or a file does not exist.
        """
        value: Any
        if self.items and "lag_days" in params:
            name, value = _list_param(params), []
            for word in self._words():
                files = [] if "://" in word else _matching(word)
                if "://" not in word and not files:
                    is_folder = os.path.isdir(word)  # noqa: PTH112 - as isfile below
                    hint = f"; for all files of this folder write {word}/" if is_folder else ""
                    raise BadInput(f"ITEMS={self.items}: there is no file {word}{hint}.")
                value += map(upload, files) if files else [word]
        elif self.items and not self._is_file():
            name, value = _list_param(params), self._words()
        elif self.items:
            name, value = "items_uri", self.items
            if "://" not in self.items:
                path = Path(self.items)
                copy = folder / f"{self.pipeline}-{path.name[-50:]}"
                try:
                    shutil.copyfile(path, copy)
                except OSError as error:
                    raise BadInput(f"ITEMS={self.items}: {error.strerror}.") from error
                value = f"file://{copy}"
        elif users := self._sample(is_simulated):
            keys = SAMPLES[self.pipeline].users(users)
            file = folder / f"{self.pipeline}-{users}.csv"
            file.write_text("\n".join(["item", *keys, ""]), "ascii")
            name, value = "items_uri", file.as_uri()
        else:
            return {}
        update = {}
        if not self.items and not self.users and "update_latest" in params:
            update["update_latest"] = "yes"  # the sample is what a new installation shows
        self._check_param(params, name, value)
        # Other readers of the DAG that are set by default.
        others = {"items_uri", "items_sql"} - {name}
        return {name: value} | update | {each: None for each in others if _value(params, each)}

    def _check_param(self, params: Mapping[str, Any], name: str, value: Any) -> None:
        if name not in params:
            raise BadInput(f"{self.pipeline} has no Param for the items of ITEMS or USERS.")
        if name == "items_uri":
            check_uri(value, "ITEMS")

    def _words(self) -> list[str]:
        if _matching(self.items):  # a path with blanks
            return [self.items]
        return list(filter(None, re.split(r"[\s,]+", self.items)))

    def _is_file(self) -> bool:
        is_file = os.path.isfile(self.items)  # noqa: PTH113 - Path.is_file fails for a long list
        return is_file or "://" in self.items or self.items.endswith(LIST_FILES)

    def _sample(self, is_simulated: Callable[[str], bool]) -> int:
        sample = SAMPLES.get(self.pipeline)
        if sample is None:
            return 0
        # The sample's users do not exist in the API of another connection.
        return self.users or (USERS if is_simulated(sample.connection) else 0)


def upload_key(pipeline: str, path: Path) -> str:
    """Return the key of a local file in the object storage: files of two folders may have one name."""
    return f"uploads/{pipeline}{os.path.normpath(path.absolute())}"


def _matching(pattern: str) -> list[Path]:
    """Return the files that a path, a pattern with ``*`` and ``**``, or a folder with ``/`` names, sorted."""
    path = Path(pattern).absolute()
    if os.path.isfile(path):  # noqa: PTH113 - as above
        return [path]
    whole = f"{path}/**" if pattern.endswith("/") else str(path)
    found = glob(whole, recursive=True)  # noqa: PTH207 - ** of Path.glob: only folders until Python 3.13
    return sorted(each for each in map(Path, found) if each.is_file())


def _list_param(params: Mapping[str, Any]) -> str:
    """Return the Param that ``fanfold.airflow.params`` marks as the list of items."""
    marked = (name for name, each in params.items() if "x-list" in each["schema"])
    return next(marked, "")


def _value(params: Mapping[str, Any], name: str) -> Any:
    return params[name]["value"] if name in params else None
