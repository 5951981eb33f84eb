"""Damage what commands read, at random but from a seed, and see that nothing wrong passes.

    python tests/fuzz.py --count 500

A damaged input must end in one line below 300 characters and exit code 2, with nothing written and
within 5 seconds; or, where the damage is without effect, in the very numbers of the whole input.
Damage is to features files, to folders of runs, and to the values of options.
"""

import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).resolve().parents[1])]

from synthetic import SIZES, call, clustered, files, save, words

from hier_ref.evaluate import main as evaluate
from hier_ref.files import write_arrays
from hier_ref.runs.folder import CHECKPOINT, CONFIG, HEAD, METRICS
from hier_ref.train import main as train
from hier_ref.training.config import Config
from hier_ref.tree.report import main as tree

SECONDS, LONGEST = 5, 300
# Options can be valid and yet make the numbers of training grow without end: that run has begun.
EXPLODED = re.compile(r"error: epoch \d+, (batch \d+|evaluation): .*try lower learning rates\n")
SMALL = words(**(SIZES | {"epochs": 3, "eval_every": 1}))


class Hang(Exception):
    """A command did not end in time."""


@contextlib.contextmanager
def deadline(seconds=SECONDS):
    """Raise Hang where the block takes longer."""

    def late(*_):
        raise Hang(f"more than {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def observed(main, *argv):
    """Call a command within the time; anything it raises is a fault that ends the harness."""
    with deadline():
        return call(main, *argv)


def refused(ended, before, where):
    """Say whether the command refused as it should; AssertionError for a bad refusal."""
    if ended.code == 0:
        return False
    assert ended.code == 2, (where, ended)
    line = ended.err
    assert line.startswith("error: ") and line.count("\n") == 1, (where, line)
    assert line.endswith("\n") and len(line) < LONGEST, (where, len(line), line)
    assert EXPLODED.match(line) or files(".") == before, (where, "wrote something")
    return True


# ---- Damage to bytes


def flip(rng, data):
    place, bit = rng.integers(len(data)), rng.integers(8)
    return data[:place] + bytes([data[place] ^ (1 << bit)]) + data[place + 1 :]


def cut(rng, data):
    return data[: rng.integers(len(data))]


def drop(rng, data):
    start, size = rng.integers(len(data)), rng.integers(1, 64)
    return data[:start] + data[start + size :]


def insert(rng, data):
    place = rng.integers(len(data))
    return data[:place] + rng.bytes(rng.integers(1, 64)) + data[place:]


def double(rng, data):
    start, size = rng.integers(len(data)), rng.integers(1, 256)
    return data[: start + size] + data[start:]


def zeros(rng, data):
    start, size = rng.integers(len(data)), rng.integers(1, 256)
    return data[:start] + bytes(len(data[start : start + size])) + data[start + size :]


def noise(rng, data):
    return rng.bytes(len(data))


BYTES = (flip, flip, flip, cut, drop, insert, double, zeros, noise)


def damage_bytes(rng, path):
    """Change the bytes of one file in some way; return what was done."""
    how = BYTES[rng.integers(len(BYTES))]
    path.write_bytes(how(rng, path.read_bytes()))
    return how.__name__


def replace(rng, path):
    """Put something else than a regular file in place of one."""
    kind = ("fifo", "folder", "nothing", "loop", "empty", "device")[rng.integers(6)]
    path.unlink()
    make = {
        "fifo": lambda: os.mkfifo(path),
        "folder": path.mkdir,
        "loop": lambda: path.symlink_to(path.name),
        "empty": lambda: path.write_bytes(b""),
        "device": lambda: path.symlink_to("/dev/zero"),
        "nothing": lambda: None,
    }
    make[kind]()
    return kind


# ---- Features files

STRANGE = {
    "features": [
        lambda a: a * np.float32(1e38),
        lambda a: a * 0,
        lambda a: a[:, :0],
        lambda a: a[0],
        lambda a: a.astype("U8"),
        lambda a: a + 1j,
        lambda a: np.where(a > 2, np.nan, a),
        lambda a: np.where(a > 2, np.inf, a),
        lambda a: a > 0,
        lambda a: a.astype(np.longdouble),
        lambda a: a.astype("f8") * 1e300,
        lambda a: (a * 1e-30).astype("f4"),
    ],
    "labels": [
        lambda a: a - 1,
        lambda a: a.astype("f8"),
        lambda a: a * 0,
        lambda a: np.arange(len(a)),
        lambda a: a[:-1],
        lambda a: a[:, None],
        lambda a: a.astype("u8") + 2**63,
        lambda a: a.astype("U2"),
        lambda a: a > 3,
        lambda a: a.astype("M8[s]"),
    ],
    "levels": [
        lambda a: a - 3,
        lambda a: a[:, 0],
        lambda a: a.astype("f4"),
        lambda a: np.repeat(a, 3, axis=1),
        lambda a: a[:, :0],
    ],
    "level_names": [
        lambda a: np.array(["\ud800"]),
        lambda a: np.array([""]),
        lambda a: np.array(["x" * 10_000]),
        lambda a: np.array([b"pair"]),
        lambda a: np.array(["a", "a"]),
        lambda a: np.array(["\x1b[31m\n\r"]),
    ],
}


def damage_arrays(rng, path):
    """Write a features file whose arrays are odd in one place."""
    content = clustered()
    key = list(STRANGE)[rng.integers(len(STRANGE))]
    number = rng.integers(len(STRANGE[key]))
    with np.errstate(all="ignore"):
        changed = STRANGE[key][number](content[key])
    np.savez(path, **(content | {key: changed}))
    return f"{key} {number}"


def fuzz_features(rng):
    """Damage one .npz; accepted, it must say the very same as before, or be meant to differ."""
    path = Path("f.npz")
    save(path)
    table = observed(evaluate, "--features", path).out
    kind = rng.integers(8)
    how = damage_arrays(rng, path) if kind == 0 else None
    how = how or (replace(rng, path) if kind == 1 else damage_bytes(rng, path))
    before = files(".")
    ended = observed(evaluate, "--features", path)
    if refused(ended, before, how):
        assert refused(observed(train, "--features", path, "--out", "r", *SMALL), before, how)
        return "refused"
    if kind:
        assert ended.out == table, (how, "accepted, with other numbers")
        return "without effect"
    trained = observed(train, "--features", path, "--out", "r", *SMALL)
    if not refused(trained, before, how):
        assert_finite(Path("r"), how)
    return "odd, and defined"


def assert_finite(run, where):
    for line in (run / METRICS).read_text().splitlines():
        row = json.loads(line)
        numbers = [row["r_precision"], row["map_at_r"], *row["recall"].values()]
        numbers += [row[name] for name in ("metric", "hier") if name in row]
        assert np.all(np.isfinite(numbers)), (where, line)


# ---- Folders of runs


class Killed(BaseException):
    """Stands for a process that ends in the middle."""


def make_runs(root):
    """Write, once, a finished run, a half-finished one and one of another seed; return facts."""
    os.chdir(root)
    save(Path("f.npz"))
    options = ["--features", "f.npz", *SMALL]
    call(train, *options, "--out", "done")
    call(train, *options, "--out", "other", "--seed", 1)

    def killed(path, arrays):
        write_arrays(path, arrays)
        if path.name == CHECKPOINT and int(arrays["epoch"]) == 2:
            raise Killed

    module = sys.modules["hier_ref.train"]
    module.write_arrays = killed
    with contextlib.suppress(Killed):
        call(train, *options, "--out", "half")
    module.write_arrays = write_arrays
    return SimpleNamespace(
        root=root,
        results=[(root / "done" / name).read_bytes() for name in (HEAD, METRICS)],
        scores=call(evaluate, "--run", "done").out,
        tree=call(tree, "--run", "done", "--out", "t").out,
    )


def damage_json(rng, path):
    """Change one value of a JSON file, or of a line of it."""
    lines = path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]
    number = rng.integers(len(lines))
    content = json.loads(lines[number])
    place, spots = content, list(content)
    while isinstance(place[name := spots[rng.integers(len(spots))]], dict) and place[name]:
        place, spots = place[name], list(place[name])
    values = (10**400, -1, True, None, "", [], {}, 1e308, "x" * 5000, 0.5, "\ud800", 2)
    action = rng.integers(4)
    if action == 0:
        del place[name]
    elif action == 1:
        place[f"{name}x"] = place[name]
    else:
        place[name] = values[rng.integers(len(values))]
    lines[number] = json.dumps(content)
    path.write_text("".join(f"{line}\n" for line in lines))
    return f"json {name}"


def damage_lines(rng, path):
    """Move, repeat or lose lines."""
    lines = path.read_text().splitlines(keepends=True)
    picked = rng.integers(len(lines), size=rng.integers(1, len(lines) + 2))
    path.write_text("".join(lines[n] for n in picked))
    return f"lines {picked.tolist()}"


def damage_run(rng, folder, other):
    """Damage one file of a run; return what was done."""
    present = [n for n in (CONFIG, METRICS, CHECKPOINT, HEAD) if (folder / n).exists()]
    path = folder / present[rng.integers(len(present))]
    kind = rng.integers(10)
    if kind == 0:
        return f"{path.name} {replace(rng, path)}"
    if kind == 1:
        shutil.copy(other / path.name, path)
        return f"{path.name} of another run"
    if kind == 2 and path.name == METRICS:
        return damage_lines(rng, path)
    if kind <= 5 and path.suffix in (".json", ".jsonl"):
        return damage_json(rng, path)
    if kind == 6:
        save(Path("f.npz"), seed=1)
        return "features replaced"
    if kind == 7:
        return f"f.npz {damage_bytes(rng, Path('f.npz'))}"
    return f"{path.name} {damage_bytes(rng, path)}"


def fuzz_run(rng, runs):
    """Damage a run, then continue, evaluate or read it: refused, or the very same results."""
    which = ("half", "done", "done")[number := rng.integers(3)]
    for name in (which, "other"):
        shutil.copytree(runs.root / name, name)
    shutil.copy(runs.root / "f.npz", "f.npz")
    how = damage_run(rng, Path(which), Path("other"))
    before = files(".")
    if number == 0:
        ended = observed(train, "--resume", which)
        if refused(ended, before, how):
            return "refused"
        results = [Path(which, name).read_bytes() for name in (HEAD, METRICS)]
        assert results == runs.results, (how, "went on to other bytes")
        return "without effect"
    command, whole = ((evaluate, runs.scores), (tree, runs.tree))[number - 1]
    argv = ["--run", which, *(["--out", "t"] if command is tree else [])]
    ended = observed(command, *argv)
    if refused(ended, before, how):
        return "refused"
    assert ended.out == whole, (how, "accepted, with other numbers")
    return "without effect"


# ---- Options

VALUES = (
    *("", " ", "-1", "-0", "0", "1", "2", "3", "nan", "-nan", "inf", "-inf", "1e400", "1e-400"),
    *("1e308", "1e-320", "1e39", "1e-46", "9" * 400, "9" * 5000, "-" + "9" * 400, "9" * 20),
    *("4294967296", "9223372036854775808", "True", "None", "0x10", "1_0", "１", "½", "1e1", "1.5"),
    *("\x1b[31m", "a\nb", "x" * 5000, "\ud800", "../..", "--", "-x", "[1]", "{}", "1,2", "0.1"),
)


def fuzz_option(rng):
    """Give one option an odd value: refused, or a run of finite numbers."""
    save(Path("f.npz"))
    before = files(".")
    names = [*vars(Config()), "features", "out", "resume", "nonsense"]
    name, value = names[rng.integers(len(names))], VALUES[rng.integers(len(VALUES))]
    argv = ["--features", "f.npz", *SMALL, f"--{name.replace('_', '-')}={value}"]
    argv += [] if name == "out" else ["--out", "r"]
    ended = observed(train, *argv)
    where = f"--{name}={value[:40]!r}"
    if refused(ended, before, where):
        return "refused"
    for run in Path(".").rglob(METRICS):
        assert_finite(run.parent, where)
    return "accepted"


KINDS = {"features": fuzz_features, "runs": fuzz_run, "options": fuzz_option}


def time_left(start, done, count):
    return round((time.monotonic() - start) / done * (count - done))


def fuzz(kind, count, seed=0, say=lambda text: None):
    """Try `count` damages of one kind from a seed, each in an empty folder; count how they end."""
    ends, start, here = Counter(), time.monotonic(), os.getcwd()
    with tempfile.TemporaryDirectory() as root:
        try:
            made = [make_runs(Path(root))] if kind == "runs" else []
            for number in range(count):
                folder = Path(root, str(number))
                folder.mkdir()
                os.chdir(folder)
                try:
                    ends[KINDS[kind](np.random.default_rng([seed, number]), *made)] += 1
                except BaseException:
                    print(f"{kind}, seed {seed}, number {number}", file=sys.stderr)
                    raise
                os.chdir(root)
                shutil.rmtree(folder)
                say(f"{kind} {number + 1} of {count}, {time_left(start, number + 1, count)} s left")
        finally:
            os.chdir(here)
    return ends


def command():
    """Try all kinds and print how they ended."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=500, help="of each kind (default: 500)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", choices=KINDS, action="append", help="default: all")
    args = parser.parse_args()
    for kind in args.kind or KINDS:
        ends = fuzz(kind, args.count, args.seed, show if sys.stderr.isatty() else str)
        told = ", ".join(f"{number} {end}" for end, number in ends.items())
        print(f"{kind}: {args.count} damaged, {told}", flush=True)


def show(text):
    print(text, end="\r", file=sys.stderr)


if __name__ == "__main__":
    command()
