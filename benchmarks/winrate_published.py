"""Win rates from AlpacaEval's own annotations against those that its leaderboards publish.

    python benchmarks/winrate_published.py [--reference ../shared/reference/alpaca_eval]
        [--glm-files DIR] [--json]

Each model is held against the leaderboard of its annotator: alpaca_eval_gpt4 is AlpacaEval 1 (baseline
text_davinci_003), weighted_alpaca_eval_gpt4_turbo is AlpacaEval 2 (baseline gpt4_1106_preview), whose
leaderboard has no row for text_davinci_003. Raw win rates, standard errors and counts should agree to
rounding. The length-controlled ones should do so where --glm-files names a folder with df_gamed.csv of
tatsu-lab/alpaca_eval; without it the minimal form is what there is, and how far it is from the published
one is what this script reports, with the correlations (Pearson's and Spearman's) over the models. The
raw win rate's distance from the published length-controlled one stands beside it: a form that is no
nearer than that has gained nothing.
"""

import argparse
import json
from pathlib import Path
from statistics import correlation, fmean
from typing import Any

import pandas as pd

from bfpo_bench.scoring.annotations import read_annotations
from bfpo_bench.scoring.glm_inputs import GLM_FILE, read_glm_inputs
from bfpo_bench.scoring.model_records import ModelRecord, model_records

LEADERBOARDS = {"alpaca_eval_gpt4": "v1", "weighted_alpaca_eval_gpt4_turbo": "v2"}
COUNTS = {"n": "n_total", "n_wins": "n_wins", "n_wins_base": "n_wins_base", "n_draws": "n_draws"}


def compared(record: ModelRecord, published: pd.DataFrame) -> dict[str, Any]:
    """A model's figures beside the published ones, which are None where it has no row."""
    row = published.loc[record.generator] if record.generator in published.index else None
    names = ("win_rate", "standard_error", "length_controlled_winrate")
    theirs = {n: None if row is None else float(row[n]) for n in names}
    counts = (
        None
        if row is None
        else all(getattr(record, ours) == int(row[name]) for ours, name in COUNTS.items())
    )
    return {
        "model": record.generator,
        "leaderboard": LEADERBOARDS[str(record.annotator)],
        "n": record.n,
        "win_rate": record.win_rate,
        "published_win_rate": theirs["win_rate"],
        "standard_error": record.standard_error,
        "published_standard_error": theirs["standard_error"],
        "counts_agree": counts,
        "length_controlled": record.length_controlled_win_rate,
        "lc_interval": (record.lc_ci_low, record.lc_ci_high),
        "published_length_controlled": theirs["length_controlled_winrate"],
        "method": record.method,
    }


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """How near the length-controlled and the raw win rates are to the published controlled ones."""
    known = [r for r in rows if r["published_length_controlled"] is not None]
    theirs = [r["published_length_controlled"] for r in known]
    found: dict[str, Any] = {"models": len(known)}
    for name in ("length_controlled", "win_rate"):
        ours = [r[name] for r in known]
        apart = [abs(a - b) for a, b in zip(ours, theirs, strict=True)]
        found[name] = {
            "pearson": correlation(ours, theirs),
            "spearman": correlation(_ranks(ours), _ranks(theirs)),
            "mean_distance": fmean(apart),
            "largest_distance": max(apart),
        }
    return found


def _ranks(values: list[float]) -> list[int]:
    """Places from the lowest on; no two rates are equal."""
    return [sorted(values).index(v) for v in values]


def figures(reference: Path, glm_files: Path | None) -> dict[str, Any]:
    inputs = read_glm_inputs(glm_files / GLM_FILE) if glm_files else None
    published = {
        version: pd.read_parquet(reference / f"leaderboard_{version}.parquet").set_index("name")
        for version in LEADERBOARDS.values()
    }
    records = model_records(
        read_annotations(reference / "annotations.parquet"), inputs, str(glm_files)
    )
    rows = [compared(r, published[LEADERBOARDS[str(r.annotator)]]) for r in records]
    parts = {v: [r for r in rows if r["leaderboard"] == v] for v in published}
    return {
        "models": rows,
        "length_controlled": {"all": summary(rows)} | {v: summary(p) for v, p in parts.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    default = Path(__file__).resolve().parents[1] / ".." / "shared" / "reference" / "alpaca_eval"
    parser.add_argument("--reference", type=Path, default=default, help="annotations, leaderboards")
    parser.add_argument("--glm-files", type=Path, help="folder with df_gamed.csv")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    arguments = parser.parse_args()
    if not (arguments.reference / "annotations.parquet").is_file():
        parser.error(f"{arguments.reference} holds no annotations: name it with --reference.")
    if arguments.glm_files and not (arguments.glm_files / GLM_FILE).is_file():
        parser.error(f"{arguments.glm_files} holds no {GLM_FILE}: name its folder, or none.")
    found = figures(arguments.reference, arguments.glm_files)
    if arguments.json:
        print(json.dumps(found, indent=2))
        return
    print(
        f"{'':19}board {'win rate':>9}{'publ.':>8}{'diff':>8}{'s.e.':>7}{'publ.':>7}  counts",
        end="",
    )
    print(f"{'contr.':>8}{'95 %':>12}{'publ.':>8}{'diff':>8}")
    for row in found["models"]:
        print(line(row))
    print(f"\nlength-controlled by {', '.join(sorted({r['method'] for r in found['models']}))}")
    for part, sums in found["length_controlled"].items():
        for name in ("length_controlled", "win_rate"):
            s = sums[name]
            print(
                f"{part:4}{sums['models']:2} models  {name:18} against published controlled: "
                f"Pearson {s['pearson']:.3f}, Spearman {s['spearman']:.3f}, distance "
                f"{s['mean_distance']:.2f} in the mean, {s['largest_distance']:.2f} at most"
            )


def line(row: dict[str, Any]) -> str:
    def beside(ours: float, theirs: float | None, width: int) -> str:
        if theirs is None:
            return f"{'none':>{width}}{'':8}"
        return f"{theirs:{width}.2f}{ours - theirs:+8.3f}"

    low, high = row["lc_interval"]
    error = row["published_standard_error"]
    counts = {True: "agree", False: "DIFFER", None: ""}[row["counts_agree"]]
    return (
        f"{row['model']:19}{row['leaderboard']:5} {row['win_rate']:9.2f}"
        + beside(row["win_rate"], row["published_win_rate"], 8)
        + f"{row['standard_error']:7.2f}"
        + (f"{error:7.2f}" if error is not None else f"{'none':>7}")
        + f"{counts:>8}{row['length_controlled']:8.2f}{f'{low:.1f}-{high:.1f}':>12}"
        + beside(row["length_controlled"], row["published_length_controlled"], 8)
    )


if __name__ == "__main__":
    main()
