"""Looks at every file of a use case and says what is there, or what is wrong and how to mend it."""

import importlib.util
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

from include.contracts.errors import PolicyError
from include.contracts.use_case import UseCase
from include.use_cases.catalogue import declaration, load
from include.use_cases.explain import DeclarationError, explain

PROJECT = Path(__file__).resolve().parent.parent.parent
FUNCTIONS: dict[str, dict[str, tuple[str, ...]]] = {
    "source": {"batches": ("landing",), "read": ("files",)},
    "features": {"build": ("tables", "as_of")},
    "expectations": {"raw": ("starts", "ends"), "features": ("starts", "ends")},
}


@dataclass
class Report:
    """What was found in one use case.

    Attributes:
        lines: File and what it offers.
        errors: One for each mistake.
    """

    name: str
    lines: list[tuple[str, str]] = field(default_factory=list)
    errors: list[PolicyError] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.errors

    def text(self) -> str:
        """The report as people read it."""
        lines = [self.name, *(f"  ✓ {file:<24} {offer}" for file, offer in self.lines)]
        lines += [f"  ✗ {text}" for text in ("\n    ".join(str(error).splitlines()) for error in self.errors)]
        return "\n".join([*lines, f"  {'sound' if self.sound else f'{len(self.errors)} to mend'}"])


def check(name: str) -> Report:
    """Import every file of the use case `name` and hold them against each other."""
    report = Report(name)
    try:
        use_case = declaration(name)
    except PolicyError as error:
        report.errors.append(error)
        return report
    task = f"{use_case.task.kind} of {use_case.task.label}"
    report.lines.append(("use_case.py", f"{task}, {use_case.cadence}, by {', '.join(use_case.entity_keys)}"))
    for module, look in (("source", _source), ("features", _features), ("expectations", _expectations)):
        _attempt(report, f"{module}.py", lambda module=module, look=look: look(use_case, _module(name, module)))  # type: ignore[misc]
    _attempt(report, f"feature_repo/{name}.py", lambda: _feature_repo(use_case))
    return report


def _attempt(report: Report, file: str, look: Callable[[], str]) -> None:
    try:
        report.lines.append((file, look()))
    except PolicyError as error:
        report.errors.append(error)


def _module(name: str, module: str) -> ModuleType:
    """The module, with every function that the stages will call."""
    found = load(name, module)
    for function, parameters in FUNCTIONS[module].items():
        signature = f"def {function}({', '.join(parameters)})"
        if not inspect.isfunction(getattr(found, function, None)):
            raise DeclarationError.of(name, module, function, f"got nothing of that name, expected {signature}")
        given = tuple(inspect.signature(getattr(found, function)).parameters)
        if given != parameters:
            cause = f"got def {function}({', '.join(given)}), expected {signature}"
            raise DeclarationError.of(name, module, function, cause)
    return found


def _source(_: UseCase, __: ModuleType) -> str:
    return ", ".join(FUNCTIONS["source"])


def _features(use_case: UseCase, module: ModuleType) -> str:
    lookback = getattr(module, "LOOKBACK", None)
    if not isinstance(lookback, timedelta) or lookback < timedelta(0):
        cause = f"got {lookback!r}, expected a timedelta, such as LOOKBACK = timedelta(days=28)"
        raise DeclarationError.of(use_case.name, "features", "LOOKBACK", cause)
    return f"build, looks back {lookback / timedelta(days=1):g} days"


def _expectations(use_case: UseCase, module: ModuleType) -> str:
    starts = datetime(2024, 1, 1, tzinfo=UTC)
    raw = _called(use_case, module.raw, starts)
    features = _called(use_case, module.features, starts)
    if "spine" not in features:
        cause = f"got expectations on {', '.join(features) or 'nothing'}, expected some on spine too"
        raise DeclarationError.of(use_case.name, "expectations", "features", cause)
    for function, tables in (("raw", raw), ("features", features)):
        for table in _without_minimum(tables):
            cause = f'no row-count minimum on "{table}"; an empty table passes everything else: add {MINIMUM}'
            raise DeclarationError.of(use_case.name, "expectations", f"{function}()", cause)
    return f"raw: {_counted(raw)}; features: {_counted(features)}"


MINIMUM = "gxe.ExpectTableRowCountToBeBetween(min_value=...)"


def _called(use_case: UseCase, function: Any, starts: datetime) -> dict[str, list[Any]]:
    try:
        found = function(starts, starts + timedelta(days=7))
    except Exception as error:  # user land: any mistake there stays one error here
        raise explain(error, use_case.name, "expectations") from error
    if not isinstance(found, dict) or not found or not all(isinstance(each, list) and each for each in found.values()):
        cause = f"got {type(found).__name__}, expected a list of expectations for each table, none of them empty"
        raise DeclarationError.of(use_case.name, "expectations", f"{function.__name__}()", cause)
    return found


def _without_minimum(tables: dict[str, list[Any]]) -> Iterator[str]:
    for table, expectations in tables.items():
        if not any(
            type(each).__name__ == "ExpectTableRowCountToBeBetween" and (each.min_value or 0) > 0
            for each in expectations
        ):
            yield table


def _counted(tables: dict[str, list[Any]]) -> str:
    return ", ".join(f"{len(expectations)} on {table}" for table, expectations in tables.items())


def _feature_repo(use_case: UseCase) -> str:
    module = _feature_module(use_case)
    services = [each for each in vars(module).values() if type(each).__name__ == "FeatureService"]
    service = next((each for each in services if each.name == use_case.feature_service), None)
    if service is None:
        known = ", ".join(each.name for each in services) or "none"
        raise _mistake(use_case, "FeatureService", f'no service "{use_case.feature_service}"; there is: {known}')
    views = [each for each in vars(module).values() if type(each).__name__ == "FeatureView"]
    keys = {each.name: each.join_key for each in vars(module).values() if type(each).__name__ == "Entity"}
    features = [feature.name for each in service.feature_view_projections for feature in each.features]
    for view in views:
        _look_at_view(use_case, view, {keys[name] for name in view.entities if name in keys})
    _look_at_inputs(use_case, features)
    return f"{service.name}: {_named(features)}"


def _named(features: list[str]) -> str:
    more = f" and {len(features) - 4} more" if len(features) > 5 else ""
    return f"features {', '.join(features[:4] if more else features)}{more}"


def _feature_module(use_case: UseCase) -> ModuleType:
    path = PROJECT / "feature_repo" / f"{use_case.name}.py"
    spec = importlib.util.spec_from_file_location(f"feature_repo_of_{use_case.name}", path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise _mistake(use_case, "the file", "no such file, expected entities, views and a FeatureService")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # user land: any mistake there stays one error here
        raise _mistake(use_case, "import", f"{type(error).__name__}: {error}") from error
    return module


def _look_at_view(use_case: UseCase, view: Any, join_keys: set[str]) -> None:
    foreign = join_keys - set(use_case.entity_keys)
    if foreign:
        cause = f"join keys {', '.join(sorted(foreign))} are not in UseCase.entity_keys {use_case.entity_keys}"
        raise _mistake(use_case, view.name, cause)
    expected = f"{use_case.name}/features/{view.name}"
    path = getattr(view.batch_source, "path", "")
    if path != expected:
        raise _mistake(use_case, view.name, f'the source\'s path is "{path}", expected "{expected}"')
    if view.batch_source.timestamp_field != "event_timestamp":
        cause = f'timestamp_field is "{view.batch_source.timestamp_field}", expected "event_timestamp"'
        raise _mistake(use_case, view.name, cause)


def _look_at_inputs(use_case: UseCase, features: list[str]) -> None:
    inputs = [*features, *use_case.request_features]
    reserved = {use_case.task.label, use_case.event_time, "label_time", "event_timestamp", "batch"}
    twice = sorted({name for name in inputs if inputs.count(name) > 1})
    if twice or reserved & set(inputs):
        named = ", ".join([*twice, *sorted(reserved & set(inputs))])
        raise _mistake(use_case, "features", f"{named}: an input's name is its own, and neither the label nor a time")
    unknown = sorted(set(use_case.categorical) - set(inputs))
    if unknown:
        cause = f"got {', '.join(unknown)}, which are not inputs; inputs are {', '.join(inputs)}"
        raise DeclarationError.of(use_case.name, "use_case", "UseCase.categorical", cause)


def _mistake(use_case: UseCase, where: str, cause: str) -> DeclarationError:
    found = DeclarationError.of(use_case.name, "use_case", where, cause)
    return DeclarationError(f"feature_repo/{use_case.name}.py: {where}", found.cause, found.next_step)
