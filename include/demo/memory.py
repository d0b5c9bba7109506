"""Highest memory of everything that the demo started, sampled beside it."""

import threading

import psutil

SAMPLE_SECONDS = 5.0


class MemoryWatch:
    """Samples the proportional set size (shared pages counted once) of this process and all below it."""

    def __init__(self) -> None:
        self.peak_bytes = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "MemoryWatch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        me = psutil.Process()
        while not self._stop.wait(SAMPLE_SECONDS):
            family = [me, *me.children(recursive=True)]
            self.peak_bytes = max(self.peak_bytes, sum(map(_proportional, family)))


def _proportional(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
        return 0  # it ended between the listing and the look
