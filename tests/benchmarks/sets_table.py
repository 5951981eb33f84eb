"""Recall@1 on sets that nothing was tuned on: python tests/benchmarks/sets_table.py [SET ...].

Without names all sets of sets/make.py, made where they are missing. Each cell is measured once and
appended as a line to --lines (default build/sets/table.jsonl); the same command goes on where it
was broken off. Printed: a Markdown table in percent, by cosine, on classes never seen, with 95 %
intervals from drawing the test classes anew a thousand times. One set takes seconds:

    python tests/benchmarks/sets_table.py digits
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
from hier_ref.training.estimator import HierHead  # noqa: E402
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


def trained(train: Features, test: Features, name: str, **options):
    """The default head or, with options, another; its own way to find neighbours."""
    head = HierHead(**options).fit(train.features, train.labels)
    z = head.transform(test.features)
    won = {"won": head.tuning_[-1]["options"]} if head.tuning_ else {}
    return z, head.config_.search_c, {"epochs": head.best_epoch_} | won


METHODS = {
    "untouched": untouched,
    "whitened": whitened,
    "lda": discriminants,
    "known": known,
    "default": trained,
    "no-hier": partial(trained, hier_weight=0.0),
    "tune-20": partial(trained, tune=20),
}


def _applied(fitted, part: Features):
    weight, bias = fitted
    return head_forward(part.features.astype(float), {"weight": weight, "bias": bias})


# ---- Measuring


def measure(name: str, method: str, features: Features) -> dict | None:
    """Return one line: Recall@1 in percent with its interval; None where there is no such cell."""
    train, test = features.part("train"), features.part("test")
    start = time.perf_counter()
    answer = METHODS[method](train, test, name)
    if answer is None:
        return None
    z, c, notes = answer
    seconds = time.perf_counter() - start
    z = np.asarray(z, np.float32)
    hits = first_hit_rank(z, test.labels, z, test.labels, c, exclude_self=True)[0] == 0
    found = over_classes(hits * 1.0, test.labels)  # (M8)
    numbers = {"recall": found.value, "low": found.low, "high": found.high, "seconds": seconds}
    rounded = {key: round(value, 3) for key, value in numbers.items()}
    return {"set": name, "method": method} | rounded | notes


def read_lines(path: Path) -> dict[tuple[str, str, str], dict]:
    """Return the last line of each set, method and content of the features."""
    lines = path.read_text().splitlines() if path.exists() else []
    found = [json.loads(line) for line in lines]
    return {(row["set"], row["method"], row["sha256"]): row for row in found}


def table(names: list[str], methods: list[str], rows: dict) -> str:
    """Return the Markdown table."""
    head = ["set", "images", "classes", *methods]
    lines = [head, ["---"] * len(head)]
    for name in names:
        cells = [rows.get((name, method)) for method in methods]
        size = next(row for row in cells if row)
        lines.append([name, size["images"], size["classes"], *map(_cell, cells)])
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def _cell(row: dict | None) -> str:
    if not row:
        return ""
    notes = f", s {row['shrinkage']:g}" if "shrinkage" in row else ""
    return f"{row['recall']:.1f} ({row['low']:.1f} to {row['high']:.1f}{notes})"


def main() -> None:
    """Measure what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", metavar="SET", help=f"of {', '.join(make.SETS)}")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--folder", type=Path, default=make.FOLDER)
    parser.add_argument("--lines", type=Path, help="default: table.jsonl in the folder")
    parser.add_argument("--again", action="store_true", help="measure even what has its line")
    args = parser.parse_args()
    names = args.names or list(make.SETS)
    unknown = sorted(set(names) - set(make.SETS))
    if unknown:
        parser.error(f"{' '.join(unknown)}: expected names of {', '.join(make.SETS)}")
    folder = args.folder.resolve()
    path = args.lines or folder / "table.jsonl"
    done, rows = read_lines(path), {}
    for name in names:
        file = make.make(name, folder)
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        features = read_features(file)
        for method in args.methods:
            row = None if args.again else done.get((name, method, digest))
            if row is None and (row := measure(name, method, features)):
                classes = len(np.unique(features.labels))
                row |= {"images": len(features), "classes": classes, "sha256": digest}
                with open(path, "a") as lines:
                    print(json.dumps(row), file=lines)
                print(f"{name} {method} {_cell(row)}", file=sys.stderr, flush=True)
            rows[name, method] = row
    print(table(names, args.methods, rows))


if __name__ == "__main__":
    main()
