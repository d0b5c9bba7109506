"""From the events in a file back along what was made of what: from a model to the raw files."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from include.contracts.errors import DataError
from include.contracts.frozen import Frozen
from include.lineage.datasets import BATCHES, MLFLOW
from include.lineage.events import DAG_RUN

Json = dict[str, Any]
FIRST = ".commit"
"""How the name of the job ends that reads raw files: what it reads, no step of ours has made."""


class Part(Frozen):
    """A dataset in one version, or one batch of a table in the version in which that batch was written.

    Attributes:
        version: SHA-256 of a file, Delta version of a table, registry version of a model.
        digest: Of a table's batch: digest of what it was made of.
        size: Bytes.
    """

    namespace: str
    name: str
    version: str
    batch: str = ""
    digest: str = ""
    rows: int | None = None
    size: int | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        """What names it, whoever reads or writes it."""
        return self.namespace, self.name, self.version


class Step(Frozen):
    """A run of a step, and the runs that made what it read.

    Attributes:
        job: Such as `flights_retrain.train`.
        run: Its OpenLineage run id.
        request: Airflow's id of the DAG run; empty where none ran it.
        wrote: What of its outputs is on the walk.
        files: Raw files that it read.
        gaps: What it read and no event says who made.
        made_by: The runs before it.
    """

    job: str
    run: str
    request: str
    wrote: tuple[Part, ...]
    files: tuple[Part, ...] = ()
    gaps: tuple[Part, ...] = ()
    made_by: tuple["Step", ...] = ()

    def steps(self) -> Iterator["Step"]:
        """This run and all before it, each once for every way that leads to it."""
        yield self
        for before in self.made_by:
            yield from before.steps()


def events(path: Path) -> Iterator[Json]:
    """The events of runs that ended well.

    Raises:
        DataError: If the file is missing or a line is no event.
    """
    if not path.is_file():
        cause = f"there are no events in {path}"
        raise DataError("lineage", cause, "run a step of the use case; EVERGREEN_LINEAGE says where its events go")
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                event = json.loads(line)
                complete = event["eventType"] == "COMPLETE"
            except (ValueError, KeyError, TypeError) as error:
                cause = f"line {number} of {path} is no event: {error}"
                raise DataError("lineage", cause, "take that line out; look for another writer to the file") from error
            if complete:
                yield event


def walk(found: Iterable[Json], use_case: str, version: int) -> Step:
    """The walk from a version of the model in the registry to the raw files.

    Args:
        found: Events, oldest first.
        use_case: Name of the use case.
        version: Version of its model.

    Raises:
        DataError: If no event says how that version came about.
    """
    makers: dict[tuple[str, str, str], Json] = {}
    for event in found:
        for part in (part for output in event["outputs"] for part in parts(output)):
            makers.setdefault(part.key, event)  # whoever comes later has found it done
    start = Part(namespace=MLFLOW, name=use_case, version=str(version))
    if start.key not in makers:
        known = sorted(int(key[2]) for key in makers if key[:2] == start.key[:2])
        cause = f"no event says how {use_case} v{version} came about; known: {', '.join(map(str, known)) or 'none'}"
        raise DataError("lineage", cause, "name a known version; models from before the events have none")
    return _step(makers, makers[start.key], (start,), {})


def parts(dataset: Json) -> list[Part]:
    """What an input or an output of an event means: one part, or one for each batch of a table."""
    facets = dataset["facets"]
    named = {"namespace": dataset["namespace"], "name": dataset["name"]}
    if BATCHES in facets:
        return [Part(**named, **{**batch, "version": str(batch["version"])}) for batch in facets[BATCHES]["batches"]]
    counted = {**dataset.get("inputFacets", {}), **dataset.get("outputFacets", {})}
    numbers: Json = next((f for name, f in counted.items() if name.endswith("Statistics")), {})
    version = facets["version"]["datasetVersion"] if "version" in facets else ""
    return [Part(**named, version=version, rows=numbers.get("rowCount"), size=numbers.get("size"))]


def _step(
    makers: dict[tuple[str, str, str], Json], event: Json, wrote: tuple[Part, ...], known: dict[str, Step]
) -> Step:
    """The run of `event` with all before it; `known` are the runs that the walk has met."""
    run = event["run"]["runId"]
    if run in known and known[run].wrote == wrote:
        return known[run]
    read = [part for dataset in event["inputs"] for part in parts(dataset)]
    wanted: dict[str, list[Part]] = {}
    for part in read:
        if part.key in makers:
            wanted.setdefault(makers[part.key]["run"]["runId"], []).append(part)
    before = {makers[part.key]["run"]["runId"]: makers[part.key] for part in read if part.key in makers}
    strangers = tuple(part for part in read if part.key not in makers)
    first = event["job"]["name"].endswith(FIRST)
    known[run] = Step(
        job=event["job"]["name"],
        run=run,
        request=_request(event),
        wrote=wrote,
        files=strangers if first else (),
        gaps=() if first else strangers,
        made_by=tuple(_step(makers, maker, tuple(wanted[run]), known) for run, maker in before.items()),
    )
    return known[run]


def _request(event: Json) -> str:
    tags = event["run"]["facets"].get("tags", {}).get("tags", [])
    return next((str(tag["value"]) for tag in tags if tag["key"] == DAG_RUN), "")
