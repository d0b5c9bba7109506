"""Hands the metrics to prometheus_client, at each scrape anew."""

import threading
from collections.abc import Iterable
from datetime import UTC, datetime

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from include.alerts.alertmanager import NAME as ALERTMANAGER
from include.ledger import Ledger
from include.metrics.definitions import METRICS, Metric
from include.metrics.reading import Reading
from include.use_cases import catalogue

LABELS = {metric.name: metric.labels for metric in METRICS}


class LedgerCollector(Collector):
    """Computes every metric from the ledger.

    Args:
        ledger: Where to read; an error there fails the scrape, which Prometheus shows as `up == 0`.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._reading = Reading(ledger)
        self._lock = threading.Lock()

    def collect(self) -> Iterable[Family]:
        """All metrics of all use cases that are declared or have a past; those without a value are left out."""
        with self._lock:
            self._reading.catch_up()
            families = {metric.name: _family(metric) for metric in METRICS}
            families["evergreen_ledger_position"].add_metric([], self._reading.position)
            found, now = catalogue(), datetime.now(UTC)
            for name in sorted({*found.use_cases, *found.broken, *self._reading.lives} - {ALERTMANAGER}):
                families["evergreen_declaration_broken"].add_metric([name], name in found.broken)
                for sample, labels, value in self._reading.lives[name].samples(now, found.use_cases.get(name)):
                    families[sample].add_metric([name, *(labels[label] for label in LABELS[sample])], value)
        return [family for family in families.values() if family.samples]


def _family(metric: Metric) -> CounterMetricFamily | GaugeMetricFamily:
    labels = () if metric.whole else ("use_case", *metric.labels)
    if metric.kind == "counter":
        return CounterMetricFamily(metric.name, metric.meaning, labels=labels)
    return GaugeMetricFamily(metric.name, metric.meaning, labels=labels)
