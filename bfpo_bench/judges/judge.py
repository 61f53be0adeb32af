"""A judge: its judge.yaml, the folder that it lies in, and the model that the user chose for it."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from bfpo_bench.errors import UserError
from bfpo_bench.judges.finding import Finding
from bfpo_bench.judges.item import Item
from bfpo_bench.judges.rules import package_versions, rule_files
from bfpo_bench.judges.spec import JudgeSpec, sha256_of
from bfpo_bench.suite.tasks import TaskSpec

Parser = Callable[..., Any]
Finder = Callable[[Item], Finding]


class Judge(BaseModel):
    """A judge as the user asked for it. `key` names its verdict file: name, or name@model.

    `joined`: nobody named it; it came because a task needs its kind.
    """

    model_config = ConfigDict(frozen=True)

    spec: JudgeSpec
    folder: Path
    model: str | None = None
    model_given: bool = False
    joined: bool = False

    @property
    def key(self) -> str:
        return f"{self.spec.name}@{self.model}" if self.model_given else self.spec.name

    def scores(self, task: TaskSpec) -> bool:
        """Whether this judge's verdict can count for the task."""
        if task.kind != "generative" or self.spec.kind not in task.judged_by:
            return False
        if not self.spec.document_fields <= set(task.keep):
            return False
        return task.prompts is None or task.prompts in self.spec.prompts

    @cached_property
    def rules_sha256(self) -> str:
        """Hash of what turns a response into a label besides prompt and model.

        That is judge.yaml, the parser with what it imports of ours and the weights that it loads,
        what happens to every response before a judge sees it, and the versions of the packages that
        it names.
        """
        files = rule_files(self._file(f"{self.spec.parser.partition(':')[0]}.py", "parser"))
        before = [Path(__file__).with_name(n) for n in ("reasoning.py", "degenerate.py", "item.py")]
        files += [f for f in before if f not in files]
        told = [self.spec.rules(), *(f.read_text() for f in files)]
        told += package_versions(self.spec.name, self.spec.packages)
        if self.spec.weights is not None:
            content = self._file(self.spec.weights, "weights").read_bytes()
            told.append(hashlib.sha256(content).hexdigest())
        return sha256_of("".join(told))

    def _file(self, name: str, what: str) -> Path:
        path = self.folder / name
        if not path.is_file():
            raise UserError(f"Judge {self.spec.name}: its {what} file {path} is missing.")
        return path

    def parse(self) -> Parser:
        """The parser function that judge.yaml names as `module:function` beside it.

        What it takes depends on the judge's engine (see JudgeSpec); it returns a label or a Finding.
        Raises UserError where there is no such file or function.
        """
        module, _, function = self.spec.parser.partition(":")
        path = self._file(f"{module}.py", "parser")
        spec = importlib.util.spec_from_file_location(f"bfpo_judge_{self.spec.name}_{module}", path)
        if spec is None or spec.loader is None:
            raise UserError(f"Judge {self.spec.name}: its parser file {path} cannot be imported.")
        loaded = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(loaded)
        parser: Parser | None = getattr(loaded, function, None) if function else None
        if parser is None:
            raise UserError(
                f"Judge {self.spec.name}: {path} has no function {function!r}: "
                "name it in judge.yaml as `parser: module:function`."
            )
        return parser

    def finder(self) -> Finder:
        """The parser of a judge without a model as a function of the item, whichever shape it has.

        A judge that needs the document has not judged a response that was stored without one.
        """
        parse = self.parse()

        def find(item: Item) -> Finding:
            more: list[str | Mapping[str, Any]] = []
            if self.spec.document:
                if item.document is None:
                    return Finding("unjudged", error="the response was stored without its document")
                more.append(item.document)
            if self.spec.request:
                more.append(item.prompt)
            return self.checked(parse(item.answer, *more))

        return find

    def checked(self, parsed: Finding | str, raw: str | None = None) -> Finding:
        """What a parser returned, as a finding with one of this judge's labels or `unjudged`.

        `raw` is what it read, where the finding does not say so itself.
        """
        found = parsed if isinstance(parsed, Finding) else Finding(parsed, raw=raw)
        if found.label in self.spec.labels:
            return found
        error = found.error
        if found.label != "unjudged" or error is None:
            error = f"the judge's answer is none of its labels ({found.label})"
        return Finding("unjudged", None, found.raw or raw, error, found.answers, found.fault)
