"""`python data/extract.py` with a backbone in NumPy: what it writes, resumes and refuses."""

import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import extract
import extraction
import miniatures
import numpy as np
import pytest
from backbone import Backbone, load_backbone
from images import centre, decode, normalise
from miniatures import BUILD, put
from synthetic import call, files

from hier_ref.features.contract import read_features

ROOT = Path(__file__).resolve().parents[1]
MEAN, STD, CROP = (0.5, 0.4, 0.3), (0.5, 0.25, 0.2), 28
OUT = Path("x.npz")


def corners(images):
    """A backbone that shows what it is given: (B, 3, S, S) -> three pixels (B, 9)."""
    assert images.dtype == np.float32 and images.shape[1:] == (3, CROP, CROP)
    return images[:, :, [0, 5, -1], [0, 9, -1]].reshape(len(images), 9)


def backbone(embed=corners, **identity):
    return Backbone(embed, CROP, MEAN, STD, {"backbone": "corners"} | identity)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Each test in a folder of its own, with the backbone above for that of timm."""
    monkeypatch.chdir(tmp_path)
    use(monkeypatch)
    return miniatures.folder(Path("images"))


def use(monkeypatch, embed=corners, **identity):
    monkeypatch.setattr(extract, "load_backbone", lambda *_: backbone(embed, **identity))


def run(*argv, layout="folder", root="images", out=OUT):
    return call(extract.main, layout, root, out, "--batch", 5, *argv)


def refused(*argv, **options):
    """The line of a refusal, which leaves nothing of OUT behind."""
    ended = run(*argv, **options)
    assert ended.code == 2 and ended.err.count("\n") == 1, ended
    assert not OUT.exists()
    return ended.err.removeprefix("error: ").rstrip("\n")


def by_hand(path):
    """The features of one image."""
    image = centre(decode(Path(path).read_bytes()), CROP)
    return corners(normalise([image], MEAN, STD))[0]


# ---- What is written


@pytest.mark.parametrize("layout", BUILD)
def test_each_layout_becomes_a_features_file(layout):
    BUILD[layout](Path("set"))
    ended = run(layout=layout, root="set")
    assert ended.code == 0, ended
    found = read_features(OUT)
    assert found.features.dtype == np.float32
    for row, path in enumerate(found.paths):
        np.testing.assert_array_equal(found.features[row], by_hand(Path("set", path)))
    listed = extract.read_layout(layout, Path("set"))
    assert found.paths.tolist() == listed.paths and found.labels.tolist() == listed.labels
    assert listed.split in (None, found.split.tolist())
    levels = None if found.levels is None else list(map(tuple, found.levels.tolist()))
    assert levels == listed.levels


def test_a_folder_of_arrays_holds_the_same():
    assert run(out="x").code == run().code == 0
    archive, mapped = read_features(OUT), read_features("x")
    assert isinstance(mapped.features, np.memmap)
    np.testing.assert_array_equal(mapped.features, archive.features)
    assert mapped.paths.tolist() == archive.paths.tolist()
    assert mapped.class_names.tolist() == ["ant", "bee", "cat", "dog"]


def test_half_precision_is_the_rounded_single():
    run(out="single.npz")
    assert run("--dtype", "float16").code == 0
    want = read_features("single.npz").features.astype(np.float16)
    np.testing.assert_array_equal(read_features(OUT).features, want)


def test_nothing_else_is_left_behind():
    before = set(files("."))
    run()
    assert set(files(".")) - before == {"x.npz"} and not Path("x.npz.work").exists()


def test_what_is_printed():
    ended = run()
    assert ended.out.splitlines() == [
        "images    images: 12 of 4 classes, no split (the first half of the classes trains)",
        "backbone  corners; short side 32 (bicubic), centre 28; mean 0.5 0.4 0.3, std 0.5 0.25 0.2",
        "work      x.npz.work: 0 of 3 batches done",
        "written   x.npz: 12 images",
    ]
    progress = ended.err.splitlines()
    assert [line.split(",")[0] for line in progress] == [
        "5 of 12 images",
        "10 of 12 images",
        "12 of 12 images",
    ]
    assert progress[-1].endswith("0:00:00 left")


def test_on_a_terminal_the_progress_is_one_line():
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    stderr = Terminal()
    call(extract.main, "folder", "images", OUT, "--batch", 5, stderr=stderr)
    text = stderr.getvalue()
    assert "\n" not in text and text.count("\r") == 3 and text.endswith("\x1b[K")


def test_a_set_that_is_not_whole_is_said():
    miniatures.cub(Path("set"))
    lines = run(layout="cub", root="set").out.splitlines()
    assert lines[0] == "images    set: 8 of 4 classes, 4 train, 4 test"
    assert lines[1] == "note      the published set has 11788 of 200 classes"


# ---- Images that cannot be read


def damage(*paths):
    for path in paths:
        data = Path("images", path).read_bytes()
        Path("images", path).write_bytes(data[: len(data) // 2])


def test_unreadable_images_are_left_out_and_listed():
    whole = extract.read_layout("folder", Path("images")).paths
    damage("ant/1.png")
    Path("images/dog/note.txt").write_text("no image")
    ended = run()
    assert ended.code == 1
    assert ended.out.splitlines()[-2:] == [
        "written   x.npz: 11 images",
        "left out  2, see x.npz.unreadable.jsonl",
    ]
    listed = list(map(json.loads, Path("x.npz.unreadable.jsonl").read_text().splitlines()))
    assert [row["path"] for row in listed] == ["ant/1.png", "dog/note.txt"]
    assert "truncated" in listed[0]["reason"] and "cannot identify" in listed[1]["reason"]
    found = read_features(OUT)
    assert found.paths.tolist() == [path for path in whole if path != "ant/1.png"]
    assert found.labels.tolist() == [0] * 2 + [1] * 3 + [2] * 3 + [3] * 3
    for row, path in enumerate(found.paths):
        np.testing.assert_array_equal(found.features[row], by_hand(Path("images", path)))


@pytest.mark.parametrize("batch", [range(0, 5), range(5, 10), range(10, 12)])
def test_a_batch_may_have_no_readable_image(batch):
    miniatures.folder(Path("images"), ("ant", "dog"), 4)  # 4, 3, 3 and 4 images
    paths = extract.read_layout("folder", Path("images")).paths
    damage(*(paths[row] for row in batch))
    assert run().code == 1
    kept = [path for row, path in enumerate(paths) if row not in batch]
    assert read_features(OUT).paths.tolist() == kept


def test_no_readable_image_is_refused():
    damage(*extract.read_layout("folder", Path("images")).paths)
    line = run().err.splitlines()[-1]
    assert line == "error: images: found no image that can be read" and not OUT.exists()


def test_too_few_readable_images_are_refused():
    damage(*(f"{name}/{row}.png" for name in ("cat", "dog") for row in (0, 1)))
    line = run().err.splitlines()[-1]
    assert line.startswith("error: x.npz: labels: found no query with a correct gallery image")
    assert not OUT.exists()


def test_a_disk_that_is_lost_ends_the_run_and_loses_no_image(monkeypatch):
    def lost(self, path):
        raise FileNotFoundError(2, "No such file or directory", path)

    with monkeypatch.context() as patch:
        patch.setattr(extraction.Extraction, "_open", lost)
        assert refused() == "[Errno 2] No such file or directory: 'ant/0.png'"
    assert run().code == 0


# ---- Interrupted and gone on with


def interrupting(calls):
    """A backbone that is interrupted at a call."""
    left = iter(range(calls))

    def embed(images):
        if next(left, None) is None:
            raise KeyboardInterrupt
        return corners(images)

    return embed


@pytest.mark.parametrize("out", ["x.npz", "x"])
@pytest.mark.parametrize("calls", [0, 1, 2])
def test_an_interrupted_run_ends_with_the_same_bytes(monkeypatch, out, calls):
    damage("bee/1.png")
    run(out=out)
    names = {"x.npz", "x", "x.npz.unreadable.jsonl", "x.unreadable.jsonl"}
    want = files(".")
    for name in names:
        shutil.rmtree(name) if Path(name).is_dir() else Path(name).unlink(missing_ok=True)
    use(monkeypatch, interrupting(calls))
    ended = run(out=out)
    assert ended.code == 130 and not Path(out).exists()
    assert ended.err.splitlines()[-1] == "interrupted; go on with the same command"
    again = []
    use(monkeypatch, lambda images: again.append(len(images)) or corners(images))
    ended = run(out=out)
    assert ended.code == 1 and f"{calls} of 3 batches done" in ended.out
    assert len(again) == 3 - calls
    assert files(".") == want


def test_a_run_interrupted_while_it_writes_goes_on(monkeypatch):
    run(out="x")
    want = files("x")
    shutil.rmtree("x")

    def half(path, arrays):
        Path(path).mkdir()
        (Path(path) / "other.npy").write_bytes(b"")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(extraction, "write_features", half)
        assert run(out="x").code == 130 and not Path("x").exists()
    assert run(out="x").code == 0
    assert files("x") == want


def begun(monkeypatch):
    """Leave a run after its first batch."""
    with monkeypatch.context() as patch:
        use(patch, interrupting(1))
        assert run().code == 130


def test_a_changed_backbone_is_refused(monkeypatch):
    begun(monkeypatch)
    use(monkeypatch, backbone="edges")
    assert refused() == (
        "x.npz.work: begun with backbone corners, found edges; "
        "give the same command again, or remove that folder"
    )


@pytest.mark.parametrize(
    ("argv", "key"), [(["--batch", "6"], "batch 5, found 6"), (["--dtype", "float16"], "dtype")]
)
def test_a_changed_option_is_refused(monkeypatch, argv, key):
    begun(monkeypatch)
    assert f"begun with {key}" in refused(*argv)


@pytest.mark.parametrize("change", ["added", "removed", "renamed", "changed", "moved"])
def test_a_changed_list_of_images_is_refused(monkeypatch, change):
    begun(monkeypatch)
    image = Path("images/dog/2.png")
    if change == "added":
        put(image.with_name("3.png"))
    elif change == "removed":
        image.unlink()
    elif change == "renamed":
        image.rename(image.with_name("4.png"))
    elif change == "changed":
        put(image, size=(50, 60))
    else:
        image.rename("images/cat/3.png")
    assert "begun with images " in refused()


@pytest.mark.parametrize("text", ["", "[1]", "{", '{"backbone": "corners"}'])
def test_a_damaged_job_is_refused(monkeypatch, text):
    begun(monkeypatch)
    Path("x.npz.work/job.json").write_text(text)
    assert refused().startswith("x.npz.work")


def test_a_damaged_batch_is_refused(monkeypatch):
    begun(monkeypatch)
    Path("x.npz.work/00000000.npz").write_bytes(b"PK")
    line = run().err.splitlines()[-1]
    assert line.startswith("error: x.npz.work/00000000.npz: damaged") and not OUT.exists()


# ---- Refused before anything is computed


def test_an_existing_file_is_not_overwritten():
    OUT.write_bytes(b"old")
    ended = run()
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == "error: x.npz: exists already, expected a new name\n"
    assert OUT.read_bytes() == b"old"


@pytest.mark.parametrize(
    ("argv", "options", "line"),
    [
        ([], {"layout": "birds"}, "argument LAYOUT: invalid choice: 'birds'"),
        ([], {"root": "no"}, "no: found nothing, expected a folder"),
        ([], {"layout": "cub"}, "images: found neither images/CUB_200_2011/images nor"),
        (["--batch", "0"], {}, "--batch 0: expected at least 1"),
        (["--batch", "x"], {}, "argument --batch: invalid int value: 'x'"),
        (["--dtype", "float8"], {}, "argument --dtype: invalid choice: 'float8'"),
        ([], {"out": "x.h5"}, "x.h5: expected a name that ends in .npz, or a folder"),
        (["--colour"], {}, "unrecognized arguments: --colour"),
    ],
)
def test_a_wrong_word_is_refused_in_one_line(argv, options, line):
    before = files(".")
    assert refused(*argv, **options).startswith(line)
    assert files(".") == before


def test_what_cannot_train_is_refused_before_the_backbone_is_loaded(monkeypatch):
    monkeypatch.setattr(extract, "load_backbone", None)
    miniatures.folder(Path("few"), ("ant", "bee"))
    assert refused(root="few").startswith("few: labels: found training classes [0], expected two")
    assert not Path("x.npz.work").exists()


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30])
def test_features_that_are_not_finite_are_refused_by_image(monkeypatch, value):
    use(monkeypatch, lambda images: np.where(np.arange(len(images))[:, None] == 2, value, 0.0))
    assert refused("--dtype", "float16") == (
        "ant/2.png: the backbone returned numbers that are not finite in float16, "
        "expected finite ones"
    )


@pytest.mark.parametrize("shape", [(5,), (5, 3, 3), (4, 3)])
def test_features_of_another_shape_are_refused(monkeypatch, shape):
    use(monkeypatch, lambda images: np.zeros(shape))
    assert refused() == f"the backbone returned {shape}, expected (5, F)"


@pytest.mark.parametrize("package", ["torch", "timm"])
def test_a_missing_package_is_named_with_the_extra(monkeypatch, package):
    monkeypatch.setitem(sys.modules, "timm", type(sys)("timm"))
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ValueError, match=r"(?s)import.*pip install '\.\[extract\]'") as caught:
        load_backbone("vit_small_patch16_224")
    assert package in str(caught.value) and "\n" not in str(caught.value)


def test_the_script_runs_from_a_checkout():
    command = [sys.executable, ROOT / "data/extract.py", "sop", "images", "y.npz"]
    environment = {key: text for key, text in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "images/Stanford_Online_Products/Ebay_train.txt" in done.stderr


def test_help_teaches_every_layout():
    ended = call(extract.main, "--help")
    assert ended.code == 0
    for word in (*BUILD, "examples:", "unreadable.jsonl", "exit code", "OUT.work", "docs/8-"):
        assert word in ended.out
