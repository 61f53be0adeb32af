"""Two real Ray nodes on this machine, and a stage of a few lines in vLLM's place: what is streamed, and
what is left when workers and nodes die."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bench import HEAD64
from commands import command
from serving import need_vllm

from bfpo_bench.engines.base import Failure, Remote
from bfpo_bench.engines.ray.check import check_ray
from bfpo_bench.engines.ray.cluster import Cluster
from bfpo_bench.engines.ray.core import Model, Pace, RayCore
from bfpo_bench.engines.ray.room import Shape
from bfpo_bench.engines.source import open_source
from bfpo_bench.engines.vllm_core import Ask

# As Cluster.connect has it, and before Ray is imported
os.environ["RAY_ENABLE_AUTO_CONNECT"] = "0"
pytest.importorskip("ray")

pytestmark = pytest.mark.long

POISON = 666
"""A prompt that ends the worker that gets it."""
BROKEN = 667
"""A prompt under which vLLM breaks, as Ray's stage tells it, without its worker's end."""


def stand_in(folder: Path, seconds: float = 0.0) -> Callable[[Shape, Pace], Any]:
    """In place of the pipeline: the answer is the prompt's first token, and `folder` has a file for each
    worker, named by its process id."""

    class Stage:
        def __init__(self) -> None:
            (folder / str(os.getpid())).touch()

        def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
            time.sleep(seconds)
            first = [int(prompt[0]) for prompt in batch["tokenized_prompt"]]
            if POISON in first:
                os._exit(1)
            errors = ["EngineGenerateError: " if token == BROKEN else "" for token in first]
            answers = [json.dumps(token) for token in first]
            return {"number": batch["number"], "answer": answers, "__inference_error__": errors}

    def pipeline(shape: Shape, pace: Pace) -> Any:
        import ray

        return lambda dataset: dataset.map_batches(
            Stage,
            batch_size=pace.batch,
            compute=ray.data.ActorPoolStrategy(
                size=shape.workers, max_tasks_in_flight_per_actor=pace.batches
            ),
            num_cpus=1,
            max_restarts=-1,
            max_task_retries=0,
        )

    return pipeline


def core(cluster: Cluster, pipeline: Callable[[Shape, Pace], Any], workers: int = 2) -> RayCore:
    made = RayCore(
        cluster, Shape(workers, "CPU", 1), Model("", "generate", {"max_num_seqs": 4}, {})
    )
    made._pipeline = pipeline  # type: ignore[method-assign]
    return made


def asks(tokens: list[int], taken: list[int] | None = None) -> Iterator[Ask[int]]:
    for key, token in enumerate(tokens):
        if taken is not None:
            taken.append(key)
        yield Ask(key, (token,), {})


@pytest.fixture(scope="module")
def nodes() -> Iterator[Any]:
    from ray.cluster_utils import Cluster as Nodes

    found = Nodes(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    for _ in range(2):
        found.add_node(num_cpus=1)
    yield found
    found.shutdown()


@pytest.fixture(scope="module")
def cluster(nodes: Any) -> Iterator[Cluster]:
    joined = Cluster.connect(nodes.address)
    yield joined
    joined.close()


def lose_a_node(nodes: Any) -> None:
    """Kill all processes of the worker node that came last; this process hangs on the head."""
    nodes.remove_node(max(nodes.worker_nodes, key=str), allow_graceful=False)


def test_every_request_is_answered_once(cluster: Cluster, tmp_path: Path) -> None:
    """By both workers, and before the last request is taken: 300 in windows of 2 x 2 x 4 x 3 = 48."""
    taken: list[int] = []
    found, seen = {}, []
    for key, answer in core(cluster, stand_in(tmp_path, 0.02)).stream(
        asks(list(range(1000, 1300)), taken), 300
    ):
        assert key not in found
        found[key] = int(answer)
        seen.append(len(taken))
    assert found == {key: 1000 + key for key in range(300)}
    assert seen[0] < 150, "the first answer was there before half of the requests were read"
    assert len(list(tmp_path.iterdir())) == 2


def test_nothing_to_ask(cluster: Cluster, tmp_path: Path) -> None:
    assert list(core(cluster, stand_in(tmp_path)).stream(asks([]), 0)) == []
    assert list(tmp_path.iterdir()) == [], "no worker was started"


def test_one_that_kills_its_worker_fails_alone(cluster: Cluster, tmp_path: Path) -> None:
    tokens = [POISON if i == 17 else i for i in range(40)]
    made = core(cluster, stand_in(tmp_path))
    found = list(made.stream(asks(tokens), 40))
    assert sorted(key for key, _ in found) == list(range(40))
    failed = [key for key, answer in found if isinstance(answer, Failure)]
    assert failed == [17]
    assert made.asked_again > 0


def test_what_vllm_breaks_under_is_asked_again(cluster: Cluster, tmp_path: Path) -> None:
    """It need not be the request that it broke under. Asked alone, and broken again, it has failed."""
    tokens = [BROKEN if i == 5 else i for i in range(12)]
    made = core(cluster, stand_in(tmp_path))
    found = dict(made.stream(asks(tokens), 12))
    assert sorted(found) == list(range(12))
    assert [key for key, answer in found.items() if isinstance(answer, Failure)] == [5]
    assert made.asked_again > 0


def test_workers_that_all_die_at_once(cluster: Cluster, tmp_path: Path) -> None:
    made = core(cluster, stand_in(tmp_path))
    with pytest.raises(RuntimeError, match="none of the cluster's workers"):
        list(made.stream(asks([POISON] * 4), 4))


def test_the_address_of_a_cluster(nodes: Any) -> None:
    check_ray({}, Remote(ray_address=nodes.address))


def test_the_settings_of_rays_own_stage(cluster: Cluster, hub: str) -> None:
    """As Ray Data gets them: a dead worker starts again, none of its requests waits for that, and a
    worker takes two CPUs and has three batches at a time."""
    need_vllm()
    folder = str(open_source(HEAD64).materialise(weights=False))
    model = Model(folder, "generate", {"tensor_parallel_size": 1}, {"VLLM_CPU_KVCACHE_SPACE": "1"})
    shape, pace = Shape(1, "CPU", 2), Pace(4, 3)
    processor: Any = RayCore(cluster, shape, model)._pipeline(shape, pace)
    stage = processor.get_stage_by_name("vLLMEngineStage")
    told = stage.get_dataset_map_batches_kwargs(batch_size=4, data_column="row")
    expected = {
        "max_restarts": -1,
        "max_task_retries": 0,
        "num_cpus": 2,
        "max_concurrency": 3,
        "batch_size": 4,
        "runtime_env": {"env_vars": {"VLLM_CPU_KVCACHE_SPACE": "1"}},
    }
    assert {name: told.get(name) for name in expected} == expected
    assert told["fn_constructor_kwargs"]["should_continue_on_error"] is True


def test_a_cluster_without_the_asked_resources(nodes: Any, hub: str, tmp_path: Path) -> None:
    """By the command, whose first stage joins the cluster."""
    need_vllm()
    words = ("--engine", "ray", "--ray-address", nodes.address, "--engine-arg", "workers=99")
    shown = command("run", *words, "--model", HEAD64, "--limit", "2", cwd=tmp_path)
    assert (shown.code, shown.error) == (
        2,
        "error: The Ray cluster has 2 CPUs on 3 nodes, and 99 workers of 1 need 99: give --engine-arg "
        "workers=2 or add nodes.",
    )
    assert [path.name for path in tmp_path.glob("runs/*/logs/*")] == ["join.log"]


def test_a_node_that_is_lost(cluster: Cluster, nodes: Any, tmp_path: Path) -> None:
    """Killed when a quarter is answered: all are answered once, the rest of them by the other node."""
    found: dict[int, int] = {}
    for key, answer in core(cluster, stand_in(tmp_path, 0.05)).stream(asks(list(range(400))), 400):
        assert key not in found
        found[key] = int(answer)
        if len(found) == 100:
            lose_a_node(nodes)
    assert found == {key: key for key in range(400)}
    assert len(cluster.nodes()) == 2, "the head, which has no CPU, and one that works"


def test_no_node_is_left(cluster: Cluster, nodes: Any, tmp_path: Path) -> None:
    lose_a_node(nodes)
    with pytest.raises(RuntimeError, match="no node of the Ray cluster that lives has room"):
        list(core(cluster, stand_in(tmp_path)).stream(asks([1]), 1))
