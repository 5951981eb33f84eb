"""Does HIER help where the backbone trains? Its last blocks tuned with HIER and without.

    pip install -e '.[test,finetune]' && python data/fetch.py
    OMP_NUM_THREADS=1 nice python tests/benchmarks/finetune_cache.py       (once, ten minutes)
    OMP_NUM_THREADS=1 nice python tests/benchmarks/finetune.py [--trials N] [--seeds N]
    OMP_NUM_THREADS=1 python tests/benchmarks/finetune.py --one 'MS strong' 0     (two minutes)

The last block and the last convolution of EfficientNet-Lite0 train, with a linear head; what lies
below is frozen and was computed once. Tuning sees a third of the training classes as unseen; what
it chooses runs on the test half; the tables end it, and --tables prints them from what there is.
Each run is one line of docs/finetune.jsonl, and what is there already is not run again. Arms,
settings and choice: finetune_plan.py; the training: finetune_net.py; tables: finetune_tables.py.

A line holds what a line of trade.py holds, and of finals by class also Recall@8 and MAP@R.
"""

import argparse
import json
import time
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import finetune_plan as plan
import finetune_tables
import numpy as np
from finetune_cache import COPIES, FOLDER
from numpy.typing import NDArray
from study_regimes import prepare
from trade import key, read, show
from trade_scores import by_class, scores, trees_of

from hier_ref.baselines.embeddings import baselines, raw
from hier_ref.evaluate import ranking
from hier_ref.features.contract import Features, default_features, read_features
from hier_ref.training.batch import to_ball_or_sphere
from hier_ref.training.config import Config
from hier_ref.training.starts import start_head
from hier_ref.training.trainer import init_params

TRIPLETS = 5  # of each anchor, for time


@cache
def maps() -> list[NDArray]:
    """Return the inputs of the last block by copy, (N, 192, 7, 7) of all rows, or of training."""
    return [np.load(FOLDER / f"maps{copy}.npy", mmap_mode="r") for copy in range(1 + COPIES)]


@cache
def frozen() -> NDArray:
    """Return the untouched network's outputs (N, 1280) of all rows."""
    import finetune_net as net

    blocks = net.tail()
    return net.in_blocks(lambda part: net.pooled(blocks, part), maps()[0])


@cache
def prepared(data: str) -> tuple[NDArray, NDArray, Features]:
    """Return rows and labels (N,) to train on, and what is scored, its features being rows."""
    features = read_features(default_features())
    rows = np.arange(len(features.labels), dtype=np.float32)[:, None]
    inputs, labels, _, scored = prepare(replace(features, features=rows), data)
    return inputs[:, 0].astype(int), labels, scored


@cache
def head(data: str, start: str) -> tuple[NDArray, NDArray]:
    """Return weight (D, 1280) and bias (D,) of a head in closed form on the frozen network."""
    rows, labels, _ = prepared(data)
    f, config = frozen()[rows], Config(start=start, hier_weight=0.0)
    params = init_params(config, f.shape[1], len(np.unique(labels)))
    params = start_head(params, f, labels, np.arange(len(f)), config)
    return params["head.weight"], params["head.bias"]


def config_of(task: dict) -> Config:
    """Return the options of a run."""
    setting, (loss, kind) = dict(task["setting"]), task["arm"].split()
    rate, weight = setting.pop("lr_tail"), setting.pop("hier_weight", 0.0)
    proxies = plan.TIMES * rate if kind == "released" else plan.ABSOLUTE
    options = plan.CONSTANTS.get(kind, {}) | setting | {"lr_proxies": proxies}
    return Config(
        loss=loss, hier_weight=weight, triplets=TRIPLETS, seed=task["seed"], validate=0.0, **options
    )


def fine_tuned(task: dict) -> tuple[NDArray, SimpleNamespace]:
    """Return the points (N, D) of the scored rows after a training, and what trees are read from.

    The second is what `trade_scores.trees_of` asks of a `Fit`.
    """
    import finetune_net as net

    rows, labels, scored = prepared(task["data"])
    config = config_of(task)
    train = np.cumsum(read_features(default_features()).split == "train") - 1
    own = [copy[train[rows] if number else rows] for number, copy in enumerate(maps())]
    kinds = np.unique(labels, return_inverse=True)[1]
    start = net.Start(own, kinds, *head(task["data"], config.start))
    at_points = task["arm"].endswith("strong")
    network = net.trained(start, config, task["setting"]["lr_tail"], at_points)
    seen = maps()[0][scored.part("test").features[:, 0].astype(int)]
    x = net.in_blocks(lambda part: net.tangents(network, part), seen)
    learnt = {name: p.detach().numpy().astype(float) for name, p in network.params.items()}
    return to_ball_or_sphere(x.astype(float), config), SimpleNamespace(config=config, params=learnt)


def embedded(task: dict) -> tuple[NDArray, SimpleNamespace | None]:
    """Return the embedding (N, D) of the scored rows, and what else trees are read from."""
    if task["arm"] not in plan.UNTRAINED:
        return fine_tuned(task)
    rows, labels, scored = prepared(task["data"])
    form = baselines(frozen()[rows], labels, Config().embedding)[task["arm"]]
    return form(frozen()[scored.part("test").features[:, 0].astype(int)]), None


def run(task: dict) -> dict:
    """Train and score one run."""
    start = time.process_time()
    z, fit = embedded(task)
    final = task["stage"] == "final"
    scored = replace(prepared(task["data"])[2].part("test"), features=z)
    said = scores(scored, raw, trees_of(z, raw, fit), with_classes=final)
    if final:
        found = ranking(scored, 0.0, raw)
        more = {"recall8": found.rank[:, 0] < 8, "map": found.average_precision[:, 0]}
        said["by_class"] |= {name: by_class(v, scored.labels) for name, v in more.items()}
    return task | said | {"seconds": round(time.process_time() - start, 1)}


def complete(tasks: Iterable[dict], path: Path) -> None:
    """Run what the results lack; add and print a line for each."""
    done = {key(row) for row in read(path)}
    for each in tasks:
        if key(each) not in done:
            row = run(each)
            with path.open("a") as file:
                file.write(json.dumps(row, separators=(",", ":")) + "\n")
            show(row)


def main() -> None:
    """Run what was asked for, then print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=8, help="settings of each arm, at most 8")
    parser.add_argument("--seeds", type=int, default=5, help="of each chosen setting")
    parser.add_argument("--out", type=Path, default=finetune_tables.RESULTS, help="file of results")
    parser.add_argument("--one", nargs=2, metavar=("ARM", "TRIAL"), help="one trial, not kept")
    parser.add_argument("--tables", action="store_true", help="run nothing")
    args = parser.parse_args()
    if not args.tables:
        import torch

        torch.set_num_threads(1)
    if args.one:
        arm, trial = args.one[0], int(args.one[1])
        show(run(plan.task("tune", arm, plan.setting(arm, trial), 0, trial=trial)))
        return
    if not args.tables:
        complete(plan.tuning(args.trials), args.out)
        complete(plan.finals(read(args.out), args.seeds), args.out)
    n = finetune_tables.sizes()
    for name, table in finetune_tables.TABLES.items():
        print(f"{name}:\n\n{table(read(args.out), n)}")


if __name__ == "__main__":
    main()
