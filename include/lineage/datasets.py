"""Datasets under the names that OpenLineage's naming rules give them, each with the version that is meant.

Files and tables are named by where they are. A table of the lake is one dataset, whatever its batches: its version is
the Delta version, and a facet of ours says which batches are meant and in which version each was written.
"""

from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

import attr
from openlineage.client.event_v2 import InputDataset, OutputDataset
from openlineage.client.facet_v2 import (
    DatasetFacet,
    dataset_type_dataset,
    dataset_version_dataset,
    input_statistics_input_dataset,
    output_statistics_output_dataset,
    schema_dataset,
)
from openlineage.client.naming.dataset import S3, LocalFileSystem

from include.contracts.data import TableVersion, TrainingSet

PRODUCER = "urn:x-evergreen:lineage"
"""Who made an event, as the specification wants it: a URI."""
MLFLOW = "mlflow"
"""Namespace of models; MLflow has no naming rule yet, and its address is another one in a pod."""
BATCHES = "evergreen_batches"
Facets = dict[str, DatasetFacet]


@attr.define
class Batches(DatasetFacet):
    """The batches of a table that are meant.

    Attributes:
        batches: For each its key `batch`, the table `version` in which it was written, its `digest` and its `rows`.
    """

    batches: list[dict[str, str | int]]


@attr.define
class Named:
    """A dataset before it is known whether it is read or written.

    Attributes:
        rows: Rows of what is meant; None where they were not counted.
        size: Bytes.
    """

    namespace: str
    name: str
    facets: Facets
    rows: int | None = None
    size: int | None = None

    def read(self) -> InputDataset:
        """As an input."""
        counted = input_statistics_input_dataset.InputStatisticsInputDatasetFacet(
            rowCount=self.rows, size=self.size, producer=PRODUCER
        )
        return InputDataset(self.namespace, self.name, facets=self.facets, inputFacets={"inputStatistics": counted})

    def written(self) -> OutputDataset:
        """As an output."""
        counted = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
            rowCount=self.rows, size=self.size, producer=PRODUCER
        )
        return OutputDataset(self.namespace, self.name, facets=self.facets, outputFacets={"outputStatistics": counted})


def place(uri: str) -> tuple[str, str]:
    """Namespace and name of a local path, an `s3://` URI or an online store; of an address, host and port alone."""
    parts = urlsplit(uri)
    if parts.scheme == "s3":
        bucket = S3(parts.netloc, parts.path.lstrip("/"))
        return bucket.get_namespace(), bucket.get_name()
    if parts.scheme:
        return f"{parts.scheme}://{parts.hostname}:{parts.port}", parts.path.lstrip("/") or "0"
    local = LocalFileSystem(str(Path(uri).absolute()))
    return local.get_namespace(), local.get_name()


def file(uri: str, digest: str, size: int | None = None) -> Named:
    """A file; its version is the SHA-256 of its bytes."""
    return Named(*place(uri), {"version": _version(digest), "datasetType": _type("FILE")}, size=size)


def training_set(given: TrainingSet) -> Named:
    """A training set: a file whose columns and rows are known without opening it."""
    names = dict.fromkeys([given.event_time, given.label, *given.features])
    fields = [schema_dataset.SchemaDatasetFacetFields(name=name) for name in names]
    found = file(given.uri, given.digest)
    found.facets["schema"] = schema_dataset.SchemaDatasetFacet(fields=fields, producer=PRODUCER)
    found.rows = given.rows
    return found


def table(parts: Iterable[tuple[str, TableVersion]]) -> Named:
    """A table of the lake.

    Args:
        parts: The batches that are meant, and the version in which each was written.
    """
    meant = sorted(parts, key=lambda part: part[0])
    newest = max(version.version for _, version in meant)
    facts: Iterable[dict[str, str | int]] = (
        {"batch": batch, "version": v.version, "digest": v.digest, "rows": v.rows} for batch, v in meant
    )
    facets: Facets = {
        "version": _version(str(newest)),
        "datasetType": _type("TABLE"),
        BATCHES: Batches(batches=list(facts), producer=PRODUCER),
    }
    return Named(*place(meant[0][1].uri), facets, rows=sum(version.rows for _, version in meant))


def model(use_case: str, version: int) -> Named:
    """A version in MLflow's registry."""
    return Named(MLFLOW, use_case, {"version": _version(str(version)), "datasetType": _type("MODEL")})


def logged_model(use_case: str, model_id: str, digest: str) -> Named:
    """A model as training logged it in MLflow, not yet a version of anything."""
    return Named(MLFLOW, f"{use_case}/{model_id}", {"version": _version(digest), "datasetType": _type("MODEL")})


def online_store(uri: str, use_case: str, rows: int) -> Named:
    """The online store of a use case; it holds what was written last and has no versions."""
    namespace, name = place(uri)
    return Named(namespace, f"{name}/{use_case}", {"datasetType": _type("TABLE")}, rows=rows)


def _version(text: str) -> DatasetFacet:
    return dataset_version_dataset.DatasetVersionDatasetFacet(datasetVersion=text, producer=PRODUCER)


def _type(text: str) -> DatasetFacet:
    return dataset_type_dataset.DatasetTypeDatasetFacet(datasetType=text, producer=PRODUCER)
