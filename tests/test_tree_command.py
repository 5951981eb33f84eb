"""`python -m hier_ref.tree`: its tables, its files, and what it refuses in one line."""

import contextlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from synthetic import SIZES, call, clustered, files, save, words

from hier_ref.features.contract import read_features
from hier_ref.train import main as train_main
from hier_ref.tree import read_tree
from hier_ref.tree.material import gather, unseen_rows
from hier_ref.tree.report import main, turned
from hier_ref.tree.scores import dendrogram_purity

UNICODE = np.array([f"'it\"s' 日本 \\ 🦊, ({n})" for n in range(16)])
SIZES = SIZES | {"epochs": 1, "eval_every": 1}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with features and two runs, with proxies and without."""
    folder = tmp_path_factory.mktemp("trained")
    save(folder / "good.npz", class_names=UNICODE)
    for name, changes in (("r", {}), ("plain", {"hier_weight": 0})):
        sizes = words(**(SIZES | changes))
        assert (
            call(train_main, "--features", folder / "good.npz", "--out", folder / name, *sizes)[0]
            == 0
        )
    return folder


@pytest.fixture(autouse=True)
def here(trained, monkeypatch):
    monkeypatch.chdir(trained)


def refused(*argv):
    before, ended = files("."), call(main, *argv)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("error: ") and ended.err.count("\n") == 1
    assert files(".") == before
    return ended.err.removeprefix("error: ").rstrip("\n")


def test_scores_and_files_of_a_run(tmp_path):
    ended = call(main, "--run", "r", "--beside", "plain", "--out", tmp_path)
    assert (ended.code, ended.err) == (0, "")
    for name in ("proxies, rule lca", "proxies, rule nearest", "random proxies", "shuffled points"):
        assert f"\n{name} " in ended.out
    for name in ("embeddings", "features", "beside"):
        assert f"\nlinkage, {name} " in ended.out
    assert {p.name for p in tmp_path.iterdir()} == WRITTEN
    assert ended.out.splitlines()[-1].count(str(tmp_path)) == len(WRITTEN)
    nodes = json.loads((tmp_path / "tree.json").read_text("utf-8"))["nodes"]
    arrays = clustered()
    rows = [node["row"] for node in nodes if node["kind"] == "point"]
    assert rows == list(range(48, 96))  # the second half of the classes
    for node in nodes[:48]:
        label = int(arrays["labels"][node["row"]])
        assert node["name"] == f"{UNICODE[label]} [{node['row']}]"
        assert node["labels"] == {"class": label, "pair": label // 2}


def test_viewers_are_told_what_a_proxy_is_of_by_name(tmp_path):
    values = np.array([[f"pair of {n}"] for n in range(8)])
    path = save(tmp_path / "x.npz", class_names=UNICODE, level_values=values)
    assert call(main, "--run", "r", "--features", path, "--out", tmp_path / "t").code == 0
    whole = json.loads((tmp_path / "t" / "tree.json").read_text("utf-8"))
    assert whole["values"]["pair"] == {str(n): f"pair of {n}" for n in range(4, 8)}
    root = whole["nodes"][-1]
    for name in ("tree.nwk", "tree.dot"):
        text = (tmp_path / "t" / name).read_text("utf-8")
        assert f"{root['name']}: pair of 4, 12 of 48" in text  # of four equally common the first


def test_the_table_holds_the_scores_of_the_tree(tmp_path):
    run = gather(Path("r"))
    tree = read_tree(run.z, run.l, run.c)
    out = call(main, "--run", "r", "--out", tmp_path).out
    line = next(line for line in out.splitlines() if line.startswith("proxies, rule lca"))
    want = [dendrogram_purity(tree, column) for column in run.columns.T]
    assert line.split()[3:5] == [f"{value:.3f}" for value in want]
    assert f"{tree.n_points} points under {12 - len(tree.unused)} of 12 proxies" in out


def test_turned_proxies_keep_their_radii_and_nothing_else(rng):
    l = rng.standard_normal((200, 40))
    other = turned(l, rng)
    np.testing.assert_allclose(np.linalg.norm(other, axis=1), np.linalg.norm(l, axis=1))
    cosine = np.sum(l * other, axis=1) / np.linalg.norm(l, axis=1) ** 2
    assert abs(cosine.mean()) < 0.05 and abs(cosine.std() - 40**-0.5) < 0.03


def test_the_same_command_gives_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        assert call(main, "--run", "r", "--out", tmp_path / name).code == 0
    assert files(tmp_path / "a") == files(tmp_path / "b")


def test_the_run_folder_is_where_files_go_and_the_rule_is_told():
    assert call(main, "--run", "r", "--rule", "nearest").code == 0
    assert json.loads(Path("r/tree.json").read_text("utf-8"))["rule"] == "nearest"


def test_no_levels_and_no_names(tmp_path):
    path = save(tmp_path / "bare.npz", levels=None, level_names=None)
    ended = call(main, "--run", "r", "--features", path, "--out", tmp_path / "t")
    note = f"note: {path}: other features than those that r was started with\n"
    assert (ended.code, ended.err) == (0, note)
    assert "purity class" in ended.out and "purity pair" not in ended.out
    names = json.loads((tmp_path / "t" / "tree.json").read_text("utf-8"))["nodes"][0]["name"]
    assert names == "class 8 [48]"


def test_one_test_class(tmp_path):
    labels = clustered()["labels"]
    split = np.where(labels < 15, "train", "test")
    path = save(tmp_path / "one.npz", split=split)
    ended = call(main, "--run", "r", "--features", path, "--out", tmp_path / "t")
    note = f"note: {path}: other features than those that r was started with\n"
    assert (ended.code, ended.err) == (0, note)
    line = next(line for line in ended.out.splitlines() if line.startswith("proxies, rule lca"))
    assert line.split()[3:] == ["1.000", "1.000", "-", "-"]


def test_a_gallery_is_read_where_there_is_one(tmp_path):
    labels = clustered()["labels"]
    split = np.where(labels < 8, "train", np.where(np.arange(96) % 2, "query", "gallery"))
    features = read_features(save(tmp_path / "shop.npz", split=split))
    assert unseen_rows(features, 99).tolist() == list(range(48, 96, 2))


def test_of_many_rows_some_are_drawn_always_the_same():
    features = read_features("good.npz")
    rows = unseen_rows(features, 10)
    assert len(np.unique(rows)) == 10 and (np.diff(rows) > 0).all() and rows.min() >= 48
    assert np.array_equal(rows, unseen_rows(features, 10))
    run = gather(Path("r"), features, 10)
    whole = gather(Path("r"), features)
    np.testing.assert_array_equal(run.columns, whole.columns[rows - 48])
    np.testing.assert_allclose(run.z, whole.z[rows - 48], rtol=0, atol=1e-6)
    assert call(main, "--run", "r", "--points", 10, "--out", "few").code == 0


WRITTEN = {"tree.json", "tree.nwk", "tree.dot", "tree.html"}
WRITTEN |= {"disk.png", "curves.png", "retrieval.png"}


class Closed(io.StringIO):
    """What a command writes to when `head -1` has gone."""

    def write(self, text):
        raise BrokenPipeError(32, "Broken pipe")


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "cp932", "latin-1", None])
def test_files_are_written_before_anything_is_printed(encoding, tmp_path):
    """So that they are there if printing fails: an encoding without δ, a reader that has gone."""
    out = Closed() if encoding is None else io.TextIOWrapper(io.BytesIO(), encoding)
    with contextlib.suppress(UnicodeEncodeError, BrokenPipeError), contextlib.redirect_stdout(out):
        main(["--run", "r", "--out", str(tmp_path)])
    assert {p.name for p in tmp_path.iterdir()} == WRITTEN


HOSTILE = ["\u202eدב كلب", "e" + "\u0301" * 500, "a\nb\r\x1b[31m\u2028", "w" * 10**5, "🦊" * 400]


@pytest.mark.parametrize(
    "names", [HOSTILE, [""], ["\u200f"]], ids=["hostile", "empty", "invisible"]
)
def test_any_names_are_written_and_drawn(names, tmp_path):
    sixteen = np.array([names[n % len(names)] for n in range(16)])
    path = save(tmp_path / "x.npz", class_names=sixteen, level_names=sixteen[-1:])
    ended = call(main, "--run", "r", "--features", path, "--out", tmp_path / "t")
    note = f"note: {path}: other features than those that r was started with\n"
    assert (ended.code, ended.err) == (0, note)
    assert set(files(tmp_path / "t")) == WRITTEN
    nodes = json.loads((tmp_path / "t" / "tree.json").read_text("utf-8"))["nodes"]
    called = [sixteen[8 + k // 6] or f"class {8 + k // 6}" for k in range(8)]
    assert [n["name"] for n in nodes[:8]] == [f"{name} [{48 + k}]" for k, name in enumerate(called)]
    assert (tmp_path / "t" / "tree.nwk").read_text("utf-8").count("\n") == 1


def test_level_values_may_be_as_large_as_they_like(tmp_path):
    levels = clustered()["levels"] + 2**62
    path = save(tmp_path / "x.npz", levels=levels)
    assert call(main, "--run", "r", "--features", path, "--out", tmp_path / "t").code == 0


def test_ten_thousand_classes(tmp_path):
    labels = np.repeat(np.arange(20_000), 2)
    features = np.random.default_rng(0).standard_normal((40_000, 12)).astype(np.float32)
    many = {"labels": labels, "features": features, "levels": None, "level_names": None}
    path = save(tmp_path / "x.npz", class_names=labels[::2].astype(str), **many)
    argv = ("--run", "r", "--features", path, "--out", tmp_path / "t", "--points", 500)
    assert call(main, *argv).code == 0


def test_images_are_found_by_path_or_by_row(tmp_path):
    """Below the folder that is named: by the paths of the features file, else row 50 is 50.png."""
    for name in ("50.png", "a/x.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (9, 9), "red").save(tmp_path / name)
    paths = np.array(["a/x.png" if n == 60 else "a/none.png" for n in range(96)])
    for row, features in ((50, "good.npz"), (60, save(tmp_path / "x.npz", paths=paths))):
        out = tmp_path / f"t{row}"
        argv = ("--run", "r", "--features", features, "--images", tmp_path, "--out", out)
        assert call(main, *argv).code == 0
        text = (out / "tree.html").read_text("utf-8")
        data = json.loads(text.split('id="data">')[1].split("</script>")[0])
        assert np.flatnonzero(np.array(data["pictures"]["of"]) >= 0).tolist() == [row - 48]


def test_a_folder_of_images_that_is_not_there_is_refused():
    assert refused("--run", "r", "--images", "nowhere") == (
        "--images nowhere: no folder there, expected one of images"
    )


def test_a_run_without_hier_has_no_tree():
    assert refused("--run", "plain") == (
        "plain: trained without HIER, so it has no proxies to make a tree of; "
        "score it with --beside"
    )


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["--run", "nowhere"], "nowhere/config.json: not found"),
        ([], "required: --run"),
        (["--run", "r", "--rule", "umap"], "invalid choice"),
        (["--run", "r", "--points", "0"], "--points 0: expected at least 1"),
        (["--run", "r", "--features", "no.npz"], "no.npz"),
        (["--run", "r", "--beside", "nowhere"], "nowhere/config.json"),
    ],
)
def test_mistakes_are_refused_in_one_line(argv, expected):
    assert expected in refused(*argv)


def test_features_of_another_width_are_refused():
    wide = np.random.default_rng(0).standard_normal((96, 5)).astype(np.float32)
    save(Path("wide.npz"), features=wide)
    assert refused("--run", "r", "--features", "wide.npz") == (
        "wide.npz: found 5 columns, the head of r takes 12"
    )


def test_a_run_on_the_sphere_is_refused():
    sizes = words(**(SIZES | {"hier_weight": 0, "c": 0}))
    ended = call(train_main, "--features", "good.npz", "--out", "sphere", *sizes)
    assert ended.code == 0, ended.err
    assert refused("--run", "sphere").startswith("sphere: trained on the sphere")
