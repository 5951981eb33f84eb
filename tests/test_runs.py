"""A run on disk: whole files, equal bytes for equal content, and one line for every damage."""

import json
import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from synthetic import save

from hier_ref import files
from hier_ref.features.contract import read_features
from hier_ref.files import FileError, read_arrays, write_arrays, write_bytes
from hier_ref.runs import machine
from hier_ref.runs.folder import (
    CHECKPOINT,
    CONFIG,
    HEAD,
    METRICS,
    Run,
    open_run,
    recorded_machine,
)
from hier_ref.runs.seals import digest, sealed
from hier_ref.training.config import Config

CONTENT = {"a": np.arange(3.0), "b": np.ones((2, 2), np.float32)}


def refusal(function, *args):
    """The one line with which something is refused."""
    with pytest.raises(FileError) as caught:
        function(*args)
    line = str(caught.value)
    assert "\n" not in line
    return line


def test_arrays_come_back(tmp_path):
    write_arrays(tmp_path / "a.npz", CONTENT)
    found = read_arrays(tmp_path / "a.npz")
    assert found.keys() == CONTENT.keys()
    for name, array in CONTENT.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


def test_equal_arrays_give_equal_bytes_without_a_date(tmp_path):
    for name in "xy":
        write_arrays(tmp_path / name, dict(CONTENT))
    assert (tmp_path / "x").read_bytes() == (tmp_path / "y").read_bytes()
    with zipfile.ZipFile(tmp_path / "x") as archive:
        assert {info.date_time[0] for info in archive.infolist()} == {1980}


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_last_whole_file(tmp_path, monkeypatch, step):
    path = tmp_path / "a"
    write_bytes(path, b"whole")

    def fail(*args):
        raise OSError("no space left")

    monkeypatch.setattr(files.os, step, fail)
    with pytest.raises(OSError, match="no space left"):
        write_bytes(path, b"half")
    assert path.read_bytes() == b"whole"


def test_a_file_is_renamed_only_when_it_is_whole(tmp_path, monkeypatch):
    seen = []
    rename = os.replace
    monkeypatch.setattr(
        files.os, "replace", lambda a, b: (seen.append(a.read_bytes()), rename(a, b))
    )
    write_bytes(tmp_path / "a", b"content")
    assert seen == [b"content"]
    assert os.listdir(tmp_path) == ["a"]


class Bomb:
    """Unpickling it would create a file."""

    def __reduce__(self):
        return open, ("exploded", "w")


def test_damaged_arrays_are_refused_and_never_unpickled(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez("objects.npz", a=np.array([Bomb()], dtype=object))
    (tmp_path / "pickle.npz").write_bytes(pickle.dumps(Bomb()))
    write_arrays(tmp_path / "whole.npz", CONTENT)
    whole = (tmp_path / "whole.npz").read_bytes()
    (tmp_path / "short.npz").write_bytes(whole[:-30])
    (tmp_path / "flipped.npz").write_bytes(whole.replace(b"\x00\x00\x80?", b"\x00\x00\x81?"))
    (tmp_path / "empty.npz").write_bytes(b"")
    (tmp_path / "text.npz").write_bytes(b"hello")
    for name in ("objects", "pickle", "short", "flipped", "empty", "text"):
        path = tmp_path / f"{name}.npz"
        assert refusal(read_arrays, path).startswith(f"{path}: damaged, expected arrays"), name
    assert not (tmp_path / "exploded").exists()


def test_a_missing_head_says_when_it_comes(tmp_path):
    line = refusal(read_arrays, tmp_path / HEAD)
    assert line == f"{tmp_path / HEAD}: not found; a run writes it when it is finished"


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"head.weight": np.ones((4, 3))},
        {"head.weight": np.ones((3, 4)), "head.bias": np.ones(3)},
        {"head.weight": np.ones(4), "head.bias": np.ones(4)},
        {"head.weight": np.ones((4, 3)), "head.bias": np.ones(5)},
    ],
)
def test_a_head_of_another_configuration_is_refused(tmp_path, params):
    run = make_run(tmp_path, embedding=4)
    write_arrays(run.folder / HEAD, run.sealed(params))
    line = refusal(run.read_head)
    assert line.endswith("expected head.weight (4, F), head.bias (4)")
    right = {"head.weight": np.ones((4, 3)), "head.bias": np.ones(4)}
    write_arrays(run.folder / HEAD, run.sealed(right))
    assert run.read_head().keys() == right.keys()


# ---- The digest


def test_digest_is_of_the_content_not_of_the_file(tmp_path):
    npz, folder = (digest(read_features(save(tmp_path / name))) for name in ("a.npz", "folder"))
    fortran = save(
        tmp_path / "b.npz", features=np.asfortranarray(read_features(tmp_path / "a.npz").features)
    )
    assert npz == folder == digest(read_features(fortran))
    assert len(npz) == 64


def test_digest_sees_every_array_that_counts(tmp_path):
    base = read_features(save(tmp_path / "base.npz"))
    split = np.where(base.labels % 2, "train", "test")
    x = base.features.copy()
    x[40, 3] = np.nextafter(x[40, 3], np.float32(1))
    changes = {
        "features": {"features": x},
        "type": {"features": base.features.astype(float)},
        "labels": {"labels": base.labels + 1},
        "split": {"split": split},
        "levels": {"levels": base.levels + 1},
        "level_names": {"level_names": np.array(["other"])},
        "no level_names": {"level_names": None},
        "no levels": {"levels": None, "level_names": None},
    }
    found = {digest(base)} | {
        digest(read_features(save(tmp_path / f"{name}.npz", **change)))
        for name, change in changes.items()
    }
    assert len(found) == 1 + len(changes)


# ---- The folder


def make_run(folder, **options):
    run = Run(folder, Config(**options), "some.npz", "digest")
    run.create()
    return run


def test_a_run_comes_back_from_its_folder(tmp_path):
    run = make_run(tmp_path / "deep" / "er", seed=3, tau=0.25, recall_at=(1, 10))
    assert open_run(run.folder) == run
    assert os.listdir(run.folder) == [CONFIG]


def test_config_json_holds_every_option_and_the_versions(tmp_path):
    run = make_run(tmp_path / "r", seed=3)
    content = json.loads((run.folder / CONFIG).read_text())
    assert content["config"] == vars(Config(seed=3)) | {"recall_at": [1, 2, 4, 8]}
    assert content["features"] == {"path": "some.npz", "sha256": "digest"}
    assert content["versions"].keys() == {"hier_ref", "python", "numpy", "scipy", "autograd"}
    assert content["versions"]["numpy"] == np.__version__


def test_an_empty_folder_may_become_a_run(tmp_path):
    make_run(tmp_path)
    assert open_run(tmp_path).sha256 == "digest"


def test_a_folder_that_holds_anything_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("precious")
    for path in (tmp_path, tmp_path / "mine.txt"):
        line = refusal(make_run, path)
        assert line.startswith(f"{path}: not empty; go on with --resume, or name another folder")
    assert os.listdir(tmp_path) == ["mine.txt"]


def test_a_folder_below_a_file_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / "run"
    assert refusal(make_run, path) == f"{path}: cannot write there (Not a directory)"


def changed(content, case):
    """Text of a config.json with one fault, sealed again so that the fault itself is met."""
    config, features = content["config"], content["features"]
    fault = {
        "no config": {"features": features},
        "an option less": {
            "config": {k: v for k, v in config.items() if k != "tau"},
            "features": features,
        },
        "an option more": {"config": config | {"x": 1}, "features": features},
        "out of range": {"config": config | {"tau": -1}, "features": features},
        "another type": {"config": config | {"batch": "b"}, "features": features},
        "no digest": {"config": config, "features": {"path": "a"}},
        "config a list": {"config": [], "features": features},
    }[case]
    return json.dumps(sealed(fault))


@pytest.mark.parametrize(
    "case",
    ["no config", "an option less", "an option more", "out of range", "another type"]
    + ["no digest", "config a list"],
)
def test_a_wrong_configuration_is_refused(tmp_path, case):
    run = make_run(tmp_path)
    path = run.folder / CONFIG
    path.write_text(changed(json.loads(path.read_text()), case))
    line = refusal(open_run, tmp_path)
    assert line.startswith(f"{path}: expected the configuration of a run ("), line


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (b"{", "found no JSON"),
        (b"\xff\xfe", "found no JSON"),
        (b"[" * 10**5, "found no JSON"),
        (b'{"config": ' + b"9" * 5000 + b"}", "found no JSON"),
        (b"[]", "found no sha256"),
        (b'{"config": {}}', "found no sha256"),
        (b'{"sha256": 1}', "found another sha256"),
        (b"", "found no JSON"),
    ],
)
def test_a_damaged_configuration_is_refused(tmp_path, text, found):
    run = make_run(tmp_path)
    (run.folder / CONFIG).write_bytes(text)
    assert refusal(open_run, tmp_path).startswith(f"{run.folder / CONFIG}: {found}")


def test_a_folder_without_configuration_is_no_run(tmp_path):
    for folder in (tmp_path, tmp_path / "none"):
        assert refusal(open_run, folder) == (
            f"{folder / CONFIG}: not found; expected the folder of a run"
        )


# ---- The evaluations


def rows_of(*epochs):
    return [{"epoch": epoch, "recall": {"1": 0.5}} for epoch in epochs]


@pytest.mark.parametrize(
    ("eval_every", "epochs", "expected"),
    [(1, 3, [0, 1, 2, 3]), (2, 5, [0, 2, 4, 5]), (10, 3, [0, 3]), (2, 0, [0])],
)
def test_the_first_and_the_last_epoch_are_evaluated(tmp_path, eval_every, epochs, expected):
    run = Run(tmp_path, Config(eval_every=eval_every, epochs=epochs), "", "")
    assert [epoch for epoch in range(epochs + 1) if run.evaluates(epoch)] == expected


def test_evaluations_after_the_last_checkpoint_are_made_again(tmp_path):
    run = Run(tmp_path, Config(eval_every=2, epochs=5), "", "")
    run.write_lines(METRICS, rows_of(0, 2, 4))
    assert run.metrics() == run.metrics(3) == rows_of(0, 2, 4)
    assert run.metrics(2) == rows_of(0, 2)
    assert run.metrics(0) == []


@pytest.mark.parametrize(
    "text", [None, "", "{\n", '{"epoch": 0}\n', "[1]\n", '{"x": 0}\n', "\xff\n", "[" * 10**5]
)
def test_damaged_evaluations_are_refused(tmp_path, text):
    run = Run(tmp_path, Config(eval_every=2, epochs=5), "", "")
    if text is not None:
        (tmp_path / METRICS).write_bytes(text.encode("latin-1"))
    assert refusal(run.metrics, 3).startswith(f"{tmp_path / METRICS}: ")


def test_a_missing_evaluation_is_refused(tmp_path):
    run = Run(tmp_path, Config(eval_every=2, epochs=5), "", "")
    run.write_lines(METRICS, rows_of(0))
    line = refusal(run.metrics, 2)
    assert line == f"{tmp_path / METRICS}: found 1 evaluations, expected 2 or more"


# ---- Seals: what belongs together


@pytest.mark.parametrize(
    "change",
    {
        "digit": lambda lines: [lines[0], lines[1].replace("0.5", "0.6"), lines[2]],
        "key": lambda lines: [lines[0].replace("recall", "recaal"), *lines[1:]],
        "type": lambda lines: [lines[0].replace(": 0,", ": false,"), *lines[1:]],
        "order": lambda lines: [lines[1], lines[0], lines[2]],
        "twice": lambda lines: [lines[0], *lines],
        "one less": lambda lines: [lines[0], lines[2]],
        "seal": lambda lines: [lines[0].replace("a", "b"), *lines[1:]],
        "no object": lambda lines: ["7", *lines[1:]],
    }.items(),
    ids=lambda item: item[0],
)
def test_an_evaluation_that_changed_or_moved_is_refused(tmp_path, change):
    run = Run(tmp_path, Config(eval_every=2, epochs=5), "", "")
    run.write_lines(METRICS, rows_of(0, 2, 4))
    lines = (tmp_path / METRICS).read_text().splitlines()
    changed = change[1](lines)
    assert changed != lines
    (tmp_path / METRICS).write_text("".join(f"{line}\n" for line in changed))
    assert "another sha256 than its content and the lines before it have" in refusal(run.metrics)


def test_evaluations_of_another_run_are_refused(tmp_path):
    run, other = (Run(tmp_path, Config(eval_every=2, epochs=5, seed=s), "", "") for s in (0, 1))
    other.write_lines(METRICS, rows_of(0, 2, 4))
    assert "or is of another run" in refusal(run.metrics)


def test_arrays_of_another_run_are_refused_and_arrays_that_changed(tmp_path):
    run, same = (Run(tmp_path, Config(), path, "f") for path in ("a.npz", "moved.npz"))
    others = Run(tmp_path, Config(seed=1), "a.npz", "f"), Run(tmp_path, Config(), "a.npz", "g")
    write_arrays(run.folder / HEAD, run.sealed(CONTENT))
    assert same.read(HEAD).keys() == CONTENT.keys()  # the path is no part of what a run is
    for other in others:
        assert "found arrays of run " in refusal(other.read, HEAD)
    written = read_arrays(tmp_path / HEAD)
    changes = {"a": written["a"] + 1e-15, "b": written["b"].astype(float), "more": np.zeros(1)}
    for name, value in changes.items():
        write_arrays(tmp_path / HEAD, written | {name: value})
        assert "found another sha256 than its arrays have" in refusal(run.read, HEAD)
    for name in written:
        write_arrays(tmp_path / HEAD, {n: a for n, a in written.items() if n != name})
        assert "found another sha256 than its arrays have" in refusal(run.read, HEAD)


@pytest.mark.parametrize("name", ["seed", "tau", "lr_head", "loss", "epochs"])
def test_an_option_that_changed_in_config_json_is_refused(tmp_path, name):
    run = make_run(tmp_path)
    path, other = run.folder / CONFIG, {"loss": "PNCA"}.get(name, 3)
    content = json.loads(path.read_text())
    content["config"][name] = other
    path.write_text(json.dumps(content))
    assert refusal(open_run, tmp_path).startswith(f"{path}: found another sha256 than its content")


def test_spaces_and_order_of_config_json_do_not_matter(tmp_path):
    run = make_run(tmp_path)
    content = json.loads((run.folder / CONFIG).read_text())
    (run.folder / CONFIG).write_text(json.dumps(dict(reversed(content.items()))))
    assert open_run(tmp_path) == run


def test_config_json_records_what_the_last_bits_hang_on(tmp_path, monkeypatch):
    run = make_run(tmp_path)
    found = json.loads((run.folder / CONFIG).read_text())["arithmetic"]
    names = {"processor", "simd", "blas", "blas_kernel", "blas_threads", "blas_kernel_asked"}
    assert found.keys() == names
    assert all(found[name] for name in names - {"blas_kernel_asked"})
    assert machine.differences(recorded_machine(tmp_path)) == []
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Nonesuch")
    assert machine.differences(recorded_machine(tmp_path)) == [
        f"blas_kernel_asked was {found['blas_kernel_asked']}, is Nonesuch"
    ]


# ---- Names and folders


def test_what_a_killed_process_left_does_not_lock_the_folder(tmp_path):
    (tmp_path / ".config.json.part").write_text("half")
    (tmp_path / ".config.json.77.part").write_text("half")
    assert open_run(make_run(tmp_path).folder).sha256 == "digest"


def test_two_runs_of_one_name_get_two_folders(tmp_path):
    base = Run(tmp_path / "x", Config(), "", "")
    assert [base.claim().folder.name for _ in range(3)] == ["x", "x-2", "x-3"]


def test_of_many_processes_each_gets_a_folder_of_its_own(tmp_path):
    claim = (
        "import sys; from pathlib import Path; from hier_ref.runs.folder import Run; "
        "from hier_ref.training.config import Config; sys.stdin.read(1); "
        "print(Run(Path('x'), Config(), '', '').claim().folder)"
    )
    options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": tmp_path}
    root = str(Path(files.__file__).resolve().parents[1])
    environment = os.environ | {"PYTHONPATH": root}
    command = [sys.executable, "-c", claim]
    started = [subprocess.Popen(command, env=environment, **options) for _ in range(6)]
    got = sorted(process.communicate("\n", timeout=60)[0].strip() for process in started)
    assert got == sorted(["x", *(f"x-{n}" for n in range(2, 7))])


def test_a_name_that_cannot_be_made_does_not_count_for_ever(tmp_path):
    (tmp_path / "file").write_text("")
    line = refusal(Run(tmp_path / "file" / "x", Config(), "", "").claim)
    assert line.endswith("cannot write there (Not a directory)")


@pytest.mark.parametrize("name", [CONFIG, HEAD, METRICS, CHECKPOINT])
def test_a_pipe_or_a_folder_in_place_of_a_file_is_refused(tmp_path, name):
    run = make_run(tmp_path)
    reader = {CONFIG: lambda: open_run(tmp_path), METRICS: lambda: run.metrics(3)}
    read = reader.get(name, lambda: run.read(name))
    (tmp_path / name).unlink(missing_ok=True)
    os.mkfifo(tmp_path / name)
    assert refusal(read).startswith(f"{tmp_path / name}: found no regular file")
    (tmp_path / name).unlink()
    (tmp_path / name).mkdir()
    assert refusal(read).startswith(f"{tmp_path / name}: found no regular file")
