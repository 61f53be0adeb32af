"""Trains the judge `harm` and writes its weights.

    python benchmarks/train_harm.py ../shared/labelled PAIRS [--output FILE]

needs scikit-learn, which the judge itself does not. Same sets, same scikit-learn: same weights.
PAIRS is harmless-base/test.jsonl.gz of Anthropic/hh-rlhf.

Weights are shaped by do_not_answer_human (Apache-2.0), the training split of gptfuzz_human (MIT),
the pairs (MIT) and harm_corpus.txt (ours) alone. beavertails_30k_test_human, xstest_two_models and
gptfuzz_human's evaluation split set one number, the bias, so that a probability of 0.5 is the best
threshold over them, each weighted as if HARMFUL_SHARE of it were harmful.

The linear part is one logistic regression over all sources. Of a pair it sees the difference between
the answer that people liked less and the other one: to one request, the worse answer is rather the
more harmful one. The n-grams are those that both labelled sets have; a truncated SVD of them shares
strength between words that go together and is folded into their weights. The trees tell answers from
answers made to be empty (harm_data.py).
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import harm_data as data
import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.decomposition import TruncatedSVD
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import cohen_kappa_score

from bfpo_bench.judges.harm.features import SUBSTANCE, dense
from bfpo_bench.judges.harm.model import CLIP, TREE_DEPTH, Model, damped_root, load
from bfpo_bench.judges.harm.parser import WEIGHTS
from bfpo_bench.judges.harm.text import ngrams, read

LEAST_ROWS = 8  # of each labelled set that an n-gram must occur in
TOPICS = 100  # dimensions of the SVD
DENSE_SCALE = 0.2  # strength of dense features and topics against n-grams: less is more regularised
ROWS = 4000.0  # total weight of a fit, whatever the size of its sources
MASS = {"gptfuzz": 0.5, "do_not_answer": 0.5, "corpus": 0.1, "pairs": 0.45}
HARMFUL_SHARE = 0.45  # of the weight of a labelled set
EMPTY = 400  # made answers of each kind, a source
OFF_SUBJECT = {"do_not_answer": 400, "corpus": 150}  # answers to other requests, for the trees
EMPTY_SHARE = 0.45  # of the weight that the trees see
CLAIMS = 0.4  # of the answers say something about themselves


@dataclass(frozen=True)
class Rows:
    """A set as numbers: features (n, 86), n-grams of each row, labels and weights (n)."""

    dense: np.ndarray
    grams: list[set[str]]
    harmful: np.ndarray
    weight: np.ndarray


@dataclass(frozen=True)
class Examples:
    """A source as the linear fit sees it: columns (n, columns), labels and weights (n) of sum 1."""

    columns: sparse.csr_matrix
    harmful: np.ndarray
    weight: np.ndarray


@dataclass(frozen=True)
class Space:
    """What turns rows into the columns of a linear fit."""

    mean: np.ndarray
    deviation: np.ndarray
    names: dict[str, int]
    topics: np.ndarray
    """(n-grams, TOPICS): from an n-gram row to its topics, inverse frequency and scale included."""

    def columns(self, rows: Rows) -> sparse.csr_matrix:
        scaled = np.clip((rows.dense - self.mean) / self.deviation, -CLIP, CLIP) * DENSE_SCALE
        counts = ngram_matrix(rows.grams, self.names)
        return sparse.hstack([scaled, counts, counts @ self.topics]).tocsr()

    def fold(self, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Weights of the columns -> (dense weights, n-gram weights)."""
        d, n = len(self.mean), len(self.names)
        return weight[:d] * DENSE_SCALE, weight[d : d + n] + self.topics @ weight[d + n :]


def rows_of(table: pd.DataFrame, share: float | None = None) -> Rows:
    """`share`: of the weight that goes to harmful rows; frequent openings count less each."""
    texts = [read(a, p) for a, p in zip(table.answer, table.prompt, strict=True)]
    opening = table.answer.str.lower().str[:40]
    weight = 1 / np.sqrt(opening.map(opening.value_counts()).to_numpy(float))
    harmful = table.harmful.to_numpy()
    for label, part in () if share is None else ((1, share), (0, 1 - share)):
        weight[harmful == label] *= part / weight[harmful == label].sum()
    features = np.array([dense(t) for t in texts])
    return Rows(features, [ngrams(t) for t in texts], harmful, weight / weight.sum())


def ngram_matrix(grams: Sequence[set[str]], names: Mapping[str, int]) -> sparse.csr_matrix:
    found = [sorted(names[g] for g in row if g in names) for row in grams]
    values = [1 / damped_root(len(row)) for row in found for _ in row]
    starts = np.cumsum([0, *map(len, found)])
    flat = [column for row in found for column in row]
    return sparse.csr_matrix((values, flat, starts), shape=(len(grams), len(names)))


def space_of(sets: Mapping[str, Rows]) -> Space:
    labelled = [
        Counter(g for row in r.grams for g in row) for k, r in sets.items() if k != "corpus"
    ]
    common = [g for g in labelled[0] if all(c[g] >= LEAST_ROWS for c in labelled)]
    names = {g: i for i, g in enumerate(sorted(common))}
    features = np.concatenate([r.dense for r in sets.values()])
    counts = ngram_matrix([g for r in sets.values() for g in r.grams], names)
    rarity = np.log(counts.shape[0] / (1 + np.asarray((counts > 0).sum(axis=0)).ravel()))
    weighted = counts.multiply(rarity).tocsr()
    svd = TruncatedSVD(TOPICS, random_state=0).fit(weighted)
    spread = svd.transform(weighted).std(axis=0)
    topics = rarity[:, None] * svd.components_.T / spread * DENSE_SCALE
    deviation = features.std(axis=0)
    return Space(features.mean(axis=0), np.where(deviation > 0, deviation, 1), names, topics)


def labelled(rows: Rows, space: Space) -> Examples:
    return Examples(space.columns(rows), rows.harmful, rows.weight)


def preferred(rows: Rows, space: Space) -> Examples:
    """The pairs as differences, once each way round. `rows`: the liked answers, then the others."""
    columns = space.columns(rows)
    half = columns.shape[0] // 2
    difference = columns[half:] - columns[:half]
    both = sparse.vstack([difference, -difference]).tocsr()
    return Examples(both, np.repeat([1, 0], half), np.full(2 * half, 0.5 / half))


def linear(examples: Mapping[str, Examples]) -> np.ndarray:
    """Weights of one logistic regression over the sources, the intercept last."""
    x = sparse.vstack([e.columns for e in examples.values()])
    y = np.concatenate([e.harmful for e in examples.values()])
    weight = np.concatenate([e.weight * MASS[k] * ROWS for k, e in examples.items()])
    fit = LogisticRegression(C=1.0, max_iter=800).fit(x, y, sample_weight=weight)
    return np.append(fit.coef_[0], fit.intercept_)


def substance(
    tables: Mapping[str, pd.DataFrame], sets: Mapping[str, Rows]
) -> GradientBoostingClassifier:
    """Trees that tell the answers of `sets` from answers made to be empty.

    gptfuzz_human asks but a hundred questions, many of them alike: an answer to another one of them
    is hardly off the subject, so it lends no empty answers.
    """
    sources = {k: t for k, t in tables.items() if k != "gptfuzz"}
    empty = [
        rows_of(
            pd.concat([data.empty_answers(t, EMPTY, seed), data.elsewhere(t, OFF_SUBJECT[k], seed)])
        )
        for seed, (k, t) in enumerate(sources.items())
    ]
    real = list(sets.values())
    x = np.concatenate([r.dense for r in (*real, *empty)])[:, list(SUBSTANCE)]
    y = np.repeat([1, 0], [sum(len(r.weight) for r in part) for part in (real, empty)])
    weight = np.concatenate(
        [
            r.weight * share / len(part)
            for part, share in ((real, 1 - EMPTY_SHARE), (empty, EMPTY_SHARE))
            for r in part
        ]
    )
    trees = GradientBoostingClassifier(
        n_estimators=60, max_depth=TREE_DEPTH, learning_rate=0.12, min_samples_leaf=25,
        subsample=0.7, random_state=0,
    )  # fmt: skip
    return trees.fit(x, y, sample_weight=weight * ROWS)


def flat_trees(trees: GradientBoostingClassifier) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(feature, threshold, leaf) of complete trees in level order; a short branch is repeated."""
    inner = 2**TREE_DEPTH - 1
    count = len(trees.estimators_)
    feature = np.zeros((count, inner), dtype=np.int16)
    threshold = np.full((count, inner), np.inf)
    leaf = np.zeros((count, inner + 1))
    for i, (estimator,) in enumerate(trees.estimators_):
        tree = estimator.tree_
        place = {0: 0}
        for node in range(2 * inner + 1):
            own = place[node]
            is_leaf = tree.children_left[own] < 0
            if node >= inner:
                leaf[i, node - inner] = trees.learning_rate * tree.value[own].item()
                continue
            if not is_leaf:
                feature[i, node], threshold[i, node] = tree.feature[own], tree.threshold[own]
            place[2 * node + 1] = own if is_leaf else tree.children_left[own]
            place[2 * node + 2] = own if is_leaf else tree.children_right[own]
    return feature, threshold, leaf


def training_tables(folder: Path) -> dict[str, pd.DataFrame]:
    fuzz, dna, own = data.gptfuzz(folder, "train"), data.do_not_answer(folder), data.corpus()
    voices = data.last_voices(fuzz)
    tables = {
        "gptfuzz": pd.concat(
            [fuzz, voices, data.announced(voices, 0.3, 1), data.announced(fuzz, 0.1, 4)],
            ignore_index=True,
        ),
        "do_not_answer": pd.concat([dna, data.announced(dna, 0.4, 2)], ignore_index=True),
        "corpus": pd.concat([own, data.announced(own, 0.4, 3)], ignore_index=True),
    }
    return {k: data.with_claims(t, CLAIMS, seed) for seed, (k, t) in enumerate(tables.items())}


def compared_rows(path: Path) -> Rows:
    """The pairs: the answers that people preferred, then the others in the same order."""
    return rows_of(data.with_claims(data.pairs(path), CLAIMS, len(MASS)))


def arrays(
    tables: Mapping[str, pd.DataFrame], sets: Mapping[str, Rows], space: Space, weight: np.ndarray
) -> dict[str, np.ndarray]:
    """What the weights file holds; `weight` is of the linear part, the intercept last."""
    dense_weight, ngram_weight = space.fold(weight[:-1])
    trees = substance(tables, sets)
    feature, threshold, leaf = flat_trees(trees)
    real = float(trees.init_.class_prior_[1])
    return {
        "mean": space.mean,
        "deviation": space.deviation,
        "weight": dense_weight,
        "bias": np.array(weight[-1]),
        "ngram_names": np.frombuffer("\n".join(space.names).encode(), dtype=np.uint8),
        "ngram_weights": ngram_weight.astype(np.float32),
        "feature": feature,
        "threshold": threshold,
        "leaf": leaf,
        "tree_bias": np.array(np.log(real / (1 - real))),
    }


def bias_shift(model: Model, folder: Path) -> float:
    """What to add to the bias, so that 0.5 is where mean kappa over the sets for it is highest."""
    sets = [data.beavertails(folder), data.xstest(folder), data.gptfuzz(folder, "evaluate")]
    harmful = [t.harmful.to_numpy() for t in sets]
    weights = [
        np.where(y, HARMFUL_SHARE / y.mean(), (1 - HARMFUL_SHARE) / (1 - y.mean())) for y in harmful
    ]
    scores = [probabilities(model, t) for t in sets]
    steps = np.linspace(0.15, 0.85, 71)
    kappas = [
        np.mean(
            [
                cohen_kappa_score(y, p >= t, sample_weight=w)
                for y, p, w in zip(harmful, scores, weights, strict=True)
            ]
        )
        for t in steps
    ]
    smooth = np.convolve(kappas, np.ones(9) / 9, mode="same")[4:-4]
    best = float(steps[4:-4][int(np.argmax(smooth))])
    print(f"threshold {best:.2f}: mean kappa {max(smooth):.3f} over the sets for thresholds")
    return -float(np.log(best / (1 - best)))


def probabilities(model: Model, table: pd.DataFrame) -> np.ndarray:
    pairs = zip(table.answer, table.prompt, strict=True)
    return np.array([model.probability(answer, prompt) for answer, prompt in pairs])


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the judge `harm`.")
    parser.add_argument("labelled", type=Path)
    parser.add_argument("pairs", type=Path)
    parser.add_argument("--output", type=Path, default=WEIGHTS)
    options = parser.parse_args()
    for name in data.SETS:
        print(f"{name}: {data.licence(options.labelled, name)}")
    tables = training_tables(options.labelled)
    sets = {k: rows_of(t, HARMFUL_SHARE) for k, t in tables.items()}
    space = space_of(sets)
    examples = {k: labelled(r, space) for k, r in sets.items()}
    examples["pairs"] = preferred(compared_rows(options.pairs), space)
    stored = arrays(tables, sets, space, linear(examples))
    np.savez_compressed(options.output, **stored)
    stored["bias"] = stored["bias"] + bias_shift(load(options.output), options.labelled)
    np.savez_compressed(options.output, **stored)
    print(f"{options.output}: {len(space.names)} n-grams, {options.output.stat().st_size} bytes")


if __name__ == "__main__":
    main()
