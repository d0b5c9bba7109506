"""What the OpenLineage specification 2-0-2 asks of a RunEvent, and its facets of the events that we send.

Written from the specification, for what we emit: no package on PyPI ships its JSON schema, and the client's classes
check neither required fields nor formats. A facet that is not listed here is refused.
"""

from typing import Any

from jsonschema import Draft202012Validator

Json = dict[str, Any]

SPEC = r"^https://openlineage\.io/spec/"
TEXT: Json = {"type": "string", "minLength": 1}
COUNT: Json = {"type": "integer", "minimum": 0}
URI: Json = {"type": "string", "pattern": r"^[a-z][a-z0-9+.-]*:\S+$"}
UUID: Json = {"type": "string", "pattern": r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"}
TIME: Json = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$"}


def thing(required: Json, optional: Json | None = None) -> Json:
    """An object with these fields and no others."""
    known = {**required, **(optional or {})}
    return {"type": "object", "properties": known, "required": list(required), "additionalProperties": False}


def facet(url: str, required: Json, optional: Json | None = None) -> Json:
    """A facet: its own fields beside those of the base facet, and the version of its schema."""
    base = {"_producer": URI, "_schemaURL": {"type": "string", "pattern": SPEC + url + "$"}}
    return thing({**base, **required}, optional)


def listed(item: Json) -> Json:
    """An array that is not empty."""
    return {"type": "array", "items": item, "minItems": 1}


def statistics(kind: str) -> Json:
    """Counts of what was read or written."""
    name = f"{kind}Statistics{kind}DatasetFacet"
    return facet(
        rf"facets/1-0-\d/{name}\.json#/\$defs/{name}", {}, {"rowCount": COUNT, "size": COUNT, "fileCount": COUNT}
    )


def of(name: str) -> str:
    """Pattern of the URL of a facet's schema."""
    return rf"facets/\d-\d-\d/{name}\.json#/\$defs/{name}"


NAMED = {"namespace": TEXT, "name": TEXT}
BATCH = thing({"batch": TEXT, "version": COUNT, "digest": TEXT, "rows": COUNT})
DATASET_FACETS = thing(
    {},
    {
        "version": facet(of("DatasetVersionDatasetFacet"), {"datasetVersion": TEXT}),
        "datasetType": facet(of("DatasetTypeDatasetFacet"), {"datasetType": {"enum": ["FILE", "TABLE", "MODEL"]}}),
        "schema": facet(of("SchemaDatasetFacet"), {"fields": listed(thing({"name": TEXT, "fields": {"const": []}}))}),
        "evergreen_batches": facet(r"2-0-2/OpenLineage\.json#/\$defs/DatasetFacet", {"batches": listed(BATCH)}),
    },
)
RUN_FACETS = thing(
    {"nominalTime": facet(of("NominalTimeRunFacet"), {"nominalStartTime": TIME})},
    {
        "parent": facet(
            of("ParentRunFacet"),
            {
                "run": thing({"runId": UUID}, {"facets": {"const": {}}}),
                "job": thing(NAMED, {"facets": {"const": {}}}),
            },
        ),
        "tags": facet(of("TagsRunFacet"), {"tags": listed(thing({"key": TEXT, "value": TEXT}, {"source": TEXT}))}),
        "errorMessage": facet(of("ErrorMessageRunFacet"), {"message": TEXT, "programmingLanguage": TEXT}),
    },
)
JOB_TYPE = {"processingType": {"const": "BATCH"}, "integration": TEXT}
JOB_FACETS = thing({"jobType": facet(of("JobTypeJobFacet"), JOB_TYPE, {"jobType": TEXT})})
COUNTED = {side: thing({}, {f"{side.lower()}Statistics": statistics(side)}) for side in ("Input", "Output")}
READ = thing({**NAMED, "facets": DATASET_FACETS, "inputFacets": COUNTED["Input"]})
WRITTEN = thing({**NAMED, "facets": DATASET_FACETS, "outputFacets": COUNTED["Output"]})
RUN_EVENT: Json = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    **thing(
        {
            "eventType": {"enum": ["START", "RUNNING", "COMPLETE", "ABORT", "FAIL", "OTHER"]},
            "eventTime": TIME,
            "producer": URI,
            "schemaURL": {"const": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"},
            "run": thing({"runId": UUID, "facets": RUN_FACETS}),
            "job": thing({**NAMED, "facets": JOB_FACETS}),
            "inputs": {"type": "array", "items": READ},
            "outputs": {"type": "array", "items": WRITTEN},
        }
    ),
}
Draft202012Validator.check_schema(RUN_EVENT)
VALIDATOR = Draft202012Validator(RUN_EVENT)


def problems(event: Json) -> list[str]:
    """What is wrong with an event; inputs and outputs are sets, which a schema cannot say of names."""
    found = [f"{error.json_path}: {error.message}" for error in VALIDATOR.iter_errors(event)]
    for side in ("inputs", "outputs"):
        names = [(dataset["namespace"], dataset["name"]) for dataset in event.get(side, [])]
        found += [f"{side}: {name} is there twice" for name in {name for name in names if names.count(name) > 1}]
    return found


def unended(events: list[Json]) -> set[str]:
    """Runs that began and of which no end is told."""
    ids = {kind: {e["run"]["runId"] for e in events if (e["eventType"] == "START") == kind} for kind in (True, False)}
    return ids[True] ^ ids[False]
