"""`python -m hier_ref.evaluate`: the scores of a run are those of its training, and of raw."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from synthetic import SIZES, call, clustered, files, save, words

from hier_ref import evaluate
from hier_ref.evaluate import Scores, heading, level_names, line, main, raw, score
from hier_ref.features.contract import read_features
from hier_ref.files import write_arrays
from hier_ref.runs.folder import HEAD, METRICS, open_run
from hier_ref.train import main as train_main
from hier_ref.training.config import Config


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save(Path("good.npz"))
    return tmp_path


@pytest.fixture
def run():
    call(train_main, "--features", "good.npz", "--out", "r", *words(**SIZES))
    return Path("r")


def rows(ended):
    """The table as name -> numbers: four recalls, R-precision, MAP@R."""
    assert (ended.code, ended.err) == (0, "")
    table = ended.out.split("\n\nverdict")[0].splitlines()[2:]
    lines = [re.split(r"  +", each.split("  (")[0]) for each in table]
    return {name: [float(word) for word in columns] for name, *columns in lines}


def refused(*argv):
    before, ended = files("."), call(main, *argv)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("error: ") and ended.err.count("\n") == 1
    assert files(".") == before
    return ended.err.removeprefix("error: ").rstrip("\n")


# ---- The command


def test_the_scores_of_a_run_are_those_that_its_training_printed(run):
    ended = call(main, "--run", run)
    last = json.loads((run / METRICS).read_text().splitlines()[-1])
    for name, part in {"run": last, "run pair": last["levels"]["pair"]}.items():
        want = [*part["recall"].values(), part["r_precision"], part["map_at_r"]]
        np.testing.assert_allclose(rows(ended)[name], 100 * np.array(want), rtol=0, atol=0.0051)
    assert ended.out.splitlines()[0] == "good.npz"


def test_raw_needs_no_run_and_is_the_same_beside_one(run):
    alone = rows(call(main, "--raw", "--features", "good.npz"))
    assert alone.keys() == {"raw", "raw pair"}
    beside = rows(call(main, "--run", run))
    names = ("raw", "whitened", "lda", "run")
    assert list(beside) == [name + level for name in names for level in ("", " pair")]
    assert {name: beside[name] for name in alone} == alone
    assert rows(call(main, "--run", run, "--raw")) == alone
    closed = rows(call(main, "--features", "good.npz"))
    assert closed.keys() == beside.keys() - {"run", "run pair"}
    assert {name: closed[name] for name in alone} == alone


def test_other_features_of_the_same_width_are_scored(run):
    save(Path("other.npz"), seed=1)
    ended = call(main, "--run", run, "--features", "other.npz")
    assert ended.err == "note: other.npz: other features than those that r was started with\n"
    found = rows(ended._replace(err=""))
    assert found["raw"] != rows(call(main, "--run", run))["raw"]


def test_each_k_is_a_column_once(run):
    ended = call(main, "--run", run, "--ks", 1, 40, 1)
    assert ended.out.splitlines()[1].split() == "R@1 R@40 R-prec MAP@R (percent)".split()
    assert rows(ended)["run"][1] > rows(ended)["run"][0]


def test_the_embedded_features_are_scored_without_a_file():
    found = call(main, "--raw", "--ks", 1)
    assert found.code == 0
    assert "emoji.npz" in found.out
    assert 30 < float(found.out.splitlines()[2].split()[1]) < 60


def test_ties_are_reported():
    x = clustered()["features"]
    x[48:] = 1.0  # all test images alike
    save(Path("same.npz"), features=x)
    ended = call(main, "--raw", "--features", "same.npz")
    assert rows(ended) == {"raw": [0.0] * 6, "raw pair": [0.0] * 6}
    fine, pair = ended.out.splitlines()[2:]
    assert fine.endswith(f"({48 * 42} ties)")  # each image with 42 wrong ones
    assert pair.endswith(f"({48 * 36} ties)")


@pytest.mark.parametrize("k", [0, -1])
def test_a_k_below_1_is_refused(run, k):
    assert refused("--run", run, "--ks", 1, k) == f"--ks {k}: expected at least 1"


def test_nothing_to_evaluate_is_refused():
    line = "nothing to evaluate: name --run or --features, or ask for --raw"
    assert refused() == refused("--ks", 1) == line


def test_features_of_another_width_are_refused(run):
    save(Path("wide.npz"), features=np.random.default_rng(0).standard_normal((96, 13)))
    line = refused("--run", run, "--features", "wide.npz")
    assert line == "wide.npz: found 13 columns, the head of r takes 12"


def test_an_unfinished_run_is_refused(run):
    (run / HEAD).unlink()
    line = refused("--run", run)
    assert line == f"{run / HEAD}: not found; a run writes it when it is finished"


def test_a_head_of_another_run_is_refused(run):
    wrong = {"head.weight": np.ones((3, 12)), "head.bias": np.ones(3)}
    write_arrays(run / HEAD, wrong)
    assert "found another sha256" in refused("--run", run)
    write_arrays(run / HEAD, open_run(run).sealed(wrong))
    assert refused("--run", run).endswith("expected head.weight (8, F), head.bias (8)")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--run", "none"], "none/config.json: not found; expected the folder of a run"),
        (["--raw", "--features", "none.npz"], "none.npz: file: found nothing"),
        (["--ks"], "argument --ks: expected at least one argument; all options"),
        (["--ks", "a"], "argument --ks: invalid int value: 'a'; all options"),
        (["--feat", "a"], "unrecognized arguments: --feat a; all options"),
    ],
)
def test_bad_arguments_are_refused(argv, message):
    assert refused(*argv).startswith(message)


def test_help_teaches_every_option():
    ended = call(main, "--help")
    assert (ended.code, ended.err) == (0, "")
    for word in (
        "--run",
        "--features",
        "--raw",
        "--ks",
        "--released-inshop-index",
        "examples:",
        "(default: 1 2 4 8)",
    ):
        assert word in ended.out


# ---- Scores


def identity(rows):
    return rows


def test_score_of_a_line_by_hand():
    # Angles 0, 10, 25 | 60, 65 degrees; classes a a b | b b. Cosine orders by angle.
    angles = np.radians([0.0, 10.0, 25.0, 60.0, 65.0])
    x = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    features = read_features(
        save(
            Path("line.npz"),
            features=np.concatenate([x, x]),
            labels=np.array([2, 2, 3, 3, 3, 0, 0, 1, 1, 1]),
            split=np.repeat(["test", "train"], 5),
            levels=np.array([5, 5, 5, 5, 5, 6, 6, 7, 7, 7])[:, None],
        )
    )
    found = score(features, (1, 2, 3), 0.0, identity)
    # The third image's neighbours are a, a, b, b: rank 2, and none right among its R = 2 nearest.
    # All others have nothing but their own class there.
    assert found[0] == Scores({1: 0.8, 2: 0.8, 3: 1.0}, 0.8, 0.8, 0)
    assert found[1:] == [Scores({1: 1.0, 2: 1.0, 3: 1.0}, 1.0, 1.0, 0)]


def test_embedding_in_blocks_changes_nothing(monkeypatch):
    features = read_features("good.npz")
    whole = score(features, (1, 2), 0.0, raw)
    monkeypatch.setattr(evaluate, "ROWS", 7)
    assert score(features, (1, 2), 0.0, raw) == whole


def test_queries_look_into_the_gallery_only():
    split = np.where(np.arange(96) < 48, "train", np.where(np.arange(96) % 6, "gallery", "query"))
    features = read_features(save(Path("shop.npz"), split=split))
    seen = []

    def embedding(rows):
        seen.append(len(rows))
        return rows

    found = score(features, (1, 40), 0.0, embedding)
    assert seen == [8, 40]
    assert found[0].recall[40] == 1.0


def test_float16_is_scored_in_float32():
    x = clustered()["features"].astype(np.float16)
    half, single = (
        score(read_features(save(Path(f"{t}.npz"), features=x.astype(t))), (1,), 0.0, raw)
        for t in ("float16", "float32")
    )
    assert half == single


def test_levels_without_names_are_numbered_and_may_be_absent():
    levels = np.stack([clustered()["labels"] // 2, clustered()["labels"] // 4], axis=1)
    numbered = read_features(save(Path("a.npz"), levels=levels, level_names=None))
    absent = read_features(save(Path("b.npz"), levels=None, level_names=None))
    assert level_names(numbered) == ["level 1", "level 2"]
    assert level_names(absent) == []
    assert len(score(absent, (1,), 0.0, raw)) == 1
    fine, first, second = score(numbered, (1,), 0.0, raw)
    assert fine.recall[1] <= first.recall[1] <= second.recall[1]


def test_columns_stand_under_their_headings():
    names = ["a", "a level with a long name"]
    scores = Scores({1: 0.5, 1000: 1.0}, 0.25, 0.125, 0)
    head, body = heading((1, 1000), names), line([scores] * 3, names)
    assert len(head) == len(body)
    ends = [match.end() for match in re.finditer(r"[\d.]+", body)]
    assert ends == [8, 16, 24, 32, *(head.index(name) + len(name) for name in names)]
    assert body.split() == ["50.00", "100.00", "25.00", "12.50", "50.00", "50.00"]
    assert heading((1, 1000)) == "     R@1  R@1000  R-prec   MAP@R"


def test_the_released_index_of_inshop_leaves_out_an_unrelated_image():
    # Query 0 and gallery item 0 are one class and closest: by position, the item is left out.
    x = np.radians([0.0, 90.0, 1.0, 20.0, 91.0, 300.0, 310.0, 320.0])
    save(
        Path("shop.npz"),
        features=np.stack([np.cos(x), np.sin(x)], axis=1),
        labels=np.array([0, 1, 0, 1, 1, 2, 2, 3]),
        split=np.array(["query"] * 2 + ["gallery"] * 3 + ["train"] * 3),
        levels=None,
        level_names=None,
    )
    argv = "--features", "shop.npz", "--ks", 1
    assert rows(call(main, *argv))["raw"] == [100.0, 100.0, 100.0]
    # query 0 has no correct item left; query 1 loses item 1, and its one correct item is first
    assert rows(call(main, *argv, "--released-inshop-index"))["raw"] == [50.0, 50.0, 50.0]


def test_the_released_index_of_inshop_needs_a_query_and_a_gallery():
    line = refused("--features", "good.npz", "--released-inshop-index")
    assert line == "--released-inshop-index: good.npz has no query and gallery, expected both"


def test_config_and_command_score_the_same_ks_by_default():
    assert evaluate.make_parser().parse_args([]).ks == Config().recall_at
