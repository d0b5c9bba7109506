"""What waits for something to become true."""

from evergreen.sensors.drift import DriftSensor

__all__ = ["DriftSensor"]
