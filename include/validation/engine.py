"""Great Expectations as validation uses it: quiet, in memory, one table after another."""

import copy
import logging
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from include.contracts.data import ExpectationOutcome

if TYPE_CHECKING:
    import pandas as pd

SHOWN = 10
"""Offending rows that a report shows of each expectation."""

NOT_EVALUATED = "not evaluated: "
WIDTH = 60
OTHER_COLUMNS = 6


def quiet() -> None:
    """Keep Great Expectations from greeting with 170 lines of INFO; to be called before its first import."""
    logging.getLogger("great_expectations").setLevel(logging.WARNING)


class Engine:
    """An ephemeral Great Expectations context."""

    def __init__(self) -> None:
        quiet()
        import great_expectations as gx
        from great_expectations.data_context.types.base import (
            DataContextConfig,
            InMemoryStoreBackendDefaults,
            ProgressBarsConfig,
        )

        config = DataContextConfig(  # the stock ephemeral context leaves a folder in /tmp at each start
            store_backend_defaults=InMemoryStoreBackendDefaults(init_temp_docs_sites=False),
            progress_bars=ProgressBarsConfig(globally=False),
        )
        self._suite = gx.ExpectationSuite
        self._source = gx.get_context(mode="ephemeral", project_config=config).data_sources.add_pandas("tables")

    def evaluate(self, table: str, frame: "pd.DataFrame", expectations: Iterable[Any]) -> Iterator[ExpectationOutcome]:
        """Evaluate `expectations` on `frame`.

        Returns:
            One outcome for each; `observed` begins with `NOT_EVALUATED` where the evaluation itself failed.
        """
        asset = self._source.add_dataframe_asset(table)
        batch = asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": frame})
        suite = self._suite(name=table, expectations=copy.deepcopy(list(expectations)))
        for result in batch.validate(suite, result_format={"result_format": "SUMMARY"}).results:
            offending: tuple[str, ...] = ()
            if not result.success and not _exception(result):
                config = result.expectation_config.to_domain_obj()
                config.id = None
                complete = batch.validate(config, result_format={"result_format": "COMPLETE"})
                offending = _rows(frame, complete)
            yield _outcome(table, result, offending)


def _outcome(table: str, result: Any, offending: tuple[str, ...]) -> ExpectationOutcome:
    config = result.expectation_config
    columns = _columns(config.kwargs)
    return ExpectationOutcome(
        table=table,
        expectation=f"{config.type}({_bounds(config.kwargs)})",
        column=", ".join(columns) or None,
        success=bool(result.success),
        observed=_observed(result),
        offending=offending,
    )


def _columns(kwargs: dict[str, Any]) -> list[str]:
    single = [kwargs[name] for name in ("column", "column_A", "column_B") if name in kwargs]
    return [str(name) for name in [*single, *kwargs.get("column_list", ())]]


def _bounds(kwargs: dict[str, Any]) -> str:
    hidden = {"column", "column_A", "column_B", "column_list", "batch_id"}
    shown = {name: value for name, value in kwargs.items() if name not in hidden and value not in (None, False)}
    return ", ".join(f"{name}={_short(value)}" for name, value in shown.items() if (name, value) != ("mostly", 1))


def _observed(result: Any) -> str:
    if message := _exception(result):
        return f"{NOT_EVALUATED}{message}"
    found = result.result
    if found.get("unexpected_count"):
        count, total = found["unexpected_count"], found["element_count"]
        return f"{count:,} of {total:,} rows ({count / max(total, 1):.2%}) do not meet it"
    if "observed_value" in found:
        return f"observed {_short(found['observed_value'])}"
    return f"{found.get('element_count', 0):,} rows"


def _exception(result: Any) -> str:
    """The first message where an evaluation raised; GX nests them by metric."""
    info = result.exception_info or {}
    for each in [info, *(value for value in info.values() if isinstance(value, dict))]:
        if each.get("raised_exception"):
            return str(each.get("exception_message") or "it raised")[:300]
    return ""


def _rows(frame: "pd.DataFrame", result: Any) -> tuple[str, ...]:
    where = result.result.get("unexpected_index_list") or []
    first = [name for name in _columns(result.expectation_config.kwargs) if name in frame.columns]
    shown = [*first, *[name for name in frame.columns if name not in first][:OTHER_COLUMNS]]
    return tuple(
        f"row {index}: {', '.join(f'{name}={_short(frame.at[index, name])}' for name in shown)}"
        for index in where[:SHOWN]
    )


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= WIDTH else f"{text[:WIDTH]}…"
