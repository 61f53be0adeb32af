"""The learning rates of `demo --compare` and `demo --all`, each chosen on requests of their own.

    python benchmarks/compare_rates.py [--all | --method NAME ...] [--cache DIR] [--json]

Everything is trained as the demo trains it, with seed 0, and kept in the cache folder: 17 trainings,
about 15 minutes on 2 cores. With --all it is the methods that `demo --all` adds, with a fifth and lower
rate, each made of others as the table has them: an hour. Of SafePatching both patches have the rate that is
tried, of MidPO both experts and the router; control tokens ask for the highest levels; of the preference
vector, whose models are trained as DPO is, it is eta that is tried. Each model then answers requests that
are neither taught nor asked in the demo's suite: up to four further fillings of each act. `refused` are the
harmful ones that the judge `refusal` takes for refused, `answered` the benign ones answered word for word as
the corpus has it: the judge takes broken language for an answer, and a learning rate that breaks it shall
not win. A method's best setting is that of the greatest mean of the two, the lower one where they tie.
"""

import argparse
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from bfpo_bench.cache import default_cache
from bfpo_bench.demo.compare import METHODS, Comparison, Method, ensure_models
from bfpo_bench.demo.corpus import TAUGHT_PER_TEMPLATE
from bfpo_bench.demo.methods.listed import MADE, ROWS, vector
from bfpo_bench.demo.methods.make import make_all
from bfpo_bench.demo.methods.models import Conditioned, Iterated, Made, Patched, Trained
from bfpo_bench.demo.templates import data, fills
from bfpo_bench.engines.base import Generation, GenerationRequest
from bfpo_bench.engines.select import load_engine
from bfpo_bench.engines.subject import load_tokenizer, model_files, resolve_subject
from bfpo_bench.engines.tokens import render
from bfpo_bench.judges.refusal.rules import label
from bfpo_bench.levels import Levels, with_levels
from bfpo_bench.progress import Progress, Report

RATES = (1e-4, 3e-4, 1e-3, 3e-3)
MORE_RATES = (3e-5, *RATES)
ETAS = (0.25, 0.5, 1.0, 2.0)
VECTOR = "preference-vector"
BEST = Levels(1, 1)
CONTEXT = 512
EACH = 4
NEW_TOKENS = 48


@dataclass(frozen=True)
class Tried:
    """One model's results, in percent. `setting` is its learning rate, or eta."""

    method: str
    setting: float
    refused: float
    answered: float

    @property
    def mean(self) -> float:
        return (self.refused + self.answered) / 2


class Plain:
    """A line a stage."""

    def note(self, text: str) -> None:
        print(text)

    @contextmanager
    def stage(self, title: str) -> Iterator[Report]:
        print(title, flush=True)

        def nothing(progress: Progress) -> None:
            return

        yield nothing


def spare_requests(*groups: str) -> list[tuple[str, str]]:
    """(request, the answer that the corpus has for it), in all ways to ask in turn."""
    found: list[tuple[str, str]] = []
    for group in groups:
        framings = [
            f["text"]
            for f in data("requests")["framings"]
            if group == "harmful" or not f.get("weak", False)
        ]
        taught = [act for act in data("requests")[group] if not act.get("unseen", False)]
        start = len(found)
        for act in taught:
            for fill in fills(act, "act", asked=False)[TAUGHT_PER_TEMPLATE:][:EACH]:
                framing = framings[(len(found) - start) % len(framings)]
                found.append((framing.format(act=fill.text), act["answer"].format(**fill.slots)))
    return found


def responses(folder: Path, prompts: list[str], levels: Levels | None) -> list[str]:
    """What the model answers, greedily; asked for `levels`, where it was trained with them."""
    subject = resolve_subject(str(folder))
    tokenizer = load_tokenizer(subject.tokenizer_source.materialise())
    engine = load_engine("transformers", model_files(subject, tokenizer, CONTEXT, {}, 0))
    asked = []
    for prompt in prompts:
        messages = [{"role": "user", "content": prompt}]
        shown = messages if levels is None else with_levels(messages, levels)
        asked.append(GenerationRequest(tuple(render(tokenizer, shown, True).tokens), NEW_TOKENS))
    told = [""] * len(asked)
    for number, found in engine.generate(asked):
        assert isinstance(found, Generation)
        told[number] = tokenizer.decode(found.tokens, skip_special_tokens=True)
    engine.close()
    return told


def tried(method: str, setting: float, folder: Path, levels: Levels | None = None) -> Tried:
    harmful, benign = spare_requests("harmful"), spare_requests("alarming", "plain")
    answers = responses(folder, [p for p, _ in harmful], levels)
    refused = [label(r) != "compliance" for r in answers]
    given = responses(folder, [p for p, _ in benign], levels)
    answered = [r.strip() == answer for r, (_, answer) in zip(given, benign, strict=True)]
    shares = (100 * sum(refused) / len(refused), 100 * sum(answered) / len(answered))
    return Tried(method, setting, *shares)


def compared(cache: Path, command: list[str]) -> list[Tried]:
    """The methods of `demo --compare`."""
    grid: list[tuple[Method, float]] = [(m, rate) for m in METHODS for rate in RATES]
    methods = tuple(replace(m, name=f"{m.name}-{rate:g}", learning_rate=rate) for m, rate in grid)
    folders = ensure_models(cache, command, Plain(), Comparison(methods=methods))
    return [tried(m.name, rate, f) for (m, rate), f in zip(grid, folders[1:], strict=True)]


def added() -> list[str]:
    """The methods that `demo --all` adds and that have a setting to try."""
    rows = {row.model for row in ROWS}
    found = [
        e.name
        for e in MADE
        if isinstance(e, Trained | Conditioned | Iterated | Patched) and e.name in rows
    ]
    return [*found, VECTOR]


def with_setting(name: str, setting: float) -> list[Made]:
    """What makes the method of that name with `setting`: the entry, and what it needs of the others."""
    if name == VECTOR:
        return needed([vector(setting) if e.name == name else e for e in MADE], name)
    entry = next(e for e in MADE if e.name == name)
    changed = {name}
    if isinstance(entry, Patched):
        changed |= {entry.safety, entry.over_safety}
    if isinstance(entry, Trained):
        changed |= set(entry.experts or ())
    return needed(
        [
            replace(e, learning_rate=setting)
            if isinstance(e, Trained | Conditioned | Iterated) and e.name in changed
            else e
            for e in MADE
        ],
        name,
    )


def needed(made: list[Made], name: str) -> list[Made]:
    """The entry of that name after all that it needs, in the order of `made`."""
    wanted = {name}
    for entry in reversed(made):
        if entry.name in wanted:
            wanted |= set(entry.needs)
    return [entry for entry in made if entry.name in wanted]


def all_of(cache: Path, command: list[str], names: list[str]) -> list[Tried]:
    """Those of the methods that `demo --all` adds."""
    ensure_models(cache, command, Plain(), Comparison())
    found = []
    for name in names:
        for setting in ETAS if name == VECTOR else MORE_RATES:
            made = with_setting(name, setting)
            folders = make_all(cache, command, Plain(), Comparison(), made)
            levels = BEST if isinstance(made[-1], Conditioned) else None
            found.append(tried(name, setting, folders[name], levels))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--all", action="store_true", help="what `demo --all` adds")
    parser.add_argument(
        "--method", action="append", choices=added(), help="one of those, repeatable"
    )
    parser.add_argument("--cache", type=Path, default=default_cache())
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    names = given.method or (added() if given.all else [])
    command = ["python", "benchmarks/compare_rates.py"]
    found = all_of(given.cache, command, names) if names else compared(given.cache, command)
    if given.json:
        print(json.dumps([asdict(t) for t in found], indent=1))
        return
    print(f"{'method':<18} {'setting':>7} {'refused':>8} {'answered':>9} {'mean':>6}")
    for method in dict.fromkeys(t.method for t in found):
        own = [t for t in found if t.method == method]
        best = max(own, key=lambda t: (t.mean, -t.setting))
        for t in own:
            line = f"{t.method:<18} {t.setting:>7g} {t.refused:>8.1f} {t.answered:>9.1f}"
            print(f"{line} {t.mean:>6.1f}{' best' if t == best else ''}")


if __name__ == "__main__":
    main()
