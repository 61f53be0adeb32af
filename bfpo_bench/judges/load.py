"""Which judges there are, and which of them a run has."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from importlib.metadata import entry_points
from pathlib import Path

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from bfpo_bench.errors import UserError, key_path
from bfpo_bench.judges.judge import Judge
from bfpo_bench.judges.spec import JudgeSpec
from bfpo_bench.names import existing, shortened
from bfpo_bench.nearest import nearest
from bfpo_bench.suite.tasks import TaskSpec

_JOINING = {"instructions": "ifeval", "truth": "truthfulqa", "toxicity": "toxicity"}
"""Kind -> the judge that joins a run which has none of that kind and a task that needs one."""


def _folders() -> dict[str, Path]:
    here = Path(__file__).parent
    found = {p.parent.name: p.parent for p in sorted(here.glob("*/judge.yaml"))}
    for entry in entry_points(group="bfpo_bench.judges"):
        try:
            module = importlib.util.find_spec(entry.value)
        except ModuleNotFoundError:
            continue
        if module is not None and module.submodule_search_locations:
            found[entry.name] = Path(next(iter(module.submodule_search_locations)))
    return found


def judge_names() -> list[str]:
    """Judges of the package and of installed plugins (entry points `bfpo_bench.judges`: a package
    that holds judge.yaml)."""
    return list(_folders())


def _read_spec(folder: Path) -> JudgeSpec:
    try:
        return JudgeSpec(**yaml.safe_load((folder / "judge.yaml").read_text()))
    except ValidationError as error:
        wrong = [_wrong(e) for e in error.errors()]
        raise UserError(
            f"{folder / 'judge.yaml'} does not fit ({'; '.join(wrong)}): mend it."
        ) from error
    except (OSError, TypeError, ValueError, RecursionError, yaml.YAMLError) as error:
        reason = " ".join(str(error).splitlines()[:3])
        raise UserError(f"{folder / 'judge.yaml'} does not fit ({reason}): mend it.") from error


def _wrong(error: ErrorDetails) -> str:
    where = key_path(error["loc"])
    message = error["msg"].removeprefix("Value error, ")
    return f"{where}: {message}" if where else message


def known_judges() -> list[JudgeSpec]:
    """The judge.yaml of every judge of the package and of installed plugins."""
    return [_read_spec(folder) for folder in _folders().values()]


def load_judge(asked: str) -> Judge:
    """The judge behind `NAME_OR_FOLDER[=MODEL]`.

    Raises UserError for an unknown name (with the nearest), a folder that is no judge, or a judge
    that needs a model and has none.
    """
    name, _, model = asked.partition("=")
    folder = _folders().get(name) or existing(name)
    if folder is None or not (folder / "judge.yaml").is_file():
        if folder is not None and folder.is_dir():
            raise UserError(
                f"The folder {name} has no judge.yaml: write one, or name another judge."
            )
        raise UserError(
            f"There is no judge {shortened(name)!r}{nearest(name, judge_names())}: name one of "
            f"{', '.join(judge_names())}, or a folder with a judge.yaml."
        )
    spec = _read_spec(folder)
    if spec.engine == "none" and model:
        raise UserError(f"Judge {name} uses no model: drop '={model}'.")
    if spec.engine != "none" and not (model or spec.model):
        what = "MODEL_OF_THE_SERVER" if spec.engine == "api" else "ID_OR_PATH"
        raise UserError(f"Judge {name} needs a model: --judge {name}={what}.")
    return Judge(spec=spec, folder=folder, model=model or spec.model, model_given=bool(model))


def load_judges(asked: Sequence[str], tasks: Sequence[TaskSpec] = ()) -> list[Judge]:
    """The judges of a run, in the order named; then those that join by themselves.

    - where no judge of harm or refusals was named: `harm`, which decides about harmful prompts;
    - `ifeval`, `truthfulqa` and `toxicity` where one of `tasks` is judged by their kind and no judge
      of that kind was named;
    - last, where no judge of refusals was named, `refusal`: without one, benign prompts could not be
      scored and harmless answers not be told from refusals.

    Raises UserError as `load_judge` does, and for a judge named twice.
    """
    judges = [load_judge(a) for a in asked]
    named = {j.spec.kind for j in judges}
    wanted = {kind for task in tasks for kind in task.judged_by}
    joining = [] if named & {"harm", "refusal"} else ["harm"]
    joining += [name for kind, name in _JOINING.items() if kind in wanted - named]
    joining += [] if "refusal" in named else ["refusal"]
    judges += [load_judge(n).model_copy(update={"joined": True}) for n in joining]
    keys = [j.key for j in judges]
    for key in keys:
        if keys.count(key) > 1:
            raise UserError(f"Judge {key} is named twice: name it once.")
    return judges
