"""OpenLineage: the datasets that ``publish`` and ``load`` read and wrote, with columns and row counts.

Airflow's provider of OpenLineage asks a task for them after its end. Without the provider nothing here runs but
:func:`attach`, which sets an attribute.

Names follow https://openlineage.io/docs/spec/naming. A published table is ``<dag_id>/<table>`` in the bucket
rather than its file, which is another one in each run: a dataset of lineage is the same in each run. That is
``version``. Files that were read are named by their folder, without its parts such as ``date=2026-03-01``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from fanfold.airflow import settings
from fanfold.model import Plan
from fanfold.workspace.files import read_json, read_jsonl
from fanfold.workspace.paths import safe_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from airflow.sdk import Asset

    from fanfold.model import Manifest
    from fanfold.workspace.paths import Workspace


@dataclass(frozen=True, slots=True)
class Dataset:
    """A dataset of lineage.

    Attributes:
        namespace: The system that has it, such as ``s3://bucket``.
        name: Its name there.
        file: A Parquet file with its columns, if known.
        rows: How many were written.
        bytes: Size of the file that was written.
        version: Prefix of the run in the bucket.
    """

    namespace: str
    name: str
    file: Path | None = None
    rows: int | None = None
    bytes: int | None = None
    version: str = ""


def attach(
    task: Any, inputs: Callable[[], Iterable[Dataset]], outputs: Callable[[], Iterable[Dataset]]
) -> None:
    """Let OpenLineage ask the running task for what it has read and written."""

    def lineage(_task_instance: Any) -> Any:
        from airflow.providers.openlineage.extractors import OperatorLineage
        from openlineage.client import event_v2

        return OperatorLineage(
            inputs=[
                event_v2.InputDataset(each.namespace, each.name, facets=_facets(each))
                for each in inputs()
            ],
            outputs=[
                event_v2.OutputDataset(
                    each.namespace,
                    each.name,
                    facets=_facets(each),
                    outputFacets={"outputStatistics": _statistics(each)},
                )
                for each in outputs()
            ],
        )

    task.get_openlineage_facets_on_complete = lineage


def _statistics(dataset: Dataset) -> Any:
    from openlineage.client.facet_v2 import output_statistics_output_dataset as facets

    return facets.OutputStatisticsOutputDatasetFacet(rowCount=dataset.rows, size=dataset.bytes)


def _facets(dataset: Dataset) -> dict[str, Any]:
    from openlineage.client.facet_v2 import dataset_version_dataset, schema_dataset

    found: dict[str, Any] = {}
    if dataset.version:
        found["version"] = dataset_version_dataset.DatasetVersionDatasetFacet(dataset.version)
    if dataset.file:
        import pyarrow.parquet as pq

        fields = [
            schema_dataset.SchemaDatasetFacetFields(name=field.name, type=str(field.type))
            for field in pq.read_schema(dataset.file)
        ]
        found["schema"] = schema_dataset.SchemaDatasetFacet(fields=fields)
    return found


def read(workspace: Workspace, items_uri: str) -> Iterable[Dataset]:
    """Yield what a run has read: where its items came from, and the API or the files' folders."""
    plan = Plan.from_json(read_json(workspace.plan))
    bucket = f"s3://{settings.bucket_name()}"
    if items_uri.startswith("dataset://"):
        dag_id, *names = items_uri.removeprefix("dataset://").split("/")
        yield Dataset(bucket, f"{safe_name(dag_id)}/{names[0]}" if names[1:] else safe_name(dag_id))
    if plan.places and plan.places[0].startswith(("s3://", "file://")):
        for namespace, name in sorted({_folder(key) for key in read_jsonl(workspace.listed)}):
            yield Dataset(namespace, name)
    else:
        for place in plan.places:
            yield Dataset(place, plan.pipeline)


def _folder(uri: str) -> tuple[str, str]:
    at = urlsplit(uri)
    *folder, file = at.path.strip("/").split("/")
    names = [name for name in folder if "=" not in name]
    if any(name.startswith("run=") for name in folder):  # a published table
        names.append(file.partition(".")[0])
    path = "/".join(names)
    return (f"s3://{at.netloc}", path or "/") if at.scheme == "s3" else ("file", f"/{path}")


def published(workspace: Workspace, manifest: Manifest, prefix: str) -> Iterable[Dataset]:
    """Yield the tables of a run in the bucket."""
    for file in manifest.files:
        if file.table and file.format == "parquet":
            yield Dataset(
                f"s3://{settings.bucket_name()}",
                f"{safe_name(manifest.dag_id)}/{file.table}",
                workspace.dataset / file.key,
                file.rows,
                file.bytes,
                prefix,
            )


def loaded(
    sources: Iterable[Dataset], tables: Mapping[str, tuple[Asset, int]]
) -> Iterable[Dataset]:
    """Yield the tables of a database.

    Args:
        sources: The tables of the run in the bucket.
        tables: By their names, into which table each was loaded, and how many rows were written.
    """
    for source in sources:
        asset, rows = tables[source.name.rpartition("/")[2]]
        at = urlsplit(asset.uri)
        if at.scheme == "file":
            yield Dataset("file", f"{at.path}/{parse_qs(at.query)['table'][0]}", source.file, rows)
        else:
            name = at.path.removeprefix("/").replace("/", ".")
            yield Dataset(f"postgres://{at.netloc}", name, source.file, rows)
