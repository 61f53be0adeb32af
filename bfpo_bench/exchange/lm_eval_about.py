"""Names, times and settings as lm-eval writes them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from bfpo_bench.runs.identity import Settings, digest
from bfpo_bench.scoring.finished import FinishedRun
from bfpo_bench.suite.discriminative import FEW_SHOT_SEED

_LM_EVAL = "0.4.13"


def moment(run: FinishedRun) -> str:
    """When the run began, in UTC, as lm-eval writes times into names of files."""
    started = (str(session.get("started", ""))[:19] for session in run.manifest.sessions)
    return next(filter(_is_time, started), "1970-01-01T00:00:00").replace(":", "-")


def _is_time(text: str) -> bool:
    try:
        datetime.strptime(text, "%Y-%m-%dT%H:%M:%S")
    except ValueError:
        return False
    return True


def model_folder(name: str) -> str:
    """The model's name as a folder's, as lm-eval's `sanitize_model_name` writes it."""
    return re.sub(r"[\x00-\x1f\"<>:/|\\?*\[\]]+", "__", name).lstrip(".")[:200] or "model"


def file_part(task: str) -> str:
    """A task's name as part of a file's: as it is, but for names that no suite of ours would take."""
    return re.sub(r"[^A-Za-z0-9._+-]+", "_", task).lstrip(".")[:128] or "task"


def decoding(settings: Settings, task: str | None = None) -> dict[str, Any]:
    """The suite's decoding, or a task's where it has some of its own, by lm-eval's names."""
    common = {"temperature": settings.temperature, "top_p": settings.top_p}
    common |= {"max_gen_toks": settings.max_new_tokens}
    own = settings.task_decoding.get(task or "", {})
    return common | {"max_gen_toks" if k == "max_new_tokens" else k: v for k, v in own.items()}


def about(run: FinishedRun) -> dict[str, Any]:
    """lm-eval's words about the model and the run, and ours under `bfpo_bench`."""
    settings, sessions = run.manifest.settings, run.manifest.sessions
    # A session that only scores anew has no device, and says nothing of the answers
    answered = next((s for s in sessions if s.get("device")), {})
    versions = answered.get("versions", {})
    system = settings.system_prompt
    return {
        "config": {
            "model": "bfpo-bench",
            "model_args": {"pretrained": run.scores.model},
            "batch_size": None,
            "batch_sizes": [],
            "device": (answered.get("device") or {}).get("device"),
            "use_cache": None,
            "limit": settings.limit,
            "bootstrap_iters": 0,
            "gen_kwargs": decoding(settings),
            "random_seed": settings.seed,
            "numpy_seed": settings.seed,
            "torch_seed": settings.seed,
            "fewshot_seed": FEW_SHOT_SEED,
        },
        "git_hash": answered.get("git_commit"),
        "date": _seconds(run),
        "transformers_version": versions.get("transformers"),
        "lm_eval_version": versions.get("lm-eval", _LM_EVAL),
        "upper_git_hash": None,
        "task_hashes": {task: digest(told) for task, told in settings.tasks.items()},
        "model_source": "bfpo-bench",
        "model_name": run.scores.model,
        "model_name_sanitized": model_folder(run.scores.model),
        "system_instruction": system,
        "system_instruction_sha": digest(system) if system else None,
        "fewshot_as_multiturn": False,
        "chat_template": None,
        "chat_template_sha": run.manifest.model.chat_template,
        "total_evaluation_time_seconds": _duration(sessions),
        "bfpo_bench": {
            "suite": f"{run.scores.suite}@{run.scores.suite_version}",
            "partial": run.scores.partial,
            "comparability_key": run.scores.comparability_key,
            "judges": run.scores.judges,
            "missing": run.scores.missing,
        },
    }


def _seconds(run: FinishedRun) -> float:
    return datetime.strptime(moment(run), "%Y-%m-%dT%H-%M-%S").replace(tzinfo=UTC).timestamp()


def _duration(sessions: list[dict[str, Any]]) -> str:
    """Of the sessions that did something but score: what a repeated command adds is no work."""
    return str(round(sum(_worked(session) for session in sessions), 3))


def _worked(session: Mapping[str, Any]) -> float:
    return sum(s for name, s in session.get("seconds", {}).items() if name != "score")
