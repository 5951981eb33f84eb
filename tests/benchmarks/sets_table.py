"""Recall@1 on sets that nothing was tuned on: python tests/benchmarks/sets_table.py [SET ...].

Without names all sets of sets/make.py, made where they are missing. Each cell is measured once and
appended as a line to --lines (default build/sets/table.jsonl); the same command goes on where it
was broken off. Printed: a Markdown table in percent, by cosine, on classes never seen, with 95 %
intervals from drawing the test classes anew a thousand times and, of what trains, the mean over
--seeds and its least and largest. One set takes seconds, a minute with HIER, some with tune-20:

    python tests/benchmarks/sets_table.py digits
    python tests/benchmarks/sets_table.py icons --methods lda no-hier --seeds 3
    python tests/benchmarks/sets_table.py icons --methods lda --again

Lines are kept by the content of a set, not by the code that measured: --again after a change of it.
"""

import argparse
import hashlib
import json
import sys
import time
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "sets"))

import make  # noqa: E402  (it puts the package and the sets on the path)
import numpy as np  # noqa: E402
import synthetic_sets  # noqa: E402

from hier_ref.baselines.closed_form import choose_shrinkage, fit_lda, fit_whitening, lda  # noqa: E402
from hier_ref.baselines.embeddings import raw  # noqa: E402
from hier_ref.baselines.verdict import over_classes  # noqa: E402
from hier_ref.features.contract import Features, read_features  # noqa: E402
from hier_ref.retrieval.recall import first_hit_rank  # noqa: E402
from hier_ref.training.config import Config  # noqa: E402
from hier_ref.training.estimator import HierHead  # noqa: E402
from hier_ref.training.fitting import held_out  # noqa: E402
from hier_ref.training.head import head_forward  # noqa: E402

WIDTH, SEED = 128, 0

# ---- Methods: (training rows, test rows, name of the set) -> embedding of the test rows, curvature
# of the ball it lies in (0: cosine), and notes for the line.


def untouched(train: Features, test: Features, name: str):
    """The features as they are."""
    return raw(test.features), 0.0, {}


def whitened(train: Features, test: Features, name: str):
    """Principal components of variance 1."""
    return _applied(fit_whitening(train.features, WIDTH), test), 0.0, {}


def discriminants(train: Features, test: Features, name: str):
    """LDA, its shrinkage chosen among training classes."""
    rng = np.random.default_rng(SEED)
    s = choose_shrinkage(train.features, train.labels, WIDTH, rng)
    x = _applied(fit_lda(train.features, train.labels, WIDTH, s), test)
    return x, 0.0, {"shrinkage": s}


def known(train: Features, test: Features, name: str):
    """The best linear map of a model that is known, its weights those of the log-ratio (M5)."""
    if name not in synthetic_sets.MODELS:
        return None
    truth = synthetic_sets.truth(name)
    weight, bias = lda(truth, len(truth.mean), 0.0)
    strength = np.diag(weight @ truth.between @ weight.T)[:, None]
    weight = weight * np.sqrt(np.maximum(strength, 0) / (1 + 2 * strength))
    return test.features @ weight.T + bias, 0.0, {}


def trained(train: Features, test: Features, name: str, seed: int = 0, **options):
    """The default head or, with options, another; its own way to find neighbours."""
    head = HierHead(seed=seed, **options).fit(train.features, train.labels)
    z = head.transform(test.features)
    won = {"won": head.tuning_[-1]["options"]} if head.tuning_ else {}
    return z, head.config_.search_c, {"epochs": head.best_epoch_} | won


def searched(train: Features, test: Features, name: str, seed: int = 0):
    """The head of a search among 20 settings, where there are classes to judge them by."""
    if not held_out(train.labels, Config(seed=seed)).any():
        return None
    return trained(train, test, name, seed, tune=20)


TRAINED = {
    "default": trained,
    "no-hier": partial(trained, hier_weight=0.0),
    "tune-20": searched,
}
METHODS = {
    "untouched": untouched,
    "whitened": whitened,
    "lda": discriminants,
    "known": known,
    **TRAINED,
}


def _applied(fitted, part: Features):
    weight, bias = fitted
    return head_forward(part.features.astype(float), {"weight": weight, "bias": bias})


# ---- Measuring


def measure(name: str, method: str, features: Features, seed: int = 0) -> dict | None:
    """Return one line: Recall@1 in percent with its interval; None where there is no such cell."""
    train, test = features.part("train"), features.part("test")
    start = time.perf_counter()
    answer = METHODS[method](train, test, name, **({"seed": seed} if method in TRAINED else {}))
    if answer is None:
        return None
    z, c, notes = answer
    seconds = time.perf_counter() - start
    z = np.asarray(z, np.float32)
    hits = first_hit_rank(z, test.labels, z, test.labels, c, exclude_self=True)[0] == 0
    found = over_classes(hits * 1.0, test.labels)  # (M8)
    numbers = {"recall": found.value, "low": found.low, "high": found.high, "seconds": seconds}
    rounded = {key: round(value, 3) for key, value in numbers.items()}
    return {"set": name, "method": method, "seed": seed} | rounded | notes


class Lines:
    """What has been measured, a line each in a file: of each kind the last counts."""

    def __init__(self, path: Path, again: bool = False):
        """Read the lines that there are; with `again` none of them counts."""
        self.path, lines = path, path.read_text().splitlines() if path.exists() else []
        rows = [] if again else [json.loads(line) for line in lines]
        self.known = {(r["set"], r["method"], r["sha256"], r["seed"]): r for r in rows}

    def line(self, name: str, method: str, file: Path, seed: int) -> dict | None:
        """Return the line of a cell, measured where there is none."""
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        if known := self.known.get((name, method, digest, seed)):
            return known
        features = read_features(file)
        if row := measure(name, method, features, seed):
            classes = len(np.unique(features.labels))
            row |= {"images": len(features), "classes": classes, "sha256": digest}
            with open(self.path, "a") as lines:
                print(json.dumps(row), file=lines)
            print(f"{name} {method} {seed}: {_cell([row])}", file=sys.stderr, flush=True)
        return row


def table(names: list[str], methods: list[str], rows: dict) -> str:
    """Return the Markdown table."""
    head = ["set", "images", "classes", *methods]
    lines = [head, ["---"] * len(head)]
    for name in names:
        cells = [rows.get((name, method), []) for method in methods]
        first = next((rows[0] for rows in cells if rows), {})
        sizes = (first.get(key, "") for key in ("images", "classes"))
        lines.append([name, *sizes, *map(_cell, cells)])
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def _cell(rows: list[dict]) -> str:
    """Show the mean over seeds with its mean interval over classes, and how far seeds reach."""
    if not rows:
        return ""
    mean, low, high = (np.mean([row[key] for row in rows]) for key in ("recall", "low", "high"))
    notes = f", s {rows[0]['shrinkage']:g}" if "shrinkage" in rows[0] else ""
    if len(rows) > 1:
        found = [row["recall"] for row in rows]
        notes = f"; seeds {min(found):.1f} to {max(found):.1f}"
    return f"{mean:.1f} ({low:.1f} to {high:.1f}{notes})"


def main() -> None:
    """Measure what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", metavar="SET", help=f"of {', '.join(make.SETS)}")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="of what trains")
    parser.add_argument("--folder", type=Path, default=make.FOLDER)
    parser.add_argument("--lines", type=Path, help="default: table.jsonl in the folder")
    parser.add_argument("--again", action="store_true", help="measure even what has its line")
    args = parser.parse_args()
    names = args.names or list(make.SETS)
    unknown = sorted(set(names) - set(make.SETS))
    if unknown:
        parser.error(f"{' '.join(unknown)}: expected names of {', '.join(make.SETS)}")
    folder = args.folder.resolve()
    lines = Lines(args.lines or folder / "table.jsonl", args.again)
    rows = {}
    for name in names:
        file = make.make(name, folder)
        for method in args.methods:
            seeds = range(max(1, args.seeds) if method in TRAINED else 1)
            found = [lines.line(name, method, file, seed) for seed in seeds]
            rows[name, method] = [row for row in found if row]
    print(table(names, args.methods, rows))


if __name__ == "__main__":
    main()
