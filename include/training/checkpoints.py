"""Checkpoints: what an interrupted attempt has grown, kept by digest, so that the next one goes on from there.

Only where the result is the same bit for bit: rows and columns are not sampled (a resumed XGBoost draws otherwise),
and one process grows the trees. Otherwise the next attempt starts again, and says so.
"""

import hashlib
import logging
from typing import Any

import xgboost
from pydantic import ValidationError

from include.contracts.digest import digest_of
from include.contracts.errors import InfraError
from include.contracts.frozen import Frozen
from include.contracts.training import TrainingSpec
from include.lake import object_store
from include.training.engine import Curves, Parameters, flat

log = logging.getLogger("evergreen")

EVERY = 25
"""Rounds between two checkpoints."""
FOLDER = "checkpoints"


class Checkpoint(Frozen):
    """How far a stage had come.

    Attributes:
        inputs: Digest of everything that decides the trees; another one's checkpoint is none.
        digest: SHA-256 of the model so far, which is also its name.
        curves: Metric of each round so far.
    """

    inputs: str
    stage: str
    round: int
    digest: str
    curves: dict[str, list[float]]


class Checkpoints:
    """The checkpoints of one attempt at a spec.

    Args:
        spec: What is trained.
        device: `cpu` or `cuda`.
        number: Which attempt it is, from 1.
    """

    def __init__(self, spec: TrainingSpec, device: str, number: int = 1) -> None:
        self.spec, self.device, self.number = spec, device, number
        self.resumed: dict[str, int] = {}
        self._folder = f"{spec.output_uri}/{FOLDER}"
        self._store = object_store(self._folder)

    @property
    def resumed_from(self) -> int:
        """The highest round that this attempt went on from; 0 where all trees are its own."""
        return max(self.resumed.values(), default=0)

    def last(self, stage: str, parameters: Parameters) -> tuple[Checkpoint, bytes] | None:
        """The newest checkpoint of `stage` with its model, where going on from it gives the same model."""
        if why := self._unfit(parameters):
            if self.number > 1:
                log.info("training: attempt %d starts from the first round: %s", self.number, why)
            return None
        found = self._find(stage, parameters)
        if found:
            self.resumed[stage] = found[0].round
            log.info("training: attempt %d goes on from round %d of %s", self.number, found[0].round, stage)
        elif self.number > 1:
            log.info("training: attempt %d has no checkpoint of %s: it starts from round 0", self.number, stage)
        return found

    def keep(self, stage: str, parameters: Parameters, past: Checkpoint | None) -> list["_Keep"]:
        """The callback that writes checkpoints of `stage`; none where nobody could go on from them."""
        return [] if self._unfit(parameters) else [_Keep(self, stage, parameters, past)]

    def write(self, stage: str, parameters: Parameters, model: bytes, rounds: int, curves: Curves) -> None:
        """Write a checkpoint; without one training still ends well, so a store that fails is only reported."""
        digest = hashlib.sha256(model).hexdigest()
        point = Checkpoint(inputs=self._inputs(parameters), stage=stage, round=rounds, digest=digest, curves=curves)
        try:
            self._store.write(self._model(digest), model)
            self._store.write(self._pointer(stage), point.model_dump_json().encode())
        except (InfraError, OSError) as error:
            log.warning("training: no checkpoint of round %d: %s", rounds, error)

    def forget(self, digest: str) -> None:
        """Remove the model of an older checkpoint."""
        try:
            self._store.delete(self._model(digest))
        except (InfraError, OSError) as error:
            log.warning("training: an old checkpoint stays: %s", error)

    def clear(self) -> None:
        """Remove all: the training is finished."""
        try:
            for uri in self._store.list(self._folder):
                self._store.delete(uri)
        except (InfraError, OSError) as error:
            log.warning("training: the checkpoints stay: %s", error)

    def _unfit(self, parameters: Parameters) -> str:
        if self.spec.resources.gpu > 1:
            return "several GPUs grow the trees"
        sampled = [name for name in ("subsample", "colsample_bytree") if parameters[name] != 1]
        return f"{' and '.join(sampled)} below 1: resumed, the draws would differ" if sampled else ""

    def _find(self, stage: str, parameters: Parameters) -> tuple[Checkpoint, bytes] | None:
        try:
            point = Checkpoint.model_validate_json(self._store.read(self._pointer(stage)))
            model = self._store.read(self._model(point.digest))
        except FileNotFoundError:
            return None
        except ValidationError as error:
            log.warning("training: %s is no checkpoint: %s", self._pointer(stage), error)
            return None
        sound = hashlib.sha256(model).hexdigest() == point.digest
        if not sound or point.inputs != self._inputs(parameters):
            log.warning("training: the checkpoint of %s is %s", stage, "of other inputs" if sound else "damaged")
            return None
        return point, model

    def _inputs(self, parameters: Parameters) -> str:
        return digest_of([self.spec.digest, self.device, xgboost.__version__, parameters])

    def _pointer(self, stage: str) -> str:
        return f"{self._folder}/{stage}.json"

    def _model(self, digest: str) -> str:
        return f"{self._folder}/{digest}.ubj"


class _Keep(xgboost.callback.TrainingCallback):  # type: ignore[misc]
    """Writes a checkpoint every few rounds, and removes the one before."""

    def __init__(self, place: Checkpoints, stage: str, parameters: Parameters, past: Checkpoint | None) -> None:
        self.place, self.stage, self.parameters = place, stage, parameters
        self.past = past.curves if past else {}
        self.before = past.digest if past else ""

    def after_iteration(self, model: Any, epoch: int, evals_log: dict[str, dict[str, list[float]]]) -> bool:  # noqa: ARG002
        """Called by XGBoost after each round; False goes on."""
        rounds = model.num_boosted_rounds()
        if rounds % EVERY == 0:
            raw = bytes(model.save_raw("ubj"))
            digest = hashlib.sha256(raw).hexdigest()
            self.place.write(self.stage, self.parameters, raw, rounds, after(self.past, flat(evals_log)))
            if self.before not in ("", digest):
                self.place.forget(self.before)
            self.before = digest
        return False


def after(past: Curves, curves: Curves) -> Curves:
    """Curves that go on where `past` ended."""
    return {name: [*past.get(name, []), *values] for name, values in curves.items()} or past
