"""The image's own lock: the project's versions, nothing of Airflow, and enough for a whole training."""

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.model_world import rows, spec, world, written

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "include" / "images" / "training"
PIN = re.compile(r"^([A-Za-z0-9_.-]+)==(\S+)", re.MULTILINE)
NEVER = {"apache-airflow", "deltalake", "evidently", "feast", "great-expectations", "mlflow", "scikit-learn"}

FENCED = """
import importlib.metadata, re, sys
allowed = set(sys.argv[1].split(","))
plain = lambda name: re.sub(r"[-_.]+", "-", name).lower()
owners = importlib.metadata.packages_distributions()
refused = {top for top, names in owners.items() if not {plain(name) for name in names} & allowed}

class Fence:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in refused:
            raise ModuleNotFoundError(f"No module named {name!r} in the image", name=name)

before = set(sys.modules)
sys.meta_path.insert(0, Fence())
from include.training.__main__ import train
train(sys.argv[2])
from include.lineage.observe import trained_elsewhere
from include.training.spec import read_spec
trained_elsewhere(read_spec(sys.argv[2]))
import include.training.several, include.training.tuning
strangers = refused & {name.partition(".")[0] for name in set(sys.modules) - before}
assert not strangers, strangers
"""


def pins(path: Path) -> set[tuple[str, str]]:
    """Name and version of every pin."""
    return {(name.lower(), version) for name, version in PIN.findall(path.read_text())}


def test_it_pins_what_the_project_pins_with_hashes() -> None:
    mine, all_pins = pins(FOLDER / "requirements.txt"), pins(ROOT / "requirements.txt")
    assert len(mine) > 40
    assert mine <= all_pins
    text = (FOLDER / "requirements.txt").read_text()
    assert text.count("--hash=sha256:") >= len(mine)


def test_it_brings_neither_airflow_nor_what_only_other_stages_need() -> None:
    assert {name for name, _ in pins(FOLDER / "requirements.txt")} & NEVER == set()


def test_the_dockerfile_is_plain_enough_for_every_builder() -> None:
    text = (FOLDER / "Dockerfile").read_text()
    assert "# syntax=" not in text
    assert "<<" not in text
    assert "--mount" not in text
    assert re.search(r"^USER [1-9][0-9]*:[1-9][0-9]*$", text, re.MULTILINE)


def test_a_training_imports_nothing_that_the_image_lacks(tmp_path: Path) -> None:
    """A whole training in a process where every package outside the lock is as if it were not installed."""
    with world(tmp_path):
        made = spec(tmp_path, rows(600), request="fenced")
        files = f"file://{tmp_path / 'tracking'}"  # SQLite would ask for the server's packages, as a pod never does
        env = {**os.environ, "EVERGREEN_MLFLOW_URI": files, "MLFLOW_ALLOW_FILE_STORE": "true"}
        allowed = ",".join(sorted(name for name, _ in pins(FOLDER / "requirements.txt")))
        command = [sys.executable, "-c", FENCED, allowed, str(written(tmp_path, made))]
        done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert Path(made.output_uri, "manifest.json").exists()
    assert '"COMPLETE"' in (tmp_path / "lineage.jsonl").read_text(), done.stderr
