"""`python -m hier_ref.train` as a user meets it: what it prints, writes, resumes and refuses."""

import errno
import io
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from synthetic import SIZES, call, clustered, files, save, words

from hier_ref.evaluate import main as evaluate
from hier_ref.features.contract import default_features
from hier_ref.files import read_arrays, write_arrays
from hier_ref.runs.folder import CHECKPOINT, CONFIG, HEAD, METRICS, RESULT, open_run
from hier_ref.train import main, make_parser
from hier_ref.training import batch as one_batch
from hier_ref.training import trainer
from hier_ref.training.config import Config
from hier_ref.tree.report import main as tree

ROOT = Path(__file__).resolve().parents[1]
RESULTS = (HEAD, METRICS, RESULT)
WRITTEN = {HEAD, METRICS, CONFIG, CHECKPOINT, RESULT}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Each test in a folder of its own, with one good features file in it."""
    monkeypatch.chdir(tmp_path)
    save(Path("good.npz"))
    return tmp_path


def train(*argv, features="good.npz", stderr=None, **options):
    """Train on a small file; options over those of SIZES."""
    return call(main, "--features", features, *argv, *words(**(SIZES | options)), stderr=stderr)


def resume(*argv):
    return call(main, "--resume", *argv)


def results(run):
    return [Path(run, name).read_bytes() for name in RESULTS]


def process(*argv, **options):
    """Start the command as a process of its own, with as many threads as this one."""
    command = [sys.executable, "-m", "hier_ref.train", *map(str, argv)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, env=environment, text=True, **options)


# ---- A run


def test_a_run_prints_what_it_reads_and_writes():
    ended = train("--out", "r")
    assert (ended.code, ended.err) == (0, "")
    lines = ended.out.splitlines()
    assert lines[0] == "features  good.npz: 48 test, 48 train rows of 12 numbers"
    assert lines[1].startswith(
        "training  8 classes; PA + 0.5 HIER on 12 proxies; linear head 12 -> 8"
    )
    assert lines[1].endswith("; 4 x 2 batches")
    assert lines[2] == "choice    the last epoch is kept; start: random; neighbours by ball"
    assert lines[3] == "run       r"
    columns = "epoch R@1 R@2 R@4 R@8 R-prec MAP@R R@1 pair (percent, unseen classes)"
    assert lines[5].split() == columns.split()
    assert [line.split()[0] for line in lines[6:12]] == ["raw", "white", "LDA", "0", "2", "4"]
    assert lines[13].startswith("verdict   the head finds ")
    names = HEAD, METRICS, RESULT
    assert lines[-1] == f"written   {', '.join(str(Path('r', name)) for name in names)}"
    assert set(files("r")) == WRITTEN


def test_metrics_hold_what_the_table_shows():
    out = train("--out", "r").out.splitlines()
    rows = [json.loads(line) for line in Path("r", METRICS).read_text().splitlines()]
    for row, line in zip(rows, out[9:12], strict=True):
        shown = [float(word) for word in line.split()[:8]]
        pair = row["levels"]["pair"]
        want = [*row["recall"].values(), row["r_precision"], row["map_at_r"], pair["recall"]["1"]]
        want = [row["epoch"], *(100 * np.array(want))]
        np.testing.assert_allclose(shown, want, rtol=0, atol=0.0051)
    assert "metric" not in rows[0]
    assert f"metric {rows[1]['metric']:.3f}  hier {rows[1]['hier']:.3f}" in out[10]


def test_the_head_file_is_what_was_trained():
    train("--out", "r")
    head, state = read_arrays(Path("r", HEAD)), read_arrays(Path("r", CHECKPOINT))
    names = {"head.weight", "head.bias", "loss.class_proxies", "proxies"}
    assert head.keys() == names | {"classes", "epoch", "run", "sha256"}
    for name in names:
        np.testing.assert_array_equal(head[name], state[f"params.{name}"])
    np.testing.assert_array_equal(head["classes"], np.arange(8))


def test_the_same_seed_gives_the_same_bytes_and_another_does_not():
    for out, seed in (("a", 0), ("b", 0), ("c", 1)):
        train("--out", out, seed=seed)
    assert results("a") == results("b")
    for one, other in zip(results("a"), results("c"), strict=True):
        assert one != other


def test_a_process_of_its_own_gives_the_same_bytes():
    options = words(**SIZES)
    done = process("--features", "good.npz", "--out", "a", *options, stdout=subprocess.PIPE)
    assert "written" in done.communicate(timeout=60)[0]
    train("--out", "b")
    assert results("a") == results("b")


def test_explicit_and_autograd_give_the_same_curve_to_rounding():
    for gradients in ("explicit", "autograd"):
        train("--out", gradients, gradients=gradients, dtype="float64", eval_every=1)
    one, other = (
        [json.loads(line) for line in Path(name, METRICS).read_text().splitlines()]
        for name in ("explicit", "autograd")
    )
    for name in ("metric", "hier"):
        curves = [[row[name] for row in rows[1:]] for rows in (one, other)]
        np.testing.assert_allclose(*curves, rtol=1e-12, atol=0)
    for name in ("epoch", "recall", "levels", "ties"):
        assert [row[name] for row in one] == [row[name] for row in other]


def test_without_hier_no_proxies_are_made_or_written():
    ended = train("--out", "r", hier_weight=0)
    assert "PA; linear head" in ended.out
    assert "hier" not in ended.out.split("run  ")[1].lower().replace("--hier", "")
    assert "proxies" not in read_arrays(Path("r", HEAD))


def test_no_epochs_write_the_head_as_drawn_and_its_evaluation():
    assert train("--out", "r", epochs=0).code == 0
    head = read_arrays(Path("r", HEAD))
    np.testing.assert_allclose(head["head.weight"] @ head["head.weight"].T, np.eye(8), atol=1e-6)
    rows = Path("r", METRICS).read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in rows] == [0]


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_other_float_types_train(dtype):
    save(Path("other.npz"), features=clustered()["features"].astype(dtype))
    assert train("--out", "r", features="other.npz").code == 0


def test_a_folder_of_npy_trains_to_the_same_bytes():
    save(Path("folder"))
    train("--out", "a", features="folder")
    train("--out", "b")
    assert results("a") == results("b")


def test_queries_and_a_gallery_train_and_are_scored():
    split = np.where(np.arange(96) < 48, "train", np.where(np.arange(96) % 3, "gallery", "query"))
    save(Path("shop.npz"), split=split)
    ended = train("--out", "r", features="shop.npz")
    assert ended.code == 0
    assert "32 gallery, 16 query, 48 train rows" in ended.out


def test_only_classes_that_were_not_trained_are_called_unseen():
    save(Path("seen.npz"), split=np.where(np.arange(96) % 2, "train", "test"))
    ended = train("--out", "r", features="seen.npz")
    assert ended.code == 0
    assert "(percent)" in ended.out
    assert "unseen" not in ended.out


def test_a_class_with_one_image_is_tolerated():
    labels = clustered()["labels"].copy()
    labels[0] = 99
    save(Path("one.npz"), labels=labels, split=np.where(np.arange(96) < 48, "train", "test"))
    assert train("--out", "r", features="one.npz", levels=None).code == 2  # no such option
    assert train("--out", "r", features="one.npz").code == 0


def test_a_run_without_a_name_gets_one_that_is_free():
    for _ in range(2):
        assert train(epochs=0).code == 0
    assert sorted(os.listdir("runs")) == ["good-PA-hier0.5-seed0", "good-PA-hier0.5-seed0-2"]


def test_the_embedded_features_train(monkeypatch):
    assert default_features().exists()
    options = {"embedding": 16, "proxies": 16, "triplets": 1, "neighbours": 4, "epochs": 1}
    ended = call(main, "--out", "r", *words(**options, recall_at=1))
    assert (ended.code, ended.err) == (0, "")
    assert json.loads(Path("r", CONFIG).read_text())["features"]["path"] == "default"
    found = [float(line.split()[1]) for line in ended.out.splitlines()[6:10]]
    assert 50.8 < found[0] < 50.9 and 25 < found[1] < found[0] and 25 < found[2]
    assert found[3] > found[0] / 2


# ---- Interrupted and resumed


def interrupt_at(monkeypatch, batch):
    """Let Ctrl-C come while the gradient of one batch of the run is computed."""
    calls = iter(range(1, 1000))

    def gradient(*args):
        if next(calls) == batch:
            raise KeyboardInterrupt
        return one_batch.batch_gradient(*args)

    monkeypatch.setitem(one_batch.GRADIENTS, "explicit", gradient)


# 4 epochs of 2 batches, evaluated after epochs 2 and 4
@pytest.mark.parametrize("batch", [1, 2, 3, 4, 5, 6, 7, 8])
def test_an_interrupted_run_resumes_to_the_same_bytes(monkeypatch, batch):
    train("--out", "whole")
    with monkeypatch.context() as patch:
        interrupt_at(patch, batch)
        ended = train("--out", "r")
    assert ended.code == 130
    assert ended.err == "\ninterrupted; go on with: python -m hier_ref.train --resume r\n"
    assert not Path("r", HEAD).exists()
    assert Path("r", CHECKPOINT).exists() == (batch > 2)
    ended = resume("r")
    assert (ended.code, ended.err) == (0, "")
    assert results("r") == results("whole")
    assert files("r").keys() == files("whole").keys()


def test_a_run_killed_between_evaluation_and_checkpoint_resumes_to_the_same_bytes(monkeypatch):
    train("--out", "whole")
    written = []

    def write(path, arrays):
        written.append(path.name)
        if len(written) == 2:  # the checkpoint of epoch 2, which is evaluated
            raise KeyboardInterrupt
        write_arrays(path, arrays)

    with monkeypatch.context() as patch:
        patch.setattr("hier_ref.train.write_arrays", write)
        assert train("--out", "r").code == 130
    assert written == [CHECKPOINT] * 2
    assert read_arrays(Path("r", CHECKPOINT))["epoch"] == 1
    assert len(Path("r", METRICS).read_text().splitlines()) == 2
    assert resume("r").code == 0
    assert results("r") == results("whole")


def test_a_killed_process_resumes_to_the_same_bytes():
    options = {"epochs": 60, "eval_every": 7}
    train("--out", "whole", **options)
    argv = ["--features", "good.npz", "--out", "r", *words(**(SIZES | options))]
    started, end = process(*argv, stdout=subprocess.DEVNULL), time.monotonic() + 60
    while not Path("r", CHECKPOINT).exists() and time.monotonic() < end:
        time.sleep(0.001)
    started.send_signal(signal.SIGKILL)
    assert started.wait() == -signal.SIGKILL
    assert not Path("r", HEAD).exists()
    assert 0 < read_arrays(Path("r", CHECKPOINT))["epoch"] < 60
    assert resume("r").code == 0
    assert results("r") == results("whole")


def test_resuming_shows_the_past_and_the_rest(monkeypatch):
    whole = train("--out", "whole").out.splitlines()
    with monkeypatch.context() as patch:
        interrupt_at(patch, 7)
        train("--out", "r")
    again = resume("r").out.splitlines()
    for one, other in zip(whole[4:12], again[4:12], strict=True):
        assert one.split("  0:")[0] == other.split("  0:")[0]


def test_resuming_a_finished_run_changes_nothing():
    train("--out", "r")
    before = files("r")
    ended = resume("r")
    assert (ended.code, ended.err) == (0, "")
    assert files("r") == before


def test_resuming_takes_the_same_options_again():
    train("--out", "r")
    assert resume("r", "--out", "r", *words(**SIZES), "--recall-at", 1, 2, 4, 8).code == 0


def test_resuming_finds_features_that_moved():
    train("--out", "r")
    os.rename("good.npz", "moved.npz")
    assert "good.npz: file: found nothing" in resume("r").err
    assert resume("r", "--features", "moved.npz").code == 0


def refused(ended, before):
    """The one line of a refusal, after which everything is as it was."""
    assert ended.code == 2
    assert ended.err.startswith("error: ")
    assert ended.err.count("\n") == 1 and ended.err.endswith("\n")
    assert files(".") == before
    return ended.err.removeprefix("error: ").rstrip("\n")


def test_resuming_with_another_option_is_refused():
    train("--out", "r")
    before = files(".")
    for name, value in (("seed", 1), ("hier_weight", 0.1), ("epochs", 5), ("recall_at", [1])):
        line = refused(resume("r", *words(**{name: value})), before)
        assert line.startswith(f"r: a run with {name} ")
    line = refused(resume("r", "--out", "other"), before)
    assert line == "--out other with --resume r: expected one of them"


def test_resuming_with_other_features_is_refused():
    train("--out", "r")
    save(Path("other.npz"), seed=1)
    line = refused(resume("r", "--features", "other.npz"), files("."))
    assert line == "other.npz: not the features that r was started with"


CHANGES = {
    "features": lambda c: {"features": c["features"][::-1]},
    "split": lambda c: {"split": np.where(c["labels"] < 8, "test", "train")},
    "labels": lambda c: {"labels": c["labels"][::-1]},
    "levels": lambda c: {"levels": c["levels"][::-1]},
    "level_names": lambda c: {"level_names": np.array(["other"])},
    "class_names": lambda c: {"class_names": np.array([f"c{n}" for n in range(16)])},
    "paths": lambda c: {"paths": np.array([f"{n}.png" for n in range(96)])},
}


@pytest.mark.parametrize("key", CHANGES)
def test_features_replaced_under_the_same_name_are_refused(key):
    train("--out", "r")
    save(Path("good.npz"), **CHANGES[key](clustered()))
    for command, option in ((main, "--resume"), (evaluate, "--run"), (tree, "--run")):
        line = refused(call(command, option, "r"), files("."))
        assert line.startswith("good.npz: not the features that r was started with: "), command


def test_a_run_named_with_strange_characters_is_quoted(monkeypatch):
    interrupt_at(monkeypatch, 3)
    ended = train("--out", "my run; $x")
    assert ended.err.endswith("--resume 'my run; $x'\n")


def test_a_test_row_that_the_dtype_cannot_hold_is_refused_before_anything_is_written():
    features = clustered()["features"].astype(float)
    features[90] *= 1e60
    save(Path("far.npz"), features=features)
    before = files(".")
    line = refused(train("--out", "r", features="far.npz"), before)
    assert "float32" in line
    assert train("--out", "r", features="far.npz", dtype="float64").code == 0


def test_a_folder_of_images_that_is_none_is_refused_before_training():
    line = refused(train("--out", "r", "--images", "none"), files("."))
    assert line == "--images none: no folder there, expected one of images"


def test_features_without_a_name_are_refused():
    before = files(".")
    for features in ("", " "):
        line = refused(train("--out", "r", features=features), before)
        assert line.startswith(("'': file: found an empty name", ": file: found nothing"))


def test_a_file_called_default_is_a_file():
    save(Path("default"))
    assert train("--out", "r", features="default").code == 0
    assert json.loads(Path("r", CONFIG).read_text())["features"]["path"] == "./default"
    assert resume("r").code == 0


def test_a_full_disk_names_the_file_and_how_to_go_on(monkeypatch):
    train("--out", "whole")
    sync, calls = os.fsync, iter(range(100))

    def full(number):
        if next(calls) == 4:  # the checkpoint of epoch 2
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(number)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        ended = train("--out", "r")
    assert ended.code == 2
    go_on = "then go on with: python -m hier_ref.train --resume r"
    path = Path("r", CHECKPOINT)
    assert ended.err == f"error: [Errno 28] No space left on device: '{path}'; {go_on}\n"
    assert not list(Path("r").glob(".*"))
    assert resume("r").code == 0
    assert results("r") == results("whole")


def test_resuming_says_that_another_machine_may_give_other_bytes(monkeypatch):
    train("--out", "r")
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Nonesuch")
    ended = resume("r")
    assert ended.code == 0
    assert ended.err.startswith("note: r: blas_kernel_asked was ")
    assert ended.err.endswith("is Nonesuch here, so the last bits may differ\n")


def test_resuming_removes_what_a_killed_process_left():
    train("--out", "r")
    Path("r", ".checkpoint.npz.123.part").write_bytes(b"half")
    assert resume("r").code == 0
    assert set(files("r")) == WRITTEN


def test_resuming_what_is_no_run_is_refused():
    Path("empty").mkdir()
    for name in ("none", "empty", "good.npz"):
        line = refused(resume(name), files("."))
        assert line == f"{Path(name, CONFIG)}: not found; expected the folder of a run"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (CHECKPOINT, b""),
        (CHECKPOINT, b"PK\x03\x04 and no more"),
        (CONFIG, b"{"),
        (METRICS, b"{"),
        (METRICS, b""),
    ],
)
def test_resuming_a_damaged_run_is_refused(name, content):
    train("--out", "r")
    Path("r", name).write_bytes(content)
    assert refused(resume("r"), files(".")).startswith(f"{Path('r', name)}: ")


def test_resuming_from_the_checkpoint_of_another_run_is_refused():
    train("--out", "r")
    train("--out", "other", embedding=9)
    Path("r", CHECKPOINT).write_bytes(Path("other", CHECKPOINT).read_bytes())
    line = refused(resume("r"), files("."))
    assert line.startswith(f"{Path('r', CHECKPOINT)}: found arrays of run ")


def test_resuming_from_parameters_of_another_form_is_refused():
    train("--out", "r")
    run = open_run(Path("r"))
    state = run.read(CHECKPOINT)
    for wrong in ({"params.head.bias": np.zeros(9)}, {"epoch": np.array(99)}, {"more": np.ones(1)}):
        write_arrays(Path("r", CHECKPOINT), run.sealed(state | wrong))
        line = refused(resume("r"), files("."))
        assert line == f"{Path('r', CHECKPOINT)}: not the parameters of this configuration"


def test_an_exploding_run_ends_in_one_line_and_keeps_its_last_checkpoint():
    # The decay multiplies the class proxies by 1 - lr * decay = -1e9 at each of 8 steps.
    options = {"lr_head": 0, "lr_proxies": 0, "lr_loss": 1e3, "weight_decay": 1e6}
    ended = train("--out", "r", **options, eval_every=1, warmup_epochs=0, schedule="constant")
    assert ended.code == 2
    assert ended.err.startswith("error: epoch ")
    assert ended.err.endswith("try lower learning rates\n")
    assert ended.err.count("\n") == 1
    rows = Path("r", METRICS).read_text().splitlines()
    state = open_run(Path("r")).read(CHECKPOINT)
    assert state["epoch"] == json.loads(rows[-1])["epoch"] > 0
    assert all(np.isfinite(array).all() for array in state.values())
    assert not Path("r", HEAD).exists()


# ---- Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_shows_the_time_left_in_a_running_line():
    terminal = Terminal()
    ended = train("--out", "r", stderr=terminal)
    shown = terminal.getvalue().replace("\x1b[K", "").split("\r")
    running = [line for line in shown if line]
    assert [line.split()[1] for line in running] == [str(e) for e in (1, 1, 2, 2, 3, 3, 4, 4)]
    for line in running:
        assert "passed, 0:00 left  metric " in line and "  hier " in line
    assert terminal.getvalue().endswith("\r\x1b[K\r")  # nothing of it stays
    assert ended.out.count("left") == 2


def test_elsewhere_only_evaluations_are_shown():
    ended = train("--out", "r")
    assert ended.err == ""
    assert [line.split()[0] for line in ended.out.splitlines() if "left" in line] == ["2", "4"]
    assert "\r" not in ended.out and "\x1b" not in ended.out


def test_the_time_left_is_that_of_the_batches_left(monkeypatch):
    clock = iter(range(100_000))  # each look at the clock a second after the last
    monkeypatch.setattr("hier_ref.progress.time.monotonic", lambda: next(clock))
    rows = train("--out", "r", epochs=6, eval_every=2).out.splitlines()[10:13]
    seconds = [
        [60 * int(m) + int(s) for m, s in (w.split(":") for w in line.split() if ":" in w)]
        for line in rows
    ]
    # 4, 8 and 12 of 12 batches
    assert [left for _, left in seconds] == [2 * seconds[0][0], seconds[1][0] // 2, 0]
    assert seconds[0][0] >= 4


# ---- Refusals: exit code 2, one line, no folder


def cut(path, share):
    save(path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])


def huge(path):
    """A header that promises 4 exabytes, and nothing behind it."""
    with zipfile.ZipFile(path, "w") as archive:
        for key, descr, shape in (
            ("features", "<f4", (10**12, 10**6)),
            ("labels", "<i8", (10**12,)),
        ):
            header = io.BytesIO()
            form = {"descr": descr, "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(header, form)
            archive.writestr(f"{key}.npy", header.getvalue())


def with_nan(path):
    x = clustered()["features"]
    x[7, 2] = np.nan
    save(path, features=x)


LABELS = clustered()["labels"]
FILES = {
    "missing": (lambda path: None, "file: found nothing"),
    "not a zip": (lambda path: path.write_bytes(b"hello"), "file: found BadZipFile"),
    "truncated": (lambda path: cut(path, 0.7), "file: found BadZipFile"),
    "objects": (
        lambda path: save(path, labels=np.array([{}] * 96, dtype=object)),
        "labels: found dtype object",
    ),
    "no labels": (lambda path: save(path, labels=None), "labels: found only"),
    "1-d": (lambda path: save(path, features=np.ones(96)), "features: found shape (96,)"),
    "3-d": (
        lambda path: save(path, features=np.ones((96, 2, 2))),
        "features: found shape (96, 2, 2)",
    ),
    "nan": (with_nan, "features: found nan in row 7, column 2"),
    "label count": (lambda path: save(path, labels=LABELS[1:]), "labels: found shape (95,)"),
    "float labels": (lambda path: save(path, labels=LABELS + 0.5), "labels: found dtype float64"),
    "one class": (lambda path: save(path, labels=LABELS * 0), "labels: found training classes [0]"),
    "no pair": (lambda path: save(path, labels=np.arange(96)), "labels: found no class in train"),
    "no test": (lambda path: save(path, split=np.repeat("train", 96)), "split: found only"),
    "no rows": (
        lambda path: save(
            path, features=np.ones((0, 3)), labels=LABELS[:0], levels=LABELS[:0, None]
        ),
        "features: found shape (0, 3)",
    ),
    "beyond memory": (huge, "features: found 0 bytes of data, expected 4000000000000000000"),
    "split word": (lambda path: save(path, split=np.repeat(["train", "val"], 48)), "split: found"),
}


@pytest.mark.parametrize("case", FILES)
def test_a_bad_file_is_refused_and_nothing_is_written(case):
    make, message = FILES[case]
    path = Path("bad.npz")
    make(path)
    before = files(".")
    assert refused(train(features=path), before).startswith(f"bad.npz: {message}")
    assert refused(train("--out", "r", features=path), before).startswith(f"bad.npz: {message}")
    assert not Path("r").exists() and not Path("runs").exists()


@pytest.mark.parametrize("case", ["missing", "beyond memory"])
def test_a_process_refuses_likewise(case):
    make, message = FILES[case]
    make(Path("bad.npz"))
    before = files(".")
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    started = process("--features", "bad.npz", **pipes)
    out, err = started.communicate(timeout=60)
    assert (started.returncode, out) == (2, "")
    assert err.startswith(f"error: bad.npz: {message}") and err.count("\n") == 1
    assert files(".") == before


OPTIONS = {
    "loss nope": "argument --loss: invalid choice: 'nope'",
    "gradients none": "argument --gradients: invalid choice: 'none'",
    "dtype float16": "argument --dtype: invalid choice: 'float16'",
    "seed x": "argument --seed: invalid int value: 'x'",
    "seed -1": "seed -1: expected integers, at least 0",
    "epochs 1.5": "argument --epochs: invalid int value: '1.5'",
    "epochs -1": "epochs -1: expected integers, at least 0",
    "tau 0": "tau 0.0: expected a number, more than 0",
    "tau -1": "tau -1.0: expected a number, more than 0",
    "tau nan": "tau nan: expected a number, more than 0",
    "c inf": "c inf: expected a number, at least 0",
    "c -1": "c -1.0: expected a number, at least 0",
    "c 0": "c 0 with hier_weight 0.5: HIER needs a curved ball, expected c above",
    "c 100": "c 100.0 with clip 2.3: found sqrt(c) clip = 23, expected at most 7.62",
    "clip 1e9": "c 0.1 with clip 1000000000.0: found sqrt(c) clip",
    "hier-weight -1": "hier_weight -1.0: expected a number, at least 0",
    "hier-weight inf": "hier_weight inf: expected a number, at least 0",
    "lr-head nan": "lr_head nan: expected a number, at least 0",
    "margin -0.1": "margin -0.1: expected a number, at least 0",
    "clip-gradient 0": "clip_gradient 0.0: expected a number, more than 0",
    "proxies 0": "proxies 0: expected integers, at least 1",
    "proxies 100000000000000": "Unable to allocate",
    "proxies 100000000000001": "proxies 100000000000001: expected integers, at most",
    "triplets 99999999999999999999": "triplets 99999999999999999999: expected integers, at most",
    "batch 99999999999999999999": "batch 99999999999999999999: expected integers, at most",
    f"epochs {'9' * 400}": "epochs 1e400: expected integers, at most",
    f"seed {'9' * 400}": "seed 1e400: expected integers, at most 18446744073709551615",
    "tau 1e-46": "tau 1e-46: expected a number from 1.18e-38 to 3.4e+38, the range of float32",
    "c 1e-300": "c 1e-300: expected a number from 1.18e-38 to 3.4e+38, the range of float32",
    "clip-gradient 1e-46": "clip_gradient 1e-46: expected a number from",
    "lr-head 1e39": "lr_head 1e+39: expected a number from",
    "hier-weight 1e-46": "hier_weight 1e-46: expected a number from",
    "head-scale 1e308": "head_scale 1e+308: expected a number from",
    "head-scale 1e30": "the head maps row 0 beyond what float32 can square: expected smaller",
    "triplets 0": "triplets 0: expected integers, at least 1",
    "recall-at 0": "recall_at 0: expected integers, at least 1",
    "eval-every 0": "eval_every 0: expected integers, at least 1",
    "batch 25": "batch of 25 with 2 per class: expected a positive multiple (options batch, ",
    "batch 180": "batch of 180 with 2 per class: expected at most 48, all that the labels can fill",
    "images-per-class 8": "batch of 24 with 8 per class: expected at most 0",
    "epoch 3": "unrecognized arguments: --epoch 3; all options: python -m hier_ref.train --help",
    "nope": "unrecognized arguments: --nope; all options",
}


@pytest.mark.parametrize("option", OPTIONS)
def test_a_bad_option_is_refused_and_nothing_is_written(option):
    before = files(".")
    ended = call(
        main, "--features", "good.npz", "--out", "r", *words(**SIZES), *f"--{option}".split()
    )
    assert refused(ended, before).startswith(OPTIONS[option])
    assert ended.out == ""
    assert not Path("r").exists()


def test_the_default_batch_on_few_images_names_one_that_fits():
    line = refused(call(main, "--features", "good.npz"), files("."))
    fits = line.split("expected at most ")[1].split(",")[0]
    assert train("--out", "r", batch=fits, epochs=0).code == 0


def test_a_folder_that_cannot_be_written_is_refused():
    Path("file").write_text("")
    before = files(".")
    line = refused(train("--out", Path("file", "deep", "run")), before)
    assert line == f"{Path('file', 'deep', 'run')}: cannot write there (Not a directory)"
    assert "File name too long" in refused(train("--out", "x" * 5000), before)


def test_a_folder_that_is_not_empty_is_refused():
    train("--out", "r")
    line = refused(train("--out", "r"), files("."))
    assert line.startswith("r: not empty; go on with --resume")


# ---- Help and options


def test_help_teaches_every_option():
    ended = call(main, "--help")
    assert (ended.code, ended.err) == (0, "")
    text = " ".join(ended.out.split())
    for each in fields(Config):
        form = ", " if isinstance(each.default, bool) else " "
        assert f"--{each.name.replace('_', '-')}{form}" in text
        assert f"{each.metadata['help']} (default: " in text
    for word in ("--features", "--out", "--resume", "docs/8-features.md", "docs/6-training.md"):
        assert word in text


def test_options_arrive_as_they_are_and_defaults_are_those_of_config():
    parser, given = make_parser(), {"features", "out", "resume", "no_pictures", "images", "threads"}
    assert vars(parser.parse_args([])).keys() == given
    for each in fields(Config):
        argv = words(**{each.name: each.default})
        found = {k: v for k, v in vars(parser.parse_args(argv)).items() if k not in given}
        assert Config(**found) == Config()
        assert found.keys() == {each.name}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 2.5}, "epochs 2.5: expected integers, at least 0"),
        ({"batch": "many"}, "batch 'many': expected integers, at least 1"),
        ({"tau": None}, "tau None: expected a number, more than 0"),
        ({"loss": 3}, "loss 3: expected one of PA"),
        ({"recall_at": (1, 0)}, "recall_at 0: expected integers, at least 1"),
        ({"c": 20.0}, r"c 20.0 with clip 2.3: found sqrt\(c\) clip = 10.3, expected at most 7.62"),
        ({"c": 60.0, "dtype": "float64"}, "expected at most 17.7, where float64 still"),
    ],
)
def test_config_names_the_option_that_is_wrong(options, message):
    with pytest.raises(ValueError, match=message):
        Config(**options)


def test_config_takes_numpy_numbers_and_one_k():
    config = Config(batch=np.int64(20), tau=np.float32(0.5), epochs=np.uint8(3), recall_at=5)
    assert (config.batch, config.tau, config.epochs, config.recall_at) == (20, 0.5, 3, (5,))
    assert Config(recall_at=[4, 1, 4]).recall_at == (4, 1)


@pytest.mark.parametrize(("dtype", "longest"), [("float32", 7.61), ("float64", 17.6)])
def test_points_of_the_longest_clip_stay_inside_the_ball(dtype, longest, rng):
    c = 0.1
    config = Config(dtype=dtype, clip=longest / np.sqrt(c), embedding=64, proxies=1)
    params = trainer.init_params(config, 12, 3)
    params["head.weight"] *= 1000
    z = one_batch.embed(rng.standard_normal((2000, 12)), params, config).astype(np.longdouble)
    assert np.max(np.sum(z**2, axis=1)) * c < 1
