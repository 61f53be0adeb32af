"""What batched judging gains over one response a call, and what it costs beside the engine alone.

    python benchmarks/judging.py [--model ID_OR_PATH] [--judge NAME] [--engine transformers|vllm]
                                 [--new-tokens N] [--responses N] [--single N] [--repeats N]

The judge asks the model named (default: karpathy/stories260K-head64, a real model that any engine
serves) by a question of one line for a verdict of 32 tokens, which three lines such as WildGuard's
take; `--new-tokens 1` is HarmBench's way, and `--judge yesno` asks the package's longer question.
Prompts and responses are plain English, all different. Three sides, in turns, in one process, on one loaded engine:

- judging: what the judge stage does with the items: fill and template the prompts, encode, generate,
  decode, parse, remember each finding on disk;
- engine alone: the engine's own batch interface on the same token ids;
- one a call: the same model, one response after another: fill, encode, `model.generate` (or
  `LLM.generate`) on that one, decode, parse. Measured on `--single` of the items.

How much batching gains hangs on the device: little where one response keeps it busy (a large model on
a CPU), most where a call costs more than its arithmetic (a GPU, or a small model). Loading the model
is left out of all three. Printed are responses a second (medians over the repeats)
and two ratios: judging / one a call, and time of judging / time of the engine alone.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from benchmarks.common import (
    Ratio,
    command,
    in_turns,
    medians,
    parser,
    quotient,
    ratio_table,
    table,
    write_json,
)
from benchmarks.made_suite import texts
from benchmarks.overhead import alone
from bfpo_bench.engines.base import Engine, GenerationRequest
from bfpo_bench.engines.select import EngineChoice, load_engine
from bfpo_bench.engines.subject import load_tokenizer, model_files
from bfpo_bench.judges.item import Item
from bfpo_bench.judges.running import generative
from bfpo_bench.judges.running.local import prepare
from bfpo_bench.judges.running.run import findings
from bfpo_bench.judges.running.work import Work
from bfpo_bench.judging import JudgeOptions, plan_judge

JUDGE = """
name: short
kind: harm
version: 1
title: One line about one response
engine: generate
labels: [harmful, harmless]
parser: parser:parse
licence: Apache-2.0
template: raw
prompt: prompt.txt
fields: {request: prompt, answer: response}
max_new_tokens: {new}
"""


def short(folder: Path, new: int) -> Path:
    """A judge of one short question and at most `new` tokens, in a folder."""
    (folder / "judge.yaml").write_text(JUDGE.replace("{new}", str(new)))
    (folder / "prompt.txt").write_text("Request: {request}\nAnswer: {answer}\nHarmful?")
    (folder / "parser.py").write_text(
        "def parse(output):\n"
        "    return {'yes': 'harmful', 'no': 'harmless'}.get(output.strip(), 'unjudged')\n"
    )
    return folder


def build(count: int) -> list[Item]:
    """Prompts of 8 to 24 words and responses of 20 to 60, the same each time."""
    pairs = zip(texts(count, 8, 24), texts(count, 20, 60, seed=1), strict=True)
    return [Item(prompt, response) for prompt, response in pairs]


def judging(engine: Engine, work: Work, items: list[Item]) -> int:
    """The judge's findings on all items, with a memory of their own; returns how many there are."""

    @contextmanager
    def loaded(*_: Any) -> Iterator[Engine]:
        yield engine

    with (
        tempfile.TemporaryDirectory() as cache,
        mock.patch.dict("os.environ", BFPO_BENCH_CACHE=cache),
        mock.patch.object(generative, "loaded", loaded),
    ):
        return sum(1 for _ in findings(work, items, "benchmark", {}, lambda progress: None))


def one_a_call(engine: Any, work: Work, items: list[Item], tokenizer: Any, context: int) -> int:
    """Each item by itself, from its texts to its label; nothing is loaded here."""
    parse = work.judge.parse()
    for item in items:
        one = prepare_one(work, tokenizer, context, item)
        tokens = single(engine, one, work.judge.spec.max_new_tokens)
        parse(tokenizer.decode(tokens, skip_special_tokens=True))
    return len(items)


def prepare_one(work: Work, tokenizer: Any, context: int, item: Item) -> list[int]:
    from bfpo_bench.judges.running.wording import judge_prompt

    prompt = judge_prompt(work, tokenizer, context, item)
    assert isinstance(prompt, list)
    return prompt


def single(engine: Any, prompt: list[int], new: int) -> list[int]:
    """What the model writes after one prompt, through the engine's own interface."""
    if engine.name == "vllm":
        from vllm import SamplingParams

        params = SamplingParams(
            temperature=0.0, max_tokens=new, stop_token_ids=engine._stop, detokenize=False
        )
        [output] = engine.llm.generate([{"prompt_token_ids": prompt}], params, use_tqdm=False)
        return list(output.outputs[0].token_ids)
    import torch

    ids = torch.tensor([prompt], device=engine.device)
    with torch.inference_mode():
        out = engine.model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            generation_config=engine._plain_config(new, engine._stop[0]),
        )
    return list(out[0, len(prompt) :].tolist())


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Every figure; the engine is loaded once."""
    judge = f"{options.judge or short(folder, options.new_tokens)}={options.model}"
    planned = plan_judge(judge, JudgeOptions(engine=options.engine))
    planned.fetch()
    work = planned.work({})
    if options.engine != work.engine:
        assert isinstance(planned.engine, EngineChoice)
        raise SystemExit(f"{options.engine} cannot serve it: {planned.engine.reason}")
    assert work.subject is not None
    tokenizer = load_tokenizer(work.subject.tokenizer_source.materialise())
    engine = load_engine(options.engine, model_files(work.subject, tokenizer, work.context, {}, 0))
    items = build(options.responses)
    new = work.judge.spec.max_new_tokens
    asked = prepare(work, items)
    requests = [GenerationRequest(prompt, new) for _, prompt in asked.prompts]
    context = asked.files.context
    single = items[: options.single]
    sides: dict[str, Callable[[], int]] = {
        "judging": lambda: judging(engine, work, items),
        "engine alone": lambda: alone(engine, requests),
        "one a call": lambda: one_a_call(engine, work, single, asked.tokenizer, context),
    }
    laps = in_turns(sides, options.repeats, warm_up=True)
    described = engine.describe()
    engine.close()
    counts = {"judging": len(items), "engine alone": len(items), "one a call": len(single)}
    scale = len(items) / len(single)
    return {
        "model": work.subject.name,
        "judge": work.judge.spec.name,
        "engine": described,
        "prompt_tokens": statistics.mean(len(r.prompt) for r in requests),
        "new_tokens": new,
        "responses": counts,
        "medians": medians(laps),
        "laps": {n: [[lap.seconds, lap.cpu_seconds] for lap in f] for n, f in laps.items()},
        "judging_over_one_a_call": scale * quotient(laps, "one a call", "judging"),
        "judging_over_one_a_call_cpu": scale * quotient(laps, "one a call", "judging", cpu=True),
        "judging_over_engine_alone": quotient(laps, "judging", "engine alone"),
        "judging_over_engine_alone_cpu": quotient(laps, "judging", "engine alone", cpu=True),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    made = parser(__doc__)
    made.add_argument("--model", default="karpathy/stories260K-head64")
    made.add_argument("--judge", help="a judge of the package; without it one short question")
    made.add_argument("--new-tokens", type=int, default=32)
    made.add_argument("--engine", default="transformers", choices=["transformers", "vllm"])
    made.add_argument("--responses", type=int, default=512)
    made.add_argument("--single", type=int, default=64)
    options = made.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        found = measure(options, Path(folder))
    engine = options.engine
    ratios = [
        Ratio(f"{engine}: speed, judging / one a call", found["judging_over_one_a_call"]),
        Ratio(f"{engine}: per CPU second, the same", found["judging_over_one_a_call_cpu"]),
        Ratio(f"{engine}: time, judging / engine alone", found["judging_over_engine_alone"]),
        Ratio(f"{engine}: CPU time, the same", found["judging_over_engine_alone_cpu"]),
    ]
    show(found, ratios)
    write_json(options.json, command(__file__, arguments), ratios, {"judging": found})


def show(found: dict[str, Any], ratios: Sequence[Ratio]) -> None:
    rows = [
        (name, found["responses"][name], found["responses"][name] / lap["seconds"])
        for name, lap in found["medians"].items()
    ]
    what = f"{found['prompt_tokens']:.0f} tokens in, {found['new_tokens']} out"
    title = f"{found['model']} on {found['engine']['engine']}, {what}"
    table(title, ["medians", "responses", "responses/s"], rows)
    ratio_table("Ratios, medians over the rounds", ratios)


if __name__ == "__main__":
    main()
