"""Tiny models with a head of scores, made on the spot: some whose scores are known by hand, some random.

The known ones look at words alone. Their attention is uniform, so the hidden state of the last token
holds the mean over all words so far, and every word has a dimension of its own.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

UNKNOWN, START, END, PAD = "[UNK]", "<s>", "</s>", "<pad>"
WIDTH = 64  # of the hidden state and of its one attention head, which vLLM's CPU build can compute
WORDS = (
    "BEGINNING",
    "OF",
    "CONVERSATION:",
    "USER:",
    "ASSISTANT:",
    "kind",
    "cruel",
    "tea",
    "kettle",
)
TEMPLATE = (
    "{% for m in messages %}{{ m['role'] | upper }}: {{ m['content'] }} {% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT: {% endif %}"
)
DETOXIFY = ("toxicity", "severe_toxicity", "obscene", "identity_attack", "insult", "threat")
"""The first labels of Detoxify's unbiased model; the nouns of identity that follow are left out."""

Weights = Literal["safetensors", "bin"]


def vocabulary(words: Sequence[str] = WORDS) -> dict[str, int]:
    return {word: i for i, word in enumerate([UNKNOWN, START, END, PAD, *words])}


def save_tokenizer(
    folder: Path, words: Sequence[str] = WORDS, template: str | None = None, ends: bool = False
) -> None:
    """One token a word, after a start token; `ends`: the tokenizer puts an end token, too.

    A colon ends a word, since Beaver's text has no space after its last one.
    """
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    known = vocabulary(words)
    raw = Tokenizer(models.WordLevel(known, unk_token=UNKNOWN))
    raw.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.WhitespaceSplit(),
            pre_tokenizers.Split(Regex(r"[^:]+:?"), behavior="isolated"),
        ]
    )
    raw.post_processor = processors.TemplateProcessing(
        single=f"{START} $A {END}" if ends else f"{START} $A",
        special_tokens=[(START, known[START]), (END, known[END])],
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw, unk_token=UNKNOWN, bos_token=START, eos_token=END, pad_token=PAD
    )
    tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)


def _llama_config(words: Sequence[str], context: int, **more: Any) -> Any:
    from transformers import LlamaConfig

    known = vocabulary(words)
    return LlamaConfig(
        vocab_size=len(known),
        hidden_size=WIDTH,
        intermediate_size=WIDTH,
        num_hidden_layers=1,
        num_attention_heads=1,
        num_key_value_heads=1,
        head_dim=WIDTH,
        max_position_embeddings=context,
        rms_norm_eps=1e-6,
        bos_token_id=known[START],
        eos_token_id=known[END],
        pad_token_id=known[PAD],
        dtype="float32",
        **more,
    )


def _averaging(model: Any) -> None:
    """Make the body of a Llama add, to each token's own dimension, the mean over those before it."""
    import torch

    layer = model.layers[0]
    with torch.no_grad():
        layer.self_attn.q_proj.weight.zero_()
        layer.self_attn.k_proj.weight.zero_()
        layer.self_attn.v_proj.weight.copy_(torch.eye(WIDTH))
        layer.self_attn.o_proj.weight.copy_(torch.eye(WIDTH))
        layer.mlp.down_proj.weight.zero_()
        model.embed_tokens.weight.copy_(torch.eye(*model.embed_tokens.weight.shape))


def known_score(
    tokens: Sequence[int], weights: Mapping[str, float], bias: float = 0.0, words: Any = WORDS
) -> float:
    """What the models below score, worked out without them.

    A one-hot vector of 64 dimensions has a root mean square of 1/8, so its norm is 8 at its word.
    The last hidden state is h = onehot(last) + 8 / n * counts; the score w . h / rms(h) + bias.
    """
    hidden = [0.0] * WIDTH
    for token, count in Counter(tokens).items():
        hidden[token] = 8 * count / len(tokens)
    hidden[tokens[-1]] += 1
    rms = math.sqrt(sum(h * h for h in hidden) / WIDTH)
    known = vocabulary(words)
    return sum(weights[w] * hidden[known[w]] for w in weights) / rms + bias


def reward_model(
    folder: Path,
    weights: Mapping[str, float],
    *,
    template: str | None = TEMPLATE,
    context: int = 128,
    pad: bool = True,
) -> Path:
    """A LlamaForSequenceClassification of one output that likes words as `weights` say."""
    import torch
    from transformers import LlamaForSequenceClassification

    config = _llama_config(WORDS, context, num_labels=1)
    model = LlamaForSequenceClassification(config)
    _averaging(model.model)
    with torch.no_grad():
        model.score.weight.zero_()
        for word, weight in weights.items():
            model.score.weight[0, vocabulary()[word]] = weight
    if not pad:
        model.config.pad_token_id = None
    model.save_pretrained(folder)
    save_tokenizer(folder, template=template)
    return folder


def beaver_model(
    folder: Path,
    weights: Mapping[str, float],
    bias: float | None = 0.0,
    *,
    kind: str = "cost",
    saved_as: Weights = "safetensors",
    context: int = 128,
    **config: Any,
) -> Path:
    """A checkpoint laid out as Beaver's; `bias` None: without one, as the first of them.

    `config` is added to its config.json.
    """
    import torch
    from safetensors.torch import save_file
    from transformers import LlamaModel

    body = LlamaModel(_llama_config(WORDS, context))
    _averaging(body)
    head = torch.zeros(1, WIDTH)
    for word, weight in weights.items():
        head[0, vocabulary()[word]] = weight
    tensors = {f"model.{name}": tensor for name, tensor in body.state_dict().items()}
    tensors["score_head.weight"] = head
    if bias is not None:
        tensors["score_head.bias"] = torch.tensor([bias])
    tensors["normalizer.mean"] = torch.zeros(1)
    folder.mkdir(parents=True, exist_ok=True)
    if saved_as == "bin":
        torch.save(tensors, folder / "pytorch_model.bin")
    else:
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    told = body.config.to_dict() | {
        "architectures": ["LlamaModelForScore"],
        "score_type": kind,
        "score_dim": 1,
        "do_normalize": False,
        **config,
    }
    (folder / "config.json").write_text(json.dumps(told))
    save_tokenizer(folder)
    return folder


def random_llama(folder: Path, labels: int = 1, layers: int = 2) -> Path:
    """A LlamaForSequenceClassification of random weights, large enough for every token to matter."""
    import torch
    from transformers import LlamaForSequenceClassification

    torch.manual_seed(0)
    config = _llama_config(WORDS, 128, num_labels=labels)
    config.num_hidden_layers = layers
    model = LlamaForSequenceClassification(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.5)
    model.save_pretrained(folder)
    save_tokenizer(folder, template=TEMPLATE)
    return folder


def random_encoder(
    folder: Path,
    family: Literal["bert", "roberta"] = "bert",
    labels: Sequence[str] = DETOXIFY,
    positions: int = 32,
) -> Path:
    """A Bert- or RobertaForSequenceClassification of random weights with these labels."""
    import torch
    from transformers import AutoConfig, AutoModelForSequenceClassification

    torch.manual_seed(0)
    known = vocabulary()
    config = AutoConfig.for_model(
        family,
        vocab_size=len(known),
        hidden_size=WIDTH,
        intermediate_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=1,
        max_position_embeddings=positions,
        pad_token_id=known[PAD],
        bos_token_id=known[START],
        eos_token_id=known[END],
        id2label=dict(enumerate(labels)),
        label2id={label: i for i, label in enumerate(labels)},
        problem_type="multi_label_classification",
        dtype="float32",
    )
    model = AutoModelForSequenceClassification.from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.5)
    model.save_pretrained(folder)
    save_tokenizer(folder, ends=True)
    return folder


def files_of(folder: Path, **arguments: Any) -> Any:
    """What a scorer loads of a folder made here."""
    from bfpo_bench.engines.scorer import score_context
    from bfpo_bench.engines.subject import load_tokenizer, model_files, resolve_subject
    from bfpo_bench.engines.trust import Trust

    subject = resolve_subject(str(folder), trust=Trust(pickle=True))
    files = model_files(subject, load_tokenizer(folder), 8192, arguments, seed=0)
    return replace(files, context=score_context(subject.config, files.context))


def encoded(folder: Path, *texts: str) -> list[tuple[int, ...]]:
    from bfpo_bench.engines.subject import load_tokenizer

    tokenizer = load_tokenizer(folder)
    return [tuple(tokenizer.encode(text)) for text in texts]


def scores_of(scorer: Any, texts: Sequence[tuple[int, ...]]) -> list[tuple[float, ...]]:
    """In the order asked."""
    from bfpo_bench.engines.scorer import ScoreRequest

    found = dict(scorer.scores([ScoreRequest(tokens) for tokens in texts]))
    return [found[i] for i in range(len(texts))]


@dataclass(frozen=True)
class ScoreJob:
    """A folder made here, and the texts that it shall score."""

    folder: Path
    texts: tuple[tuple[int, ...], ...]


def score_with_vllm(jobs: Sequence[ScoreJob], report: Any) -> list[list[tuple[float, ...]]]:
    """A stage: one model after the other, for vLLM is imported but once."""
    from bfpo_bench.engines.scorer import load_scorer

    found = []
    for job in jobs:
        # As given for a subject: a scorer has one copy all the same
        scorer = load_scorer("vllm", files_of(job.folder, data_parallel_size=2))
        found.append(scores_of(scorer, job.texts))
        scorer.close()
    return found


def score_on_ray(job: ScoreJob, report: Any) -> list[tuple[float, ...]]:
    """A stage: two workers, and more texts than one of them is given at a time."""
    from bfpo_bench.engines.scorer import load_scorer

    scorer = load_scorer("ray", files_of(job.folder, workers=2, max_num_seqs=4))
    found = scores_of(scorer, job.texts)
    scorer.close()
    return found
