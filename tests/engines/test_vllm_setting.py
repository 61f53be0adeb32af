"""What a vLLM finds when it is loaded, and who is told when its engine's process is killed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from queue import Empty, Queue
from types import ModuleType, SimpleNamespace
from typing import Any

import psutil
import pytest

from bfpo_bench.engines import vllm_setting
from bfpo_bench.engines.vllm_setting import ENGINE, set_environment, started


class EngineDead(Exception):
    pass


class TestProcesses:
    @pytest.fixture(autouse=True)
    def vllm(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("vllm", "vllm.v1", "vllm.v1.engine", "vllm.v1.engine.exceptions"):
            monkeypatch.setitem(sys.modules, name, ModuleType(name))
        sys.modules[name].__dict__["EngineDeadError"] = EngineDead

    @pytest.fixture
    def sleepers(self, tmp_path: Path) -> Any:
        """Start a process of that name; all are gone after the test."""
        running: list[subprocess.Popen[bytes]] = []

        def sleeper(name: str) -> subprocess.Popen[bytes]:
            shutil.copy(str(shutil.which("sleep")), tmp_path / name)
            running.append(subprocess.Popen([tmp_path / name, "60"]))
            return running[-1]

        yield sleeper
        for process in running:
            process.kill()
            process.wait()

    def test_who_waits_is_told_of_the_engines_death_and_of_no_others(self, sleepers: Any) -> None:
        """A worker, and a process that was there before, are none that vLLM's client talks to."""
        outputs: Queue[Exception] = Queue()
        llm = SimpleNamespace(
            llm_engine=SimpleNamespace(engine_core=SimpleNamespace(outputs_queue=outputs))
        )
        earlier = sleepers(ENGINE)
        brought: list[subprocess.Popen[bytes]] = []

        def start() -> Any:
            brought.extend([sleepers("VLLM::Worker"), sleepers(f"{ENGINE}e")])
            return llm

        found, processes = started(start)
        assert found is llm
        assert {p.pid for p in processes} == {p.pid for p in brought}
        for other in (earlier, brought[0]):
            other.kill()
            other.wait()
        with pytest.raises(Empty):
            outputs.get(timeout=0.2)
        brought[1].kill()
        assert isinstance(outputs.get(timeout=10), EngineDead)
        assert brought[1].wait() == -9


class TestEnvironment:
    CACHE = "VLLM_CPU_KVCACHE_SPACE"

    @pytest.fixture(autouse=True)
    def environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """As if nothing had been set, and 64 GiB were free."""
        monkeypatch.setattr(os, "environ", {})
        free = SimpleNamespace(available=64 * 2**30)
        monkeypatch.setattr(psutil, "virtual_memory", lambda: free)

    @pytest.mark.parametrize(
        ("tokens", "gib"),
        [(1, "1"), (1024, "1"), (1025, "2"), (8192, "8"), (2**20, "16")],
    )
    def test_the_cache_holds_sixteen_of_the_longest(
        self, tmp_path: Path, tokens: int, gib: str
    ) -> None:
        """Keys and values of 8 layers, 8 heads of 128 numbers of 4 bytes: 2 * 8 * 8 * 128 * 4 bytes
        are 64 KiB a token, so that sixteen requests of 1,024 make 1 GiB. A quarter of 64 is 16."""
        config = {"num_hidden_layers": 8, "num_attention_heads": 8, "head_dim": 128}
        (tmp_path / "config.json").write_text(json.dumps(config | {"hidden_size": 1024}))
        set_environment(str(tmp_path), tokens)
        assert os.environ[self.CACHE] == gib

    def test_what_the_user_set_stays(self, tmp_path: Path) -> None:
        (tmp_path / "config.json").write_text("{}")
        os.environ["VLLM_HOST_IP"] = "10.0.0.1"
        os.environ[self.CACHE] = "40"
        set_environment(str(tmp_path), 1024)
        assert {k: v for k, v in os.environ.items() if k.startswith("VLLM_")} == {
            self.CACHE: "40",
            "VLLM_HOST_IP": "10.0.0.1",
            "VLLM_LOGGING_LEVEL": "WARNING",
            "VLLM_NO_USAGE_STATS": "1",
        }

    @pytest.mark.parametrize(
        ("given", "nodes", "bound"),
        [
            ({}, 1, None),
            ({"tensor_parallel_size": 2}, 1, "nobind"),
            ({"tensor_parallel_size": 2}, 2, None),
            ({"tensor_parallel_size": 2, "data_parallel_size": 2}, 2, "nobind"),
        ],
    )
    def test_workers_are_bound_where_each_has_a_memory_node(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        given: dict[str, Any],
        nodes: int,
        bound: str | None,
    ) -> None:
        monkeypatch.setattr(vllm_setting, "_memory_nodes", lambda: nodes)
        (tmp_path / "config.json").write_text("{}")
        set_environment(str(tmp_path), 1024, given)
        assert os.environ.get("VLLM_CPU_OMP_THREADS_BIND") == bound

    def test_workers_share_a_quarter_of_the_memory(self, tmp_path: Path) -> None:
        """16 of 64 GiB, for two workers 8 each, where requests without end would take all."""
        config = {"num_hidden_layers": 8, "num_attention_heads": 8, "head_dim": 128}
        (tmp_path / "config.json").write_text(json.dumps(config | {"hidden_size": 1024}))
        set_environment(str(tmp_path), 2**20, {"pipeline_parallel_size": 2})
        assert os.environ[self.CACHE] == "8"


def test_a_description_tells_sizes_above_one() -> None:
    config = SimpleNamespace(tensor_parallel_size=2, pipeline_parallel_size=1, data_parallel_size=1)
    assert vllm_setting.parallel(config) == {"tensor_parallel_size": 2}
