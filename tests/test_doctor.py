"""`doctor` says what works, what does not, and how to mend it."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from bfpo_bench import doctor
from bfpo_bench.cli.doctor import doctor as command
from bfpo_bench.doctor import Check
from bfpo_bench.engines import probe
from bfpo_bench.engines.trial import Trial

WORKS = Check("transformers engine", "ok", "2 tokens written on cpu, float32")
BROKEN = Check("vllm engine", "gap", "vLLM is not installed", "Install it.")


def test_one_engine_is_enough() -> None:
    assert doctor.exit_code([WORKS, BROKEN]) == 0
    assert doctor.exit_code([BROKEN, Check("hub", "ok", "answers")]) == 2


def test_a_small_disk_is_a_gap(tmp_path: Path) -> None:
    unmade = tmp_path / "not" / "yet"
    assert doctor.disk("hub cache", unmade, 0, "Free some space.").state == "ok"
    check = doctor.disk("hub cache", unmade, 1e9, "Free some space.")
    assert (check.state, check.mend) == ("gap", "Free some space.")
    assert "less than 1e+09 GiB" in check.detail


def test_a_folder_that_cannot_be_written_is_a_gap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    check = doctor.disk("current folder", tmp_path, 0, "Give --out.")
    assert check.state == "gap"
    assert check.detail.endswith("not writable")


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        probe, "installed_version", lambda *names: None if "peft" in names else "1.0"
    )
    [check] = doctor.check_packages()
    assert check.state == "gap"
    assert check.detail.endswith("missing: peft")
    assert "torch 1.0" in check.detail
    assert "vllm 1.0" in check.detail


@pytest.mark.parametrize(
    ("reason", "mend"),
    [
        ("vLLM is not installed", ".[vllm]"),
        ("vLLM cannot be imported: operator torchvision::nms", "pip uninstall torchvision"),
        ("this vLLM is built for CUDA and torch sees no GPU", "CUDA_VISIBLE_DEVICES"),
        ("vLLM cannot be imported: ImportError: libfoo", "Install vLLM again"),
    ],
)
def test_each_gap_of_vllm_has_its_own_mend(
    monkeypatch: pytest.MonkeyPatch, reason: str, mend: str
) -> None:
    monkeypatch.setattr(
        probe, "probe_vllm", lambda: probe.VllmProbe(False, reason, None, None, (), ())
    )
    [check] = doctor.check_vllm()
    assert (check.state, check.detail) == ("gap", reason)
    assert mend in check.mend


def test_an_engine_that_dies_is_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "attempt", lambda *_, **__: Trial(None, "RuntimeError: no memory"))
    [check] = doctor.check_transformers()
    assert (check.state, check.detail) == ("gap", "RuntimeError: no memory")
    assert check.mend


def test_bfloat16_that_dies_is_a_gap_with_a_mend(monkeypatch: pytest.MonkeyPatch) -> None:
    dead = probe.Works(False, "bfloat16 on this CPU dies with an illegal instruction")
    gpu = probe.Gpu("NVIDIA Thing", memory=80, free=79)
    seen = probe.TorchProbe(probe.Works(True), 2, (gpu,), dead, probe.Works(True))
    monkeypatch.setattr(probe, "probe_torch", lambda: seen)
    checks = {check.name: check for check in doctor.check_devices()}
    assert checks["CPU bfloat16"].state == "gap"
    assert "ONEDNN_MAX_CPU_ISA" in checks["CPU bfloat16"].mend
    assert checks["GPU bfloat16"].state == "ok"
    assert checks["GPU"].detail == (
        "NVIDIA Thing, 79 of 80 GiB free; 70 GiB for weights and cache: 38 B parameters in 16 bits"
    )


@pytest.mark.parametrize(
    ("state", "expected"), [("reachable", "ok"), ("offline", "info"), ("unreachable", "gap")]
)
def test_the_hub(monkeypatch: pytest.MonkeyPatch, state: str, expected: str) -> None:
    seen = probe.HubProbe(state, "http://hub", "a reason", token=False)  # type: ignore[arg-type]
    monkeypatch.setattr(probe, "probe_hub", lambda: seen)
    [check] = doctor.check_hub()
    assert check.state == expected
    assert bool(check.mend) == (expected == "gap")


def test_the_tasks_are_counted() -> None:
    [check] = doctor.check_tasks()
    assert check.state == "ok"
    assert int(check.detail.split()[0]) > 0


def test_what_libraries_say_is_shown_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    odd = Check("vllm engine", "gap", "[red]ValueError[/red]: pip install 'x[vllm]'", "Mend it.")
    Console(width=200).print(doctor.table([odd]))
    assert "[red]ValueError[/red]: pip install 'x[vllm]'" in capsys.readouterr().out


@pytest.mark.parametrize(("checks", "code"), [([WORKS, BROKEN], 0), ([BROKEN], 2)])
def test_the_command_prints_json_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, checks: list[Check], code: int
) -> None:
    def examine(progress: object) -> list[Check]:
        assert callable(progress)
        progress("the hub")
        return checks

    monkeypatch.setattr(doctor, "examine", examine)
    # A terminal, as it were: the line that shows progress must not end up in the JSON.
    monkeypatch.setenv("FORCE_COLOR", "1")
    app = typer.Typer()
    app.command()(command)
    result = CliRunner().invoke(app, ["--json"])
    assert result.exit_code == code
    told = json.loads(result.stdout)
    assert told["exit_code"] == code
    assert told["checks"][-1]["mend"] == "Install it."
    assert "Install it." in CliRunner().invoke(app, []).stdout


def test_every_check_runs_and_every_gap_has_a_mend(monkeypatch: pytest.MonkeyPatch) -> None:
    """All but the engines, which have tests of their own below."""
    for name in ("check_transformers", "check_vllm"):
        monkeypatch.setattr(doctor, name, lambda: [WORKS])
    looked_at: list[str] = []
    checks = doctor.examine(looked_at.append)
    assert len(looked_at) == 7
    assert all(check.mend for check in checks if check.state == "gap")
    assert {"packages", "CPU", "hub cache", "hub", "tasks"} <= {check.name for check in checks}


def test_the_transformers_engine_writes_two_tokens() -> None:
    [check] = doctor.check_transformers()
    assert check.state == "ok", check.detail
    assert check.detail.startswith("2 tokens written on ")


def test_the_vllm_engine_writes_two_tokens() -> None:
    if importlib.util.find_spec("vllm") is None:
        pytest.skip("vLLM is not installed")
    if not probe.probe_vllm().usable:
        pytest.skip(f"vLLM cannot be used here: {probe.probe_vllm().reason}")
    [check] = doctor.check_vllm()
    assert check.state == "ok", check.detail
    assert check.detail.startswith("2 tokens written on ")
