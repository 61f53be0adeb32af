"""One stand-in for the Hugging Face hub for all tests, up before anything imports `datasets`; which
tests are run, and in which order."""

from __future__ import annotations

import atexit
import os
import runpy
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import session_folder  # noqa: F401  Made here, so that workers and commands find it
from hypothesis import settings

# Commands and stages compile the package once and not each anew; this process writes none
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# A busy machine is slow, and no test of ours is about time
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

HERE = Path(__file__).resolve().parent
SHARED = HERE.parent / ".." / "shared"


def _start_hub() -> str | None:
    """Point this process at the stand-in, or offline where ../shared is missing; -> its address."""
    home = tempfile.mkdtemp(prefix="bfpo-bench-hf-")
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    os.environ.update(HF_HOME=home, HF_HUB_DISABLE_TELEMETRY="1", HF_HUB_DISABLE_PROGRESS_BARS="1")
    for variable in ("HF_TOKEN", "HF_DATASETS_CACHE", "HF_HUB_CACHE", "HF_HUB_OFFLINE"):
        os.environ.pop(variable, None)
    script = SHARED / "hub" / "serve.py"
    if not script.is_file():
        os.environ["HF_HUB_OFFLINE"] = "1"
        return None
    # run_path, because an import would write byte code beside the script.
    server, url = runpy.run_path(str(script))["start"](SHARED / "hub")
    atexit.register(server.shutdown)
    os.environ["HF_ENDPOINT"] = url
    return str(url)


_HUB = _start_hub()


@pytest.fixture(scope="session")
def hub() -> str:
    """The address of the stand-in hub, which HF_ENDPOINT names as well."""
    if _HUB is None:
        pytest.skip("the stand-in for the hub lies in ../shared, which is missing")
    return _HUB


@pytest.fixture(scope="module")
def stages_here() -> Iterator[None]:
    """Stages of commands that run in this process do as well, which saves each the seconds of its
    imports: for tests of what commands do, and not of their processes."""
    import faults

    with faults.stages_here():
        yield


@pytest.fixture
def judges_apart() -> Iterator[None]:
    """For the tests among those in which a judge's process dies."""
    import faults

    with faults.judges_apart():
        yield


@pytest.fixture(scope="module", autouse=True)
def _network_as_before() -> Iterator[None]:
    """A command goes offline for all of its process, which in here the tests after it share."""
    yield
    variables = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE")
    for name in ("huggingface_hub.constants", "datasets.config"):
        for variable in variables:
            if hasattr(module := sys.modules.get(name), variable):
                setattr(module, variable, _HUB is None)
    for variable in variables:
        os.environ.pop(variable, None)
    if _HUB is None:
        os.environ["HF_HUB_OFFLINE"] = "1"


LONGEST = (
    "test_across_engines.py",
    "engines/test_vllm_parallel.py",
    "engines/ray/test_ray_engine.py",
    "test_shards_command.py",
    "engines/server/test_server_vllm.py",
    "demo/test_demo_command.py",
    "docs/test_documented_commands.py",
    "engines/test_engines.py",
    "engines/test_vllm_faults.py",
    "engines/steering/test_bias_decoding.py",
    "test_fidelity.py",
    "test_pipeline.py",
    "test_bad_data.py",
    "engines/test_scorer_vllm.py",
    "judges/running/test_api_vllm.py",
    "engines/test_choices.py",
    "cli/test_bias_command.py",
    "demo/test_compare.py",
    "test_kills.py",
    "training/test_train_processes.py",
    "training/test_train_command.py",
    "training/redteam/test_pairs_command.py",
    "test_torture.py",
    "test_stopping.py",
    "cli/test_stop_signals.py",
    "browser/test_report_benchmark.py",
    "training/test_trl_losses.py",
)
"""Files of half a minute and more, the longest first: begun late, they leave a worker without work."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="run the tests marked long as well")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    places = {HERE / name: i for i, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))
    if config.getoption("long"):
        return
    for item in items:
        if item.get_closest_marker("long"):
            item.add_marker(pytest.mark.skip(reason="takes minutes: --long runs it"))
