"""Does HIER help? Tune each loss alone and with HIER, then compare: docs/appendix-nine-losses.md.

    OMP_NUM_THREADS=1 python tests/benchmarks/study.py --jobs 2 [--trials N] [--seeds N]

Each finished run is one line of docs/study.jsonl; what is there already is not run again, so that
an interrupted study goes on, and more trials or seeds add to it. Tuning sees a third of the
training classes as validation classes, never the test half. What is run: study_plan.py and
study_regimes.py. Tables: study_tables.py.
"""

import argparse
import json
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
from study_plan import BASE, best, is_final_of_a_regime, stages
from study_regimes import prepare

from hier_ref.baselines.embeddings import raw
from hier_ref.evaluate import score
from hier_ref.features.contract import Features, default_features, read_features
from hier_ref.hier import distances
from hier_ref.training.batch import batch_gradient, embed, group, to_ball_or_sphere
from hier_ref.training.batch import draw as mine
from hier_ref.training.config import Config
from hier_ref.training.head import head_forward
from hier_ref.training.sampler import class_batches
from hier_ref.training.trainer import Trainer, mean_losses

RESULTS = Path(__file__).resolve().parents[2] / "docs" / "study.jsonl"
KS = Config().recall_at
LAST_WEIGHT = "head.weight"


# ---- One run


@cache
def features() -> Features:
    """Return the embedded features."""
    return read_features(default_features())


@cache
def prepared(data: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, Features]:
    """Return what `prepare` makes of the embedded features."""
    return prepare(features(), data)


def run(task: dict) -> dict:
    """Train and score one run."""
    start = time.process_time()
    config = Config(**(BASE | task["config"]), seed=task["seed"])
    inputs, labels, known, scored = prepared(task["data"])
    trainer = Trainer(inputs, labels, config)

    def tangent(f):
        head = group(trainer.params, "head.")
        return head_forward(f.astype(np.float32), head, config.layers)

    if task["stage"] == "raw":
        return task | {"cosine": scores(scored, 0.0, raw if task["name"] == "raw" else tangent)}
    for _ in range(config.epochs):
        losses = mean_losses(trainer.run_epoch())
    asks = config.hier_weight and (task["stage"] == "claims" or is_final_of_a_regime(task))
    length = np.linalg.norm(tangent(scored.part("test").features), axis=1)
    return task | {
        "ball": scores(scored, config.c, lambda f: embed(f, trainer.params, config)),
        "cosine": scores(scored, 0.0, tangent),
        "at_radius": round(float(np.mean(length >= config.clip)), 4),
        "length": round(float(length.mean()), 3),
        "losses": {name: round(loss, 4) for name, loss in losses.items()},
        **({"push": push(trainer)} if config.hier_weight else {}),
        **({"together": together(trainer, known)} if asks else {}),
        "seconds": round(time.process_time() - start, 1),
    }


def scores(scored: Features, c: float, embedding) -> dict:
    """Return the measures of the classes, and Recall@1 of the levels, in percent."""
    classes, *levels = score(scored, KS, c, embedding)
    percent = [[*found.recall.values(), found.map_at_r] for found in (classes, *levels)]
    percent = np.round(100 * np.array(percent), 3).tolist()
    return {"recall": percent[0][:-1], "map": percent[0][-1], "levels": [p[0] for p in percent[1:]]}


def batches(trainer: Trainer) -> list[np.ndarray]:
    """Return five batches of image indices."""
    size = trainer.config.batch, trainer.config.images_per_class
    return list(class_batches(np.random.default_rng(0), trainer.labels, *size))[:5]


def push(trainer: Trainer) -> float:
    """Return how hard HIER pushes the head at the end: its gradient's norm over the metric's."""
    rng, config, ratios = np.random.default_rng(0), trainer.config, []
    for rows in batches(trainer):
        batch = trainer.features[rows], trainer.labels[rows], rng
        metric, both = (
            batch_gradient(trainer.params, *batch, replace(config, hier_weight=weight))[1]
            for weight in (0.0, config.hier_weight)
        )
        hier = both[LAST_WEIGHT] - metric[LAST_WEIGHT]
        ratios.append(np.linalg.norm(hier) / np.linalg.norm(metric[LAST_WEIGHT]))
    return round(float(np.median(ratios)), 4)


def together(trainer: Trainer, known: np.ndarray) -> list[list[float]]:
    """Return how many pairs (i, j) of HIER's triplets, then of (i, k), share class and levels.

    known (N, 1 + L) of the training images: class and levels; shares of 1.
    """
    rng, config, head = np.random.default_rng(0), trainer.config, group(trainer.params, "head.")
    shared = []
    for rows in batches(trainer):
        x = head_forward(trainer.features[rows], head, config.layers)
        z, l = to_ball_or_sphere(x, config), to_ball_or_sphere(trainer.params["proxies"], config)
        d = distances(z, l, config.c, config.reading)
        draws = mine(rng, d, trainer.labels[rows], config)
        i, j, k = known[rows][draws.triplets_data.T]
        shared.append([np.mean(i == other, axis=0) for other in (j, k)])
    return np.round(np.mean(shared, axis=0), 4).tolist()


# ---- All runs


def complete(tasks: list[dict], pool: ProcessPoolExecutor, path: Path) -> None:
    """Run what the results lack; add and print a line for each."""
    done = {key(row) for row in read(path)}
    missing, start = [each for each in tasks if key(each) not in done], time.time()
    futures = [pool.submit(run, each) for each in missing]
    for number, future in enumerate(as_completed(futures), 1):
        row = future.result()
        with path.open("a") as file:
            file.write(json.dumps(row) + "\n")
        left = (time.time() - start) / number * (len(missing) - number)
        name = f"{row['stage']} {row['config'].get('loss')} {row['name']} seed {row['seed']}"
        print(
            f"{number}/{len(missing)}  {name}  R@1 {best(row):.2f}  {left:.0f} s left", flush=True
        )


def key(row: dict) -> str:
    """Return what tells a run from all others."""
    names = ("stage", "name", "seed", "data", "trial", "config")
    return json.dumps([row.get(name) for name in names], sort_keys=True)


def read(path: Path = RESULTS) -> list[dict]:
    """Return the finished runs."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def main() -> None:
    """Run the stages that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=10, help="per loss, head and arm")
    parser.add_argument("--seeds", type=int, default=5, help="of each comparison")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--out", type=Path, default=RESULTS, help="file of results")
    parser.add_argument("--only", nargs="+", default=[], help="stages, by name")
    args = parser.parse_args()
    with ProcessPoolExecutor(args.jobs) as pool:
        for name, stage in stages(args.trials, args.seeds).items():
            if not args.only or name in args.only:
                for tasks in stage:
                    complete(list(tasks(read(args.out))), pool, args.out)


if __name__ == "__main__":
    main()
