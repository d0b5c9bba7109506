"""One panel: what is asked, in which unit, what it means, and how the SDK draws it."""

from dataclasses import dataclass
from string import ascii_uppercase

from grafana_foundation_sdk.builders import bargauge, common, stat, timeseries
from grafana_foundation_sdk.builders.dashboard import ThresholdsConfig
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.models.common import BigValueColorMode, LegendDisplayMode, LegendPlacement, VizOrientation
from grafana_foundation_sdk.models.dashboard import DataSourceRef, Threshold, ThresholdsMode

SOURCE = DataSourceRef(type_val="prometheus", uid="evergreen-prometheus")
SELECTORS = {"{OF}": '{use_case=~"$use_case"}', "{DAG}": '{dag_id=~"${use_case}_.*"}'}
"""What a query's short form stands for: the chosen use cases, and their DAGs."""

Panel = bargauge.Panel | stat.Panel | timeseries.Panel


@dataclass(frozen=True)
class Chart:
    """One panel.

    Attributes:
        queries: PromQL by legend; `{OF}` and `{DAG}` are selectors.
        unit: Grafana's name of the unit.
        kind: `stat` shows the newest value, `bars` compares, `lines` shows time.
        limits: From the first on it is orange, from the second on red; a single one is red; falling ones are bad below.
        width: Of 24 columns.
    """

    title: str
    meaning: str
    queries: dict[str, str]
    unit: str = "none"
    kind: str = "lines"
    limits: tuple[float, ...] = ()
    width: int = 8

    def panel(self) -> Panel:
        """The SDK's panel."""
        made = self._kind().title(self.title).description(self.meaning).datasource(SOURCE).unit(self.unit)
        height = 5 if self.kind == "stat" else 8
        made = made.span(self.width).height(height).thresholds(thresholds(self.limits))
        for letter, (legend, short) in zip(ascii_uppercase, self.queries.items(), strict=False):
            asked = Dataquery().expr(query(short)).legend_format(legend).ref_id(letter)  # without, only one is asked
            made = made.with_target(asked.range() if self.kind == "lines" else asked.instant())
        return made

    def _kind(self) -> Panel:
        newest = common.ReduceDataOptions().calcs(["lastNotNull"])
        if self.kind == "stat":
            return stat.Panel().color_mode(BigValueColorMode.VALUE).reduce_options(newest)
        if self.kind == "bars":
            return bargauge.Panel().orientation(VizOrientation.HORIZONTAL).reduce_options(newest)
        legend = common.VizLegendOptions().display_mode(LegendDisplayMode.LIST).show_legend(True)
        return timeseries.Panel().legend(legend.placement(LegendPlacement.BOTTOM))


def query(short: str) -> str:
    """A query with its selectors written out."""
    for name, selector in SELECTORS.items():
        short = short.replace(name, selector)
    return short


def quantile(name: str) -> str:
    """95th percentile, by DAG, of one of Airflow's durations."""
    return f"histogram_quantile(0.95, sum by (le, dag_id) (rate({name}_bucket{{DAG}}[$__rate_interval])))"


def thresholds(limits: tuple[float, ...]) -> ThresholdsConfig:
    """Colours from `limits` on."""
    colours = ("green", "red") if len(limits) == 1 else ("green", "orange", "red")[: len(limits) + 1]
    if limits != tuple(sorted(limits)):
        limits, colours = limits[::-1], colours[::-1]
    steps = [Threshold(None, colours[0]), *map(Threshold, limits, colours[1:])]
    return ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)
