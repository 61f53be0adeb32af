"""How far what the judge `harm` learns carries over: to sources and to questions it has not seen.

    python benchmarks/harm_transfer.py ../shared/labelled PAIRS

needs scikit-learn; PAIRS as for train_harm.py. First the linear part is trained on some sources and
asked about the others, with kappa at the best threshold there (an upper bound) and AUC. Then both
parts are trained five times on four fifths of the questions of each set and asked about the rest:
the nearest thing here to requests that are new.
"""

from __future__ import annotations

import argparse
import zlib
from collections.abc import Mapping
from pathlib import Path

import harm_data as data
import numpy as np
import pandas as pd
import train_harm as train
from sklearn.metrics import cohen_kappa_score, roc_auc_score

FOLDS = 5
CHOSEN = (
    ("gptfuzz",),
    ("do_not_answer",),
    ("corpus",),
    ("pairs",),
    ("gptfuzz", "pairs"),
    ("do_not_answer", "pairs"),
    ("corpus", "pairs"),
    ("gptfuzz", "corpus", "pairs"),
    ("do_not_answer", "corpus", "pairs"),
    ("gptfuzz", "do_not_answer", "corpus"),
    ("gptfuzz", "do_not_answer", "corpus", "pairs"),
)


def across_sources(
    examples: Mapping[str, train.Examples], space: train.Space, tests: Mapping[str, pd.DataFrame]
) -> None:
    rows = {k: train.rows_of(t) for k, t in tests.items()}
    columns = {k: space.columns(r) for k, r in rows.items()}
    for chosen in CHOSEN:
        weight = train.linear({k: examples[k] for k in chosen})
        for test in tests:
            if test not in chosen:
                logits = columns[test] @ weight[:-1] + weight[-1]
                print(f"{'+'.join(chosen):36} {test:14} {_agreement(rows[test].harmful, logits)}")


def held_out(
    tables: Mapping[str, pd.DataFrame], compared: train.Rows, tests: Mapping[str, pd.DataFrame]
) -> None:
    logits = {k: np.zeros(len(t)) for k, t in tests.items()}
    for fold in range(FOLDS):
        kept = {k: t[_folds(t) != fold].reset_index(drop=True) for k, t in tables.items()}
        sets = {k: train.rows_of(t, train.HARMFUL_SHARE) for k, t in kept.items()}
        space = train.space_of(sets)
        examples = {k: train.labelled(r, space) for k, r in sets.items()}
        weight = train.linear({**examples, "pairs": train.preferred(compared, space)})
        trees = train.substance(kept, sets)
        for name, table in tests.items():
            asked = _folds(table) == fold
            rows = train.rows_of(table[asked])
            said = trees.decision_function(rows.dense[:, list(train.SUBSTANCE)])
            talk = space.columns(rows) @ weight[:-1] + weight[-1]
            logits[name][asked] = talk + np.minimum(0, said)
    for name, table in tests.items():
        print(f"questions held out: {name:14} {_agreement(table.harmful.to_numpy(), logits[name])}")


def _folds(table: pd.DataFrame) -> np.ndarray:
    return np.array([zlib.crc32(group.encode()) % FOLDS for group in table.group])


def _agreement(harmful: np.ndarray, logits: np.ndarray) -> str:
    grid = np.quantile(logits, np.linspace(0.02, 0.98, 49))
    best = max(cohen_kappa_score(harmful, logits >= t) for t in grid)
    return f"kappa <= {best:.3f}  AUC {roc_auc_score(harmful, logits):.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description="How far the judge `harm` carries over.")
    parser.add_argument("labelled", type=Path)
    parser.add_argument("pairs", type=Path)
    options = parser.parse_args()
    folder = options.labelled
    tables = train.training_tables(folder)
    compared = train.compared_rows(options.pairs)
    sets = {k: train.rows_of(t, train.HARMFUL_SHARE) for k, t in tables.items()}
    space = train.space_of(sets)
    examples = {k: train.labelled(r, space) for k, r in sets.items()}
    examples["pairs"] = train.preferred(compared, space)
    fuzz = pd.concat([data.gptfuzz(folder, s) for s in ("train", "evaluate")], ignore_index=True)
    asked = {"gptfuzz": fuzz, "do_not_answer": data.do_not_answer(folder)}
    rest = {
        "beavertails": data.beavertails(folder),
        "xstest": data.xstest(folder),
        "corpus": data.corpus(),
    }
    across_sources(examples, space, {**rest, **asked})
    held_out(tables, compared, asked)


if __name__ == "__main__":
    main()
