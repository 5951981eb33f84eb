"""What a finished run shows of itself: files that are named, whole and of the right kind."""

import numpy as np
import pytest
from PIL import Image
from synthetic import SIZES, call, save, words

from hier_ref.train import main
from hier_ref.tree.material import gather
from hier_ref.tree.pictures import nearest_rows

TREE = {"tree.json", "tree.nwk", "tree.dot", "tree.html", "disk.png"}


def trained(tmp_path, **options):
    features = save(tmp_path / "f.npz")
    folder = tmp_path / "run"
    options = SIZES | {"epochs": 1} | options
    ended = call(main, "--features", features, "--out", folder, *words(**options), pictures=True)
    assert ended.code == 0, ended.err
    return folder, ended


@pytest.mark.parametrize(
    "options, shown",
    [
        ({}, TREE | {"curves.png", "retrieval.png"}),
        ({"hier_weight": 0}, {"curves.png", "retrieval.png"}),
        ({"hier_weight": 0, "c": 0}, {"curves.png"}),
    ],
)
def test_training_ends_by_writing_and_naming_what_can_be_shown(options, shown, tmp_path):
    folder, ended = trained(tmp_path, **options)
    written = {path.name for path in folder.iterdir()}
    always = {"head.npz", "config.json", "metrics.jsonl", "checkpoint.npz", "result.json"}
    assert written == always | shown
    assert all(str(folder / name) in ended.out for name in shown)
    for name in shown:
        if name.endswith(".png"):
            with Image.open(folder / name) as picture:
                picture.load()
                assert picture.width >= 700 and len(picture.getcolors(2**20)) > 2


def test_images_of_a_folder_are_shown_at_the_end_of_training(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    Image.new("RGB", (40, 40), (250, 0, 250)).save(folder / "a.png")
    features = save(tmp_path / "f.npz", paths=np.full(96, "a.png"))
    argv = ["--features", features, "--out", tmp_path / "run", "--images", folder]
    ended = call(main, *argv, *words(**(SIZES | {"epochs": 1})), pictures=True)
    assert ended.code == 0, ended.err
    with Image.open(tmp_path / "run" / "retrieval.png") as sheet:
        colours = {colour for _, colour in sheet.convert("RGB").getcolors(2**20)}
    assert (250, 0, 250) in colours


def test_the_same_run_draws_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    first, second = (trained(tmp_path / name)[0] for name in ("a", "b"))
    for name in TREE | {"curves.png", "retrieval.png"}:
        if name != "tree.json":  # it names the features file, which lies elsewhere
            assert (first / name).read_bytes() == (second / name).read_bytes(), name


def test_the_sheet_shows_the_nearest_rows_without_the_query(tmp_path):
    run = gather(trained(tmp_path)[0])
    queries = np.array([0, 7])
    nearest = nearest_rows(run, queries, 5)
    assert nearest.shape == (2, 5) and not (nearest == queries[:, None]).any()
    own = np.linalg.norm(run.z - run.z[7], axis=1)
    assert own[nearest[1, 0]] < np.median(own)


def test_groups_without_names_are_named_by_what_they_hold(tmp_path):
    run = gather(trained(tmp_path)[0])
    classes, names = run.value_names
    assert list(names) == [4, 5, 6, 7] and names[5] == "5: class 10, ..."
    assert list(classes.values()) == [f"class {n}" for n in range(8, 16)]
