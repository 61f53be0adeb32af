"""What batched judging gains over one response a call, and what it costs beside the engine alone.

    python benchmarks/judging.py [--model ID_OR_PATH] [--judge NAME] [--engine transformers|vllm]
                                 [--new-tokens N] [--responses N] [--single N] [--repeats N] [--json]

The judge asks the model named (default: karpathy/stories260K-head64, a real model that any engine
serves) by a question of one line for a verdict of 32 tokens, which three lines such as WildGuard's
take; `--new-tokens 1` is HarmBench's way, and `--judge yesno` asks the package's longer question. Prompts and responses are plain English, all different. Three sides,
in turns, in one process, on one loaded engine:

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
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from overhead import alone

from bfpo_bench.engines.base import Engine, GenerationRequest
from bfpo_bench.engines.select import EngineChoice, load_engine
from bfpo_bench.engines.subject import load_tokenizer, model_files
from bfpo_bench.judges.item import Item
from bfpo_bench.judges.running import generative
from bfpo_bench.judges.running.local import prepare
from bfpo_bench.judges.running.run import findings
from bfpo_bench.judges.running.work import Work
from bfpo_bench.judging import JudgeOptions, plan_judge

WORDS = (
    "the small red dog went to a park and saw girls and boys who said hello then came home in rain "
    "to their house where mother made soup for them all while birds sang in trees near lake"
)


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
    draw = random.Random(0)

    def text(low: int, high: int) -> str:
        return " ".join(draw.choices(WORDS.split(), k=draw.randint(low, high)))

    return [Item(text(8, 24), text(20, 60)) for _ in range(count)]


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


def one_a_call(engine: Any, work: Work, items: list[Item]) -> int:
    """Each item by itself, from its texts to its label."""
    parse = work.judge.parse()
    asked = prepare(work, items[:1])
    for item in items:
        one = prepare_one(work, asked.tokenizer, asked.files.context, item)
        tokens = single(engine, one, work.judge.spec.max_new_tokens)
        parse(asked.tokenizer.decode(tokens, skip_special_tokens=True))
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


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--model", default="karpathy/stories260K-head64")
    parser.add_argument("--judge", help="a judge of the package; default: one short question")
    parser.add_argument("--new-tokens", type=int, default=32)
    parser.add_argument("--engine", default="transformers", choices=["transformers", "vllm"])
    parser.add_argument("--responses", type=int, default=512)
    parser.add_argument("--single", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    folder = short(Path(tempfile.mkdtemp()), options.new_tokens)
    judge = f"{options.judge or folder}={options.model}"
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
    requests = [GenerationRequest(prompt, new) for _, prompt in prepare(work, items).prompts]
    sides: dict[str, tuple[int, Callable[[], int]]] = {
        "judging": (len(items), lambda: judging(engine, work, items)),
        "engine alone": (len(items), lambda: alone(engine, requests)),
        "one a call": (options.single, lambda: one_a_call(engine, work, items[: options.single])),
    }
    for _, call in sides.values():
        call()
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(options.repeats):
        for name, (_, call) in sides.items():
            started = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - started)
    rate = {n: count / statistics.median(seconds[n]) for n, (count, _) in sides.items()}
    result = {
        "engine": options.engine,
        "model": work.subject.name,
        "judge": work.judge.spec.name,
        "responses": options.responses,
        "prompt_tokens": statistics.mean(len(r.prompt) for r in requests),
        "new_tokens": new,
        "responses_per_second": rate,
        "all_seconds": seconds,
        "judging_over_one_a_call": rate["judging"] / rate["one a call"],
        "judging_over_engine_alone": rate["engine alone"] / rate["judging"],
        "device": engine.describe(),
    }
    engine.close()
    print(json.dumps(result, indent=2) if options.json else table(result))


def table(result: dict[str, Any]) -> str:
    what = f"{result['prompt_tokens']:.0f} tokens in, {result['new_tokens']} out"
    lines = [f"{result['model']} on {result['engine']}: {result['responses']} responses, {what}"]
    lines += [f"{n:14}{r:>12.1f} /s" for n, r in result["responses_per_second"].items()]
    lines.append(f"throughput, judging / one a call:  {result['judging_over_one_a_call']:.1f}")
    lines.append(f"time, judging / engine alone:      {result['judging_over_engine_alone']:.3f}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
