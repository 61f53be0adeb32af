"""A suite of harmless prompts, as large as asked, for measurements that need no data set."""

from __future__ import annotations

import json
import random
from pathlib import Path

WORDS = (
    "the small red dog went to a park and saw girls and boys who said hello then came home in rain "
    "to their house where mother made soup for them all while birds sang in trees near lake"
)

_TASK = """\
task: bfpo_made_{number}
custom_dataset: !function made.documents_{number}
test_split: test
output_type: generate_until
doc_to_text: prompt
doc_to_target: ""
generation_kwargs: {{until: [], do_sample: false, max_gen_toks: {new}}}
process_results: !function bfpo_bench.suite.keyword_metric.{metric}
metric_list:
  - metric: {name}
    aggregation: mean
    higher_is_better: true
metadata:
  version: 1.0
  cell: {cell}/generative
  family: made-{number}
  weighted: true
  title: Plain English of random words
  source: written for a measurement
  licence: Apache-2.0
  hub_id: null
  split: test
  documents: {documents}
  requests_per_document: 1
  prompt_tokens: 40
  prompts: {prompts}
  judged_by: [refusal, harm]
"""

_DOCUMENTS = """\
import json
from pathlib import Path

from datasets import Dataset

_PROMPTS = json.loads((Path(__file__).parent / "prompts.json").read_text())


def _part(number):
    rows = [{"prompt": text} for text in _PROMPTS[number]]
    return {"test": Dataset.from_list(rows)}


"""


def texts(count: int, low: int = 8, high: int = 48, seed: int = 0) -> list[str]:
    """`count` texts of `low` to `high` words, the same each time."""
    draw, words = random.Random(seed), WORDS.split()
    return [" ".join(draw.choices(words, k=draw.randint(low, high))) for _ in range(count)]


def write_suite(folder: Path, prompts: int, tasks: int, new_tokens: int) -> Path:
    """The suite's YAML in `folder`: `prompts` spread over `tasks`, harmful and benign by turns in
    name alone."""
    made = folder / "tasks"
    made.mkdir(parents=True)
    parts = [texts(prompts)[number::tasks] for number in range(tasks)]
    (made / "prompts.json").write_text(json.dumps(parts))
    functions = [f"def documents_{n}(**_):\n    return _part({n})\n" for n in range(tasks)]
    (made / "made.py").write_text(_DOCUMENTS + "\n\n".join(functions))
    for number, part in enumerate(parts):
        benign = number % 2
        text = _TASK.format(
            number=number,
            new=new_tokens,
            metric="benign" if benign else "harmful",
            name="compliance_rate" if benign else "refusal_rate",
            cell="helpfulness" if benign else "harmlessness",
            documents=len(part),
            prompts="benign" if benign else "harmful",
        )
        (made / f"bfpo_made_{number}.yaml").write_text(text)
    suite = folder / "made.yaml"
    suite.write_text(
        "name: made\nversion: 1\ntitle: Plain English of random words\ninclude_path: tasks\n"
        "tasks: [bfpo_made_*]\ncontext: 8192\n"
        f"decoding: {{temperature: 0.0, top_p: 1.0, max_new_tokens: {new_tokens}}}\n"
    )
    return suite
