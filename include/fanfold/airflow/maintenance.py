"""Remove old runs from the shared directory and the bucket; docs/retention.md has the rules."""

from __future__ import annotations

import copy
import json
import logging
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.sdk import Param, Variable, get_current_context, task
from airflow.sdk.exceptions import ParamValidationError

from fanfold import formats
from fanfold.airflow import connections, disk, settings
from fanfold.airflow.notifications import Notice, State, send_once
from fanfold.errors import BadConfiguration
from fanfold.storage.published import LATEST, Latest, published_runs, read_latest
from fanfold.workspace import cleaning
from fanfold.workspace.cleaning import id_of
from fanfold.workspace.files import disk_errors
from fanfold.workspace.fresh import REMOVED, discard
from fanfold.workspace.paths import Workspace, safe_name
from fanfold.workspace.retention import Facts, Rules, RunState, Verdict, decide

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from airflow.sdk import Context

    from fanfold.storage.objects import Bucket

log = logging.getLogger(__name__)

VARIABLE = "fanfold_retention"
_KILLED = timedelta(days=1)
"""Age of a temporary file that no task writes any more."""
_STALE = timedelta(days=90)
"""Age of rate-limit files and of marks of sent notices that nothing needs any more."""

DOC = """
Removes old runs, and what killed tasks have left. With *Dry run*, it only lists them.

**After a failure**: correct what the message names, and clear the task; it continues where it ended.
"""


def params() -> dict[str, Param]:
    """Return the Params of the maintenance DAG; the Variable ``fanfold_retention`` has the same names."""
    days = partial(Param, type=["number", "null"], minimum=1)
    number = partial(Param, type="integer")
    never = " Empty: never."
    return {
        "dry_run": Param(
            True,  # noqa: FBT003 - the value of a Param
            type="boolean",
            title="Dry run",
            description="Only list what would be removed.",
        ),
        "keep_days": Param(
            90,
            type="number",
            minimum=1,
            title="Days to keep workspaces",
            description="Remove the workspaces of runs that were last written N days ago or earlier.",
        ),
        "keep_runs": number(
            10,
            minimum=1,
            title="Workspaces to keep",
            description="Keep the N newest workspaces of each DAG, whatever their age.",
        ),
        "unpublished_keep_days": days(
            None,
            title="Days to keep unpublished runs",
            description="Remove workspaces with fetched data that was not published, too, if they are "
            f"that old.{never} Those of runs that are deleted in Airflow go like published ones.",
        ),
        "published_keep_days": days(
            None,
            title="Days to keep published runs",
            description=f"Remove runs from the bucket that were published N days ago or earlier.{never}",
        ),
        "published_keep_runs": number(
            10,
            # One that latest.json pointed to a moment ago may have readers.
            minimum=2,
            title="Published runs to keep",
            description="Keep the N last published runs of each DAG, whatever their age.",
        ),
    }


@dataclass(frozen=True, slots=True)
class Options:
    """The Params of a run."""

    dry_run: bool
    keep_days: float
    keep_runs: int
    unpublished_keep_days: float | None
    published_keep_days: float | None
    published_keep_runs: int

    @classmethod
    def of(cls, context: Context) -> Options:
        """Return the Params of a manual run; of a scheduled one, with those in the Variable.

        Raises:
            BadConfiguration: The Variable is wrong.
        """
        values = dict(context["params"])
        if context["dag_run"].run_type != "manual":
            values |= _of_variable(context["dag"].params)
        return cls(**{name: values[name] for name in cls.__slots__})


def _of_variable(declared: Any) -> Mapping[str, Any]:
    text = Variable.get(VARIABLE, default=None) or "{}"
    try:
        found = json.loads(text)
        return {
            name: copy.copy(declared.get_param(name)).resolve(found[name]) for name in dict(found)
        }
    except ParamValidationError as error:
        reason = str(getattr(error.args[0], "message", error.args[0]))  # not the whole schema
    except (ValueError, TypeError, KeyError) as error:
        reason = repr(error)
    raise BadConfiguration(
        f"The Variable {VARIABLE} is wrong ({reason}). Set it to a JSON object with some of "
        f'{", ".join(declared)}, such as {{"keep_days": 90, "dry_run": false}}; then clear the task.'
    )


@dataclass(frozen=True, slots=True)
class Removal:
    """Something that was removed, or would be in a dry run: what it is, and its size in bytes."""

    kind: str
    name: str
    bytes: int


@task(multiple_outputs=False, doc_md=DOC)
def remove_old_runs() -> dict[str, int]:
    """Remove what the rules permit; return the number of what was removed, by kind."""
    context = get_current_context()
    options, now = Options.of(context), datetime.now(UTC)
    shared = settings.shared_directory()
    removals: list[Removal] = []
    by_dag: list[tuple[str, str]] = []
    with connections.bucket(settings.bucket_name()) as bucket, disk_errors(shared):
        for dag_id, folder in cleaning.folders_by_id(shared).items():
            dag = _Dag(dag_id, folder, bucket, options, now)
            removed = [*dag.clean()]
            removals += removed
            kept = ", ".join(f"{n} {why}" for why, n in sorted(dag.kept.items())) or "nothing"
            log.info("%s: %s; kept: %s", dag_id, _text(removed), kept)
            if removed:
                by_dag.append((dag_id, f"{_text(removed)}; kept: {kept}"))
        if not options.dry_run:
            for folder in (connections.rate_limits(), disk.notices(shared)):
                cleaning.remove_stale(folder, now - _STALE)
    title = f"{'Would be removed' if options.dry_run else 'Removed'}: {_text(removals)}"
    log.info("%s.", title)
    disk.check(shared)
    if removals:
        hint = f'To remove them, set the Variable {VARIABLE} to {{"dry_run": false}}.'
        paragraphs = (hint,) if options.dry_run else ()
        links = (("Log", context["ti"].log_url),)
        notice = Notice(State.MAINTENANCE, title, paragraphs, tuple(by_dag), links)
        # The dry runs of the schedule list the same each day.
        is_daily = options.dry_run and context["dag_run"].run_type != "manual"
        once = f"dry-run-{now:%Y-%m}" if is_daily else safe_name(context["run_id"])
        send_once(notice, disk.notices(shared) / f"maintenance-{once}")
    return dict(Counter(each.kind for each in removals))


def _text(removals: Sequence[Removal]) -> str:
    kinds = Counter(each.kind for each in removals)
    parts = ", ".join(f"{n} {kind}{'s' * (n > 1)}" for kind, n in kinds.items())
    return f"{parts} ({formats.size(sum(each.bytes for each in removals))})" if parts else "nothing"


class _Dag:
    """The runs of a DAG.

    Attributes:
        kept: How many stay, by the reason.
    """

    def __init__(
        self, dag_id: str, folder: Path, bucket: Bucket, options: Options, now: datetime
    ) -> None:
        self._dag_id = dag_id
        self._folder = folder
        self._bucket = bucket
        self._options = options
        self._now = now
        self.kept: Counter[str] = Counter()

    def clean(self) -> Iterator[Removal]:
        """Remove workspaces, then published runs, then temporary files; yield each."""
        options = self._options
        found = cleaning.folders_by_id(self._folder)
        workspaces = {run_id: Workspace(path) for run_id, path in found.items()}
        latest = self._latest()
        facts = {run_id: self._facts(run_id, each, latest) for run_id, each in workspaces.items()}
        rules = Rules(options.keep_days, options.keep_runs, options.unpublished_keep_days)
        for run_id in self._chosen([*facts.values()], rules):
            workspace = workspaces[run_id]
            # It may have been cleared or published meanwhile.
            if self._facts(run_id, workspace, self._latest()) == facts[run_id]:
                del workspaces[run_id]
                size = cleaning.size_of(workspace.root)
                yield self._remove("workspace", run_id, size, partial(discard, workspace.root))
        if options.published_keep_days is not None:
            rules = Rules(options.published_keep_days, options.published_keep_runs)
            yield from self._clean_published(rules, workspaces)
        paths = [*self._folder.glob(f"{REMOVED}*")]
        for run_id, workspace in workspaces.items():
            if facts[run_id].state is not RunState.ACTIVE:
                paths += cleaning.temporary(workspace, self._now - _KILLED)
        for path in paths:
            name, size = str(path.relative_to(self._folder)), cleaning.size_of(path)
            yield self._remove("temporary file", name, size, partial(cleaning.remove, path))

    def _clean_published(
        self, rules: Rules, workspaces: Mapping[str, Workspace]
    ) -> Iterator[Removal]:
        """Remove published runs without a workspace: the others can be published again at any time."""
        found = {each.prefix: each for each in published_runs(self._bucket, self._folder.name)}
        ids = {prefix: run_id for prefix, each in found.items() if (run_id := id_of(each.name))}
        latest = self._latest()
        facts = [
            Facts(
                prefix,
                found[prefix].written_at,
                self._state(run_id),
                latest=latest is not None and latest.prefix.startswith(prefix),
                workspace=run_id in workspaces,
                counted=found[prefix].is_whole,
            )
            for prefix, run_id in ids.items()
        ]
        for prefix in self._chosen(facts, rules):
            if self._state(ids[prefix]) is not RunState.ACTIVE:
                run = found[prefix]
                yield self._remove(
                    "published run", prefix, run.bytes, partial(run.remove, self._bucket)
                )

    def _chosen(self, facts: Sequence[Facts], rules: Rules) -> list[str]:
        verdicts = decide(facts, rules, self._now)
        self.kept.update(str(each) for each in verdicts.values() if each is not Verdict.REMOVE)
        return [name for name, verdict in verdicts.items() if verdict is Verdict.REMOVE]

    def _remove(self, kind: str, name: str, size: int, action: Callable[[], None]) -> Removal:
        if not self._options.dry_run:
            action()
        log.info("%s of %s: %s, %s", kind.capitalize(), self._dag_id, name, formats.size(size))
        return Removal(kind, name, size)

    def _facts(self, run_id: str, workspace: Workspace, latest: Latest | None) -> Facts:
        state = self._state(run_id)
        return Facts(
            run_id,
            cleaning.written_at(workspace),
            state,
            latest=latest is not None and latest.run_id == run_id,
            unpublished=cleaning.is_unpublished(workspace),
            # A run that is deleted in Airflow has no run page.
            counted=state is not RunState.DELETED,
        )

    def _latest(self) -> Latest | None:
        return read_latest(self._bucket, f"{self._folder.name}/{LATEST}")

    def _state(self, run_id: str) -> RunState:
        count = partial(
            get_current_context()["ti"].get_dr_count, dag_id=self._dag_id, run_ids=[run_id]
        )
        if not count():
            return RunState.DELETED
        return RunState.FINISHED if count(states=["success", "failed"]) else RunState.ACTIVE
