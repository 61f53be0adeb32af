"""What the machine has, found out without being taken down by what it lacks."""

from __future__ import annotations

import http.server
import importlib.util
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants

from bfpo_bench.cache import default_cache
from bfpo_bench.engines import probe
from bfpo_bench.engines.trial import Trial

CPU_BUILD = {
    "version": "0.32.0",
    "platform": "cpu",
    "devices": [],
    "architectures": ["LlamaForCausalLM"],
    "head_sizes": [32, 64],
}
USABLE = probe.VllmProbe(True, "", "0.32.0", "cpu", ("LlamaForCausalLM",), (32, 64))


@dataclass
class Children:
    """Stands in for `attempt`: hands out one trial and counts how often it was asked."""

    trial: Trial = field(default_factory=lambda: Trial(dict(CPU_BUILD)))
    calls: int = 0

    def __call__(self, look: Callable[[], dict[str, Any]], **_: Any) -> Trial:
        self.calls += 1
        return self.trial


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch) -> Children:
    """vLLM seems to be installed in version 0.32.0 and every child gives the same answer."""
    children = Children()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(probe, "installed_version", lambda *names: "0.32.0")
    monkeypatch.setattr(probe, "attempt", children)
    return children


class TestVllm:
    def test_missing_is_said_without_a_child(
        self, children: Children, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
        seen = probe.probe_vllm()
        assert (seen.usable, seen.reason) == (False, "vLLM is not installed")
        assert children.calls == 0

    def test_the_answer_is_kept(self, children: Children, tmp_path: Path) -> None:
        assert probe.probe_vllm(cache=tmp_path) == USABLE
        assert probe.probe_vllm(cache=tmp_path) == USABLE
        assert children.calls == 1

    @pytest.mark.parametrize("changed", ["vllm", "torch", "transformers"])
    def test_another_version_is_asked_anew(
        self, children: Children, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: str
    ) -> None:
        probe.probe_vllm(cache=tmp_path)
        monkeypatch.setattr(
            probe,
            "installed_version",
            lambda *names: "0.33.0" if changed in names else "0.32.0",
        )
        probe.probe_vllm(cache=tmp_path)
        assert children.calls == 2

    def test_other_visible_gpus_are_asked_anew(
        self, children: Children, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        probe.probe_vllm(cache=tmp_path)
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
        probe.probe_vllm(cache=tmp_path)
        assert children.calls == 2

    def test_other_gpus_at_the_same_addresses_are_told_apart(self, tmp_path: Path) -> None:
        """Two machines with one cache between them."""
        told = tmp_path / "0000:0f:00.0" / "information"
        told.parent.mkdir()
        address = "Bus Location: 0000:0f:00.0\n"
        told.write_text("Model: A100-SXM4-40GB\nIRQ: 17\n" + address)
        [small] = probe._gpus(tmp_path)
        told.write_text("Model: A100-SXM4-80GB\nIRQ: 18\n" + address)
        assert probe._gpus(tmp_path) != [small]
        told.write_text("Model: A100-SXM4-40GB\nIRQ: 19\n" + address)
        assert probe._gpus(tmp_path) == [small]

    def test_a_failure_is_not_kept(self, children: Children, tmp_path: Path) -> None:
        """The mend, such as removing a broken torchvision, changes no version in the key."""
        children.trial = Trial(None, "RuntimeError: operator torchvision::nms does not exist")
        seen = probe.probe_vllm(cache=tmp_path)
        assert not seen.usable
        assert seen.reason == (
            "vLLM cannot be imported: RuntimeError: operator torchvision::nms does not exist"
        )
        children.trial = Trial(dict(CPU_BUILD))
        assert probe.probe_vllm(cache=tmp_path) == USABLE

    @pytest.mark.parametrize("text", ["", "{}", "[1]", '{"usable": true}'])
    def test_a_damaged_cache_is_asked_anew(
        self, children: Children, tmp_path: Path, text: str
    ) -> None:
        probe.probe_vllm(cache=tmp_path)
        [kept] = tmp_path.iterdir()
        kept.write_text(text)
        assert probe.probe_vllm(cache=tmp_path) == USABLE
        assert children.calls == 2

    def test_a_cache_that_cannot_be_written_costs_only_time(
        self, children: Children, tmp_path: Path
    ) -> None:
        (tmp_path / "file").touch()
        assert probe.probe_vllm(cache=tmp_path / "file" / "cache") == USABLE

    def test_a_cuda_build_needs_a_gpu(self, children: Children, tmp_path: Path) -> None:
        children.trial = Trial(CPU_BUILD | {"platform": "cuda"})
        seen = probe.probe_vllm(cache=tmp_path)
        assert (seen.usable, seen.platform) == (False, "cuda")
        assert "torch sees no GPU" in seen.reason
        children.trial = Trial(CPU_BUILD | {"platform": "cuda", "devices": [79.1, 79.1]})
        seen = probe.probe_vllm(cache=tmp_path)
        assert (seen.usable, seen.devices) == (True, (79.1, 79.1))
        assert probe.probe_vllm(cache=tmp_path) == seen

    def test_what_an_earlier_version_kept_is_asked_anew(
        self, children: Children, tmp_path: Path
    ) -> None:
        """It knew of no devices."""
        probe.probe_vllm(cache=tmp_path)
        [kept] = tmp_path.iterdir()
        told = json.loads(kept.read_text())
        del told["devices"]
        kept.write_text(json.dumps(told))
        assert probe.probe_vllm(cache=tmp_path) == USABLE
        assert children.calls == 2

    def test_the_real_one(self, tmp_path: Path) -> None:
        if importlib.util.find_spec("vllm") is None:
            pytest.skip("vLLM is not installed")
        seen = probe.probe_vllm(cache=tmp_path)
        assert seen.usable, seen.reason
        assert "LlamaForCausalLM" in seen.architectures
        if seen.platform == "cpu":
            assert 64 in seen.head_sizes
            assert not {8, 16} & set(seen.head_sizes)


class TestTorch:
    def test_the_real_one(self) -> None:
        seen = probe.probe_torch()
        assert seen.torch.ok, seen.torch.reason
        assert seen.threads >= 1
        assert (seen.bfloat16_gpu is None) == (not seen.gpus)

    def test_an_illegal_instruction_is_an_answer(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The death is real: the function that replaces the product raises SIGILL in its child."""
        (tmp_path / "amx_advertised.py").write_text(
            "def product():\n    import os, signal\n    os.kill(os.getpid(), signal.SIGILL)\n"
        )
        monkeypatch.syspath_prepend(tmp_path)
        import amx_advertised  # type: ignore[import-not-found]

        monkeypatch.setattr(probe, "try_bfloat16_cpu", amx_advertised.product)
        assert probe.probe_torch().bfloat16_cpu == probe.Works(
            False, "bfloat16 on this CPU dies with an illegal instruction; float32 is used"
        )

    def test_a_wrong_product_is_no_product(
        self, children: Children, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        children.trial = Trial({"threads": 2, "gpus": [], "error": 0.4})
        works = probe.probe_torch().bfloat16_cpu
        assert not works.ok
        assert "computes wrongly" in works.reason

    def test_a_broken_torch_is_said(self, children: Children) -> None:
        children.trial = Trial(None, "ImportError: libcudart.so.13")
        seen = probe.probe_torch()
        assert seen.torch.reason == "torch cannot be imported: ImportError: libcudart.so.13"
        assert not seen.bfloat16_cpu.ok


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, int]]:
    """A hub that answers each HEAD with `status`."""
    answer = {"status": 200}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(answer["status"])
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{listening.server_port}")
        yield answer
        listening.shutdown()


class TestHub:
    @pytest.mark.parametrize("status", [200, 301, 404])
    def test_any_answer_of_its_own_is_a_sign_of_life(
        self, server: dict[str, int], status: int
    ) -> None:
        server["status"] = status
        assert probe.probe_hub().state == "reachable"

    @pytest.mark.parametrize("status", [403, 407, 503])
    def test_a_proxy_in_its_place_is_not(self, server: dict[str, int], status: int) -> None:
        server["status"] = status
        seen = probe.probe_hub()
        assert (seen.state, seen.reason) == ("unreachable", f"it answered with status {status}")

    def test_nobody_there(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
        seen = probe.probe_hub(timeout=2)
        assert seen.state == "unreachable"
        assert seen.reason

    def test_offline_asks_nobody(
        self, server: dict[str, int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
        assert probe.probe_hub().state == "offline"

    def test_a_token_is_said_to_exist_and_not_shown(
        self, server: dict[str, int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert not probe.probe_hub().token
        monkeypatch.setenv("HF_TOKEN", "hf_word")
        seen = probe.probe_hub()
        assert seen.token
        assert "hf_word" not in repr(seen)


def test_the_cache_folder_can_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BFPO_BENCH_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert default_cache() == Path.home() / ".cache" / "bfpo-bench"
    monkeypatch.setenv("XDG_CACHE_HOME", "/base")
    assert default_cache() == Path("/base/bfpo-bench")
    monkeypatch.setenv("BFPO_BENCH_CACHE", "/own")
    assert default_cache() == Path("/own")
