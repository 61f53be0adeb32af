"""What the ray engine decides without a cluster: arguments, resources, rows, and who is answered."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from bench import HEAD64
from commands import command
from faults import stages_here
from hypothesis import given
from hypothesis import strategies as st
from judge_server import JudgeServer, Sent

from bfpo_bench.engines.base import Remote
from bfpo_bench.engines.ray import check, setting
from bfpo_bench.engines.ray.check import (
    check_ray,
    check_ray_asked,
    devices,
    on_ray,
    worker_arguments,
)
from bfpo_bench.engines.ray.core import AT_ONCE, BATCH, Pace
from bfpo_bench.engines.ray.feed import Ledger, table
from bfpo_bench.engines.ray.here import this_machine
from bfpo_bench.engines.ray.home import Home, clear_left
from bfpo_bench.engines.ray.nodes import Seen, check_nodes, look
from bfpo_bench.engines.ray.room import Node, Shape, shape
from bfpo_bench.engines.ray.rows import (
    Chance,
    Generating,
    classified,
    generated,
    read_classified,
    read_generated,
    to_classify,
)
from bfpo_bench.engines.ray.setting import environment
from bfpo_bench.engines.select import EngineChoice
from bfpo_bench.engines.vllm_core import Ask
from bfpo_bench.errors import UserError

CPUS = (Node("a", "10.0.0.1", 2, 0), Node("b", "10.0.0.2", 4, 0))
GPUS = (Node("a", "10.0.0.1", 64, 8, ("H100",)), Node("b", "10.0.0.2", 64, 8, ("H100",)))


def asks(count: int) -> Iterator[Ask[int]]:
    return (Ask(i, (1, 2, i), {"seed": i}) for i in range(count))


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Say how many CPUs and GPUs this machine shall have."""
    return lambda cpus, gpus: monkeypatch.setattr(
        check, "this_machine", lambda: Node("", "127.0.0.1", cpus, gpus)
    )


class TestWhatIsAsked:
    def test_workers_are_ours_and_the_rest_is_vllms(self) -> None:
        given = {"workers": 3, "dtype": "float32"}
        assert worker_arguments(given) == (3, {"dtype": "float32"})
        assert worker_arguments({}) == (None, {})

    @pytest.mark.parametrize("workers", [0, -1, 1.5, "2", True])
    def test_no_such_number_of_workers(self, workers: Any) -> None:
        with pytest.raises(UserError, match="workers must be a number of at least 1"):
            worker_arguments({"workers": workers})

    def test_replicas_are_workers(self) -> None:
        with pytest.raises(UserError, match="workers=4"):
            worker_arguments({"data_parallel_size": 4})

    def test_devices_of_a_worker(self) -> None:
        assert devices({}) == 1
        assert devices({"tensor_parallel_size": 4, "pipeline_parallel_size": 2}) == 8
        with pytest.raises(UserError, match="tensor_parallel_size"):
            devices({"tensor_parallel_size": 0})

    def test_without_ray(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
        with pytest.raises(
            UserError, match=r"needs Ray: pip install -e '\.\[ray\]' in the checkout"
        ):
            check_ray({}, Remote())

    @pytest.mark.parametrize("address", ["cluster", "ray://head:10001", "head:port", "head:99999"])
    def test_no_address(self, address: str) -> None:
        with pytest.raises(UserError, match="is not HOST:PORT"):
            check_ray({}, Remote(ray_address=address))

    def test_nobody_at_the_address(self) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
            with pytest.raises(UserError, match=f"No Ray cluster answers at .*:{port}"):
                check_ray({}, Remote(ray_address=f"127.0.0.1:{port}"))

    def test_something_else_at_the_address(self) -> None:
        """A server that was mistaken for the cluster: to join it would take Ray 25 seconds."""
        with (
            JudgeServer(lambda asked: Sent(404)) as other,
            pytest.raises(UserError, match=r"\(what is there is no Ray\): see `ray status`"),
        ):
            check_ray({}, Remote(ray_address=f"127.0.0.1:{other.port}"))

    def test_something_silent_at_the_address(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(check, "REACH_SECONDS", 0.2)
        with socket.create_server(("127.0.0.1", 0)) as silent:
            port = silent.getsockname()[1]
            with pytest.raises(UserError, match=f"answers at .*:{port} .no reply"):
                check_ray({}, Remote(ray_address=f"127.0.0.1:{port}"))

    def test_a_host_that_takes_its_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """One deadline for all of it: here a byte comes now and then, and no greeting is ever whole."""
        monkeypatch.setattr(check, "REACH_SECONDS", 0.2)
        ended = Event()
        monkeypatch.setattr(check, "_greet", lambda *_: ended.wait(60))
        with pytest.raises(UserError, match=r"answers at --ray-address head:6379 \(no reply\)"):
            check_ray({}, Remote(ray_address="head:6379"))
        ended.set()

    def test_an_address_is_for_this_engine(self) -> None:
        check_ray_asked("vllm", {}, None)
        with pytest.raises(UserError, match="--ray-address head:6379 is for --engine ray"):
            check_ray_asked("vllm", {}, "head:6379")

    def test_judges_that_vllm_can_serve_run_there(self, machine: Any) -> None:
        machine(4, 0)
        vllm, other = EngineChoice("vllm", "it can"), EngineChoice("transformers", "vLLM cannot")
        found = on_ray(vllm, {}, Remote())
        assert found == EngineChoice("ray", "as asked; 1 worker on this machine, of 1 CPU each")
        assert on_ray(other, {}, Remote()) is other
        assert on_ray(vllm, {}, None) is vllm


class TestThisMachine:
    """A Ray of its own has what it has, which is known before that starts."""

    @pytest.mark.parametrize(
        ("cpus", "gpus", "given", "told"),
        [
            (4, 0, {}, "1 worker on this machine, of 1 CPU each"),
            (
                4,
                0,
                {"workers": 2, "tensor_parallel_size": 2},
                "2 workers on this machine, of 2 CPUs",
            ),
            (64, 8, {"tensor_parallel_size": 4}, "2 workers on this machine, of 4 GPUs each"),
        ],
    )
    def test_what_there_will_be(
        self, machine: Any, cpus: int, gpus: int, given: dict[str, Any], told: str
    ) -> None:
        machine(cpus, gpus)
        assert check_ray(given, Remote()).startswith(told)

    @pytest.mark.parametrize(
        ("given", "said"),
        [
            (
                {"workers": 99},
                "This machine has 2 CPUs, and 99 workers of 1 need 99: give --engine-arg workers=2 or "
                "join a cluster with --ray-address.",
            ),
            (
                {"tensor_parallel_size": 2, "pipeline_parallel_size": 2},
                "This machine has 2 CPUs, and 1 worker of 4 needs 4: give smaller sizes "
                "(tensor_parallel_size, pipeline_parallel_size) or join a cluster with --ray-address.",
            ),
        ],
    )
    def test_what_it_has_no_room_for(
        self, machine: Any, hub: str, tmp_path: Path, given: dict[str, Any], said: str
    ) -> None:
        """`plan` and `run` say so, and nothing has begun."""
        machine(2, 0)
        arguments = [word for k, v in given.items() for word in ("--engine-arg", f"{k}={v}")]
        for name in ("plan", "run"):
            shown = command(name, "--engine", "ray", "--model", HEAD64, *arguments, cwd=tmp_path)
            assert (shown.code, shown.error) == (2, f"error: {said}")
        assert list(tmp_path.iterdir()) == []

    def test_a_cluster_is_not_joined_to_see_what_it_has(self, machine: Any) -> None:
        """A server of gRPC without any service is enough."""
        grpc = pytest.importorskip("grpc")
        machine(2, 0)
        cluster = grpc.server(ThreadPoolExecutor(1))
        remote = Remote(ray_address=f"127.0.0.1:{cluster.add_insecure_port('127.0.0.1:0')}")
        cluster.start()
        given = {"workers": 99, "tensor_parallel_size": 4}
        assert check_ray(given, remote) == "Ray is asked for 99 workers of 4 devices each"
        assert check_ray({}, remote) == (
            "Ray is asked for workers of 1 device each, as many as its GPUs have room for, or one "
            "without GPUs"
        )
        cluster.stop(None)

    def test_a_ray_that_says_it_only_when_it_runs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(check, "this_machine", lambda: None)
        assert check_ray({"workers": 99}, Remote()) == (
            "Ray is asked for 99 workers of 1 device each"
        )

    def test_no_room_on_a_cluster_is_found_out_before_anything_is_loaded(
        self, hub: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Neither weights nor data: the stage that would load them does not begin."""
        joined = [Node("a", "10.0.0.1", 2, 0)]
        left: list[bool] = []

        class Joined:
            def nodes(self) -> list[Node]:
                return joined

            def close(self) -> None:
                left.append(True)

        monkeypatch.setattr(setting.Cluster, "connect", lambda address: Joined())
        monkeypatch.setattr(check, "check_joinable", lambda address: None)
        monkeypatch.setattr(
            "bfpo_bench.plan.choose_engine", lambda *_: EngineChoice("ray", "as asked")
        )
        monkeypatch.setattr(
            "bfpo_bench.engines.subject.Subject.fetch", lambda *_, **__: pytest.fail("was fetched")
        )
        words = ("--engine", "ray", "--ray-address", "head:6379", "--engine-arg", "workers=3")
        small = ("--model", HEAD64, "--tasks", "bfpo_xstest_safe", "--limit", "2")
        with stages_here():
            shown = command("run", *words, *small, cwd=tmp_path)
        assert (shown.code, shown.error) == (
            2,
            "error: The Ray cluster has 2 CPUs on 1 node, and 3 workers of 1 need 3: give --engine-arg "
            "workers=2 or add nodes.",
        )
        assert left == [True]
        assert [path.name for path in tmp_path.glob("runs/*/logs/*")] == ["join.log"]

    @pytest.mark.long
    def test_it_is_what_a_ray_that_runs_has(self) -> None:
        pytest.importorskip("ray")
        code = (
            "from bfpo_bench.engines.ray.cluster import Cluster; c = Cluster.connect(None); "
            "print('found', *((n.cpus, n.gpus) for n in c.nodes())); c.close()"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        here = this_machine()
        assert here is not None
        assert f"found {(here.cpus, here.gpus)}" in done.stdout.splitlines(), done.stderr


def test_folders_of_processes_that_were_killed(tmp_path: Path) -> None:
    """Those of living ones stay, whatever their process ids here, and what is not ours."""
    killed = (
        "import os, sys; from pathlib import Path; from bfpo_bench.engines.ray.home import Home; "
    )
    killed += "print(Home.make(Path(sys.argv[1])).folder.name, flush=True); os.kill(os.getpid(), 9)"
    done = subprocess.run(
        [sys.executable, "-c", killed, str(tmp_path)], capture_output=True, text=True
    )
    left, living = tmp_path / done.stdout.strip(), Home.make(tmp_path)
    for name in ("bfpo-ray-notes", "else"):
        (tmp_path / name).mkdir()
    assert left.is_dir()
    clear_left(tmp_path)
    kept = {living.folder.name, "bfpo-ray-notes", "else"}
    assert {path.name for path in tmp_path.iterdir()} == kept
    living.remove()
    assert {path.name for path in tmp_path.iterdir()} == {"bfpo-ray-notes", "else"}


class TestResources:
    def test_one_worker_where_there_is_no_gpu(self) -> None:
        assert shape(CPUS, None, 1) == Shape(1, "CPU", 1)

    def test_all_gpus_by_default(self) -> None:
        """16 GPUs are 16 workers, or 4 of 4."""
        assert shape(GPUS, None, 1) == Shape(16, "GPU", 1)
        assert shape(GPUS, None, 4) == Shape(4, "GPU", 4)

    def test_more_than_there_is(self) -> None:
        """6 CPUs; 7 workers of 1 do not fit."""
        with pytest.raises(UserError, match=r"has 6 CPUs on 2 nodes.*give --engine-arg workers=6"):
            shape(CPUS, 7, 1)
        with pytest.raises(UserError, match=r"2 workers of 16 need 32"):
            shape(GPUS, 2, 16)

    def test_a_cluster_without_anything(self) -> None:
        with pytest.raises(UserError, match=r"has 0 CPUs .* needs 1: add nodes\."):
            shape([Node("head", "10.0.0.1", 0, 0)], None, 1)

    def test_cores_are_shared(self) -> None:
        """6 cores and 2 workers: 3 threads each."""
        told = environment({"VLLM_CPU_KVCACHE_SPACE": "1"}, Shape(2, "CPU", 1), CPUS, eager=True)
        assert told["OMP_NUM_THREADS"] == "3"
        assert told["TORCHDYNAMO_DISABLE"] == "1"
        assert told["VLLM_CPU_KVCACHE_SPACE"] == "1"

    def test_keys_stay_here(self) -> None:
        """Everybody on a cluster can read what its workers' environment is."""
        given = {"VLLM_API_KEY": "secret", "HF_TOKEN": "secret", "VLLM_HOST_IP": "127.0.0.1"}
        told = environment(given, Shape(1, "GPU", 2), GPUS, eager=False)
        assert told == {"VLLM_ALLOW_LONG_MAX_MODEL_LEN": "1"}

    def test_pace(self) -> None:
        """128 sequences are 8 batches of 16, and 2 more wait; of 4 there is one batch of 4."""
        assert Pace.usual({"max_num_seqs": 128}) == Pace(16, 10)
        assert Pace.usual({"max_num_seqs": 4}) == Pace(4, 3)
        assert Pace.usual({}) == Pace(BATCH, AT_ONCE // BATCH + 2)


class TestNodes:
    def seen(self, host: str = "10.0.0.1", **changed: Any) -> Seen:
        versions = {"ray": "2.60.0", "torch": "2.13.0", "vllm": "0.32.0"}
        return Seen(host, versions | changed, ())

    def test_here(self, tmp_path: Path) -> None:
        found = look("here", [str(tmp_path), str(tmp_path / "none")])
        assert found.lacking == (str(tmp_path / "none"),)
        assert found.versions["torch"] is not None

    def test_equal_nodes(self) -> None:
        assert check_nodes([self.seen(), self.seen("b")])["vllm"] == "0.32.0"

    def test_a_node_without_the_model(self) -> None:
        lacking = Seen("10.0.0.2", self.seen().versions, ("/models/m",))
        with pytest.raises(
            UserError, match=r"Node 10\.0\.0\.2 .* does not see /models/m: set HF_H"
        ):
            check_nodes([self.seen(), lacking])

    def test_a_node_without_a_judge_of_beavers(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Which is in our own cache: another HF_HOME changes nothing."""
        monkeypatch.setenv("BFPO_BENCH_CACHE", str(tmp_path))
        made = str(tmp_path / "score-heads" / "0123456789abcdef")
        with pytest.raises(
            UserError, match=f"does not see {made}: copy it .* set BFPO_BENCH_CACHE"
        ):
            check_nodes([Seen("10.0.0.2", self.seen().versions, (made,))])

    def test_a_node_without_vllm(self) -> None:
        with pytest.raises(UserError, match=r"Node b .* has no vLLM"):
            check_nodes([self.seen(), self.seen("b", vllm=None)])

    def test_nodes_that_differ(self) -> None:
        with pytest.raises(UserError, match=r"different versions of vllm \(0.31.0, 0.32.0\)"):
            check_nodes([self.seen(), self.seen("b", vllm="0.31.0")])


class TestLedger:
    def test_numbers_and_what_is_left(self) -> None:
        ledger = Ledger(asks(5), window=100)
        assert [number for number, _ in ledger.take(3)] == [0, 1, 2]
        assert [number for number, _ in ledger.take(3)] == [3, 4]
        assert ledger.take(3) == []
        found = ledger.answered(3)
        assert found is not None
        assert found.key == 3
        assert ledger.answered(3) is None, "a second answer is dropped"
        assert {number: ask.key for number, ask in ledger.close().items()} == {
            number: number for number in (0, 1, 2, 4)
        }

    def test_no_more_than_the_window(self) -> None:
        """Rows 0-3 are in, and a window of 4 is full; the answer to row 0 makes room."""
        ledger = Ledger(asks(10), window=4)
        assert len(ledger.take(4)) == 4
        taken: list[Any] = []
        thread = Thread(target=lambda: taken.extend(ledger.take(4)))
        thread.start()
        thread.join(0.2)
        assert thread.is_alive()
        ledger.answered(0)
        thread.join(10)
        assert [number for number, _ in taken] == [4, 5, 6, 7]

    def test_a_lost_row_holds_nothing_up(self) -> None:
        """Row 0 never comes back; row 3 does, and so the window moves."""
        ledger = Ledger(asks(10), window=4)
        ledger.take(4)
        ledger.answered(3)
        assert len(ledger.take(4)) == 4

    def test_silence_makes_room(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("bfpo_bench.engines.ray.feed.SILENCE_SECONDS", 0.05)
        ledger = Ledger(asks(10), window=2)
        ledger.take(2)
        assert len(ledger.take(2)) == 2

    def test_closed_it_hands_in_nothing(self) -> None:
        ledger = Ledger(asks(10), window=2)
        ledger.take(2)
        taken: list[Any] = [None]
        thread = Thread(target=lambda: taken.__setitem__(0, ledger.take(2)))
        thread.start()
        time.sleep(0.05)
        ledger.close()
        thread.join(10)
        assert taken == [[]]

    @given(st.lists(st.integers(0, 2**31 - 1), min_size=1), st.integers(0, 3))
    def test_a_block_says_what_was_asked(self, prompt: list[int], scored: int) -> None:
        params = {"temperature": 0.0, "stop_token_ids": [2, 3]}
        row = table([(7, Ask("key", tuple(prompt), params))]).to_pylist()[0]
        assert (row["number"], row["tokenized_prompt"], row["scored"]) == (7, prompt, 0)
        assert json.loads(row["params"]) == params


class TestRows:
    def test_before_the_stage(self) -> None:
        assert Generating(None)({"params": '{"seed": 1}'}) == {"sampling_params": {"seed": 1}}
        assert Generating("/adapter")({"params": "{}"})["model"] == "/adapter"
        assert to_classify({"params": '{"a": false}'}) == {"pooling_params": {"a": False}}

    def test_after_generating(self) -> None:
        row = {"number": 4, "scored": 0, "generated_tokens": [9, 8], "logprobs": None}
        told = generated(row)
        assert told["number"] == 4
        assert read_generated(told["answer"]) == ((9, 8), {}, ())

    def test_after_scoring(self) -> None:
        """The prompt is 5 6 7 7, of which the last two are scored; the first token has no
        log-probability. Keys may have become text, and other tokens' entries None."""

        def place(token: int, logprob: float, rank: int) -> dict[str, Any]:
            return {str(token): {"logprob": logprob, "rank": rank}, "999": None}

        row = {
            "number": 0,
            "scored": 2,
            "prompt_token_ids": [5, 6, 7, 7],
            "generated_tokens": [1],
            "logprobs": [{1: {"logprob": -0.5, "rank": 1}, 2: {"logprob": -2.0, "rank": 3}}],
            "prompt_logprobs": [None, place(6, -1.0, 1), place(7, -3.0, 2), place(7, -0.25, 1)],
        }
        found = read_generated(generated(row)["answer"])
        assert found.after == {1: Chance(-0.5, 1), 2: Chance(-2.0, 3)}
        assert found.inside == (Chance(-3.0, 2), Chance(-0.25, 1))
        # A place that vLLM did not compute holds another token than the prompt: no number is made of it
        uncomputed = row | {"prompt_logprobs": [None, None, place(0, 0.0, 0), place(7, -0.25, 1)]}
        with pytest.raises(KeyError):
            generated(uncomputed)
        # Without a rank nobody knows whether greedy decoding gives the token
        unranked = row | {
            "prompt_logprobs": [
                None,
                None,
                place(7, -3.0, 2),
                {"7": {"logprob": -0.25, "rank": None}},
            ]
        }
        with pytest.raises(ValueError, match="no rank"):
            generated(unranked)

    def test_after_classifying(self) -> None:
        told = classified({"number": 1, "embeddings": [0.1, -2.5]})
        assert read_classified(told["answer"]) == (0.1, -2.5)
