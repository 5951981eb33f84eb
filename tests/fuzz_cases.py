"""Damage exported cases at random: `python tests/fuzz_cases.py [--count 500] [--seed 0]`.

Each damaged suite is either refused, in one line and with exit code 64, or read as it was: no
traceback, no hang, no other verdict. Where a file was changed and its hashes were made anew, as
somebody might who writes cases of their own, any verdict may follow but "the candidate crashed".
"""

import argparse
import contextlib
import io
import json
import os
import random
import shutil
import signal
import socket
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from hier_ref.oracle import load_suite  # noqa: E402
from hier_ref.oracle.command import ACTIONS, run  # noqa: E402
from hier_ref.oracle.files import export, read_suite  # noqa: E402
from hier_ref.oracle.form import seal  # noqa: E402
from hier_ref.oracle.options import parse  # noqa: E402
from hier_ref.oracle.suite import describe, sha256  # noqa: E402

CASES = ("small-00", "twins")
CHECK = ("check", "hier_ref.oracle:reference", "--adapter", "case", "--suite")
ODD = (None, True, -1, 0, 10**400, 1e308, [], {}, [[]], "", "x", "\ud800", "a\0b", "nan", "inf")
ODD += ("-inf", "0x1.0p+2000", "-0x1.0p-3", "0x0.0p+0", "0.1", "é" * 400, ["x"], [1, 0], {"x": 1})
ODD += ("0x1.0p+9", "0x1.0p-1000", "0x1.999999999999ap-4", "../x", "float16", 1, 3, 2.0)


def call(*argv):
    """Run a command in this process; exit code, output and errors."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        args = parse([str(word) for word in argv], ACTIONS)
        code = args if isinstance(args, int) else run(args)
    return code, out.getvalue(), err.getvalue()


# ---- Damages: (rng, folder of a suite) -> nothing, or "sealed" where the hashes were made anew


def any_file(rng, folder, pattern="*"):
    return rng.choice(sorted(path for path in folder.glob(f"*/{pattern}") if path.is_file()))


def flip(rng, folder):
    path = any_file(rng, folder, rng.choice(["case.json", "*"]))
    data = bytearray(path.read_bytes())
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(data)


def flip_header(rng, folder):
    path = any_file(rng, folder, "*.npy")
    data = bytearray(path.read_bytes())
    data[rng.randrange(128)] ^= 1 << rng.randrange(8)
    path.write_bytes(data)


def cut(rng, folder):
    path = any_file(rng, folder)
    path.write_bytes(path.read_bytes()[: rng.randrange(path.stat().st_size)])


def lengthen(rng, folder):
    path = any_file(rng, folder)
    path.write_bytes(path.read_bytes() + rng.choice([b" ", b"\0", b"{}", bytes(8)]))


def splice(rng, folder):
    path = any_file(rng, folder)
    data, at = path.read_bytes(), rng.randrange(path.stat().st_size)
    path.write_bytes(data[:at] + rng.randbytes(rng.randrange(1, 9)) + data[at + 4 :])


def swap(rng, folder):
    first, second = any_file(rng, folder), any_file(rng, folder)
    a, b = first.read_bytes(), second.read_bytes()
    first.write_bytes(b), second.write_bytes(a)


def swap_folders(rng, folder):
    first, second = (folder / name for name in CASES)
    first.rename(folder / "other"), second.rename(first), (folder / "other").rename(second)


def remove(rng, folder):
    any_file(rng, folder).unlink()


def replaced(rng, folder):
    """Something that is no regular file."""
    path = any_file(rng, folder)
    path.unlink()
    kind = rng.choice(["folder", "fifo", "socket", "loop", "device"])
    if kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(path))
    else:
        path.symlink_to(path if kind == "loop" else "/dev/zero")


def encoded(rng, folder):
    path = any_file(rng, folder, "case.json")
    text = path.read_text("utf-8")
    path.write_bytes(text.encode(rng.choice(["utf-16", "utf-32", "utf-8-sig", "utf-7", "cp037"])))


def nested(rng, folder):
    path = any_file(rng, folder, "case.json")
    text, deep = path.read_text("utf-8"), rng.choice(["[" * 10**5, '{"a":' * 10**5, "9" * 5000])
    at = rng.randrange(len(text))
    path.write_text(rng.choice([deep, text[:at] + deep + text[at:]]), "utf-8")


def header(rng, folder):
    """Arrays that a header only declares, or that would need unpickling."""
    path = any_file(rng, folder, "*.npy")
    array = np.load(path)
    with open(path, "wb") as file:
        if rng.random() < 0.3:
            np.save(file, np.array([{"x": 1}], dtype=object))
            return
        shape = rng.choice([(2**40,), (2**31, 2**31), (-1,), (), (2**70, 0), array.shape])
        dtype = rng.choice(["<f8", "<f4", ">f8", "<c16", "|O", "<U9", "|V8", "<f2", "<i8", "|b1"])
        said = {"descr": dtype, "fortran_order": rng.random() < 0.5, "shape": shape}
        np.lib.format.write_array_header_1_0(file, said)
        file.write(array.tobytes())


def edited(rng, folder):
    """Another value somewhere in case.json; half of the time with its hash made anew."""
    path = any_file(rng, folder, "case.json")
    text = json.loads(path.read_text("utf-8"))
    here, key = text, rng.choice(list(text))
    while isinstance(here[key], (dict, list)) and here[key] and rng.random() < 0.8:
        here = here[key]
        key = rng.choice(list(here)) if isinstance(here, dict) else rng.randrange(len(here))
    deed = rng.random()
    if deed < 0.1 and isinstance(here, dict):
        del here[key]
    elif deed < 0.2 and isinstance(here, dict):
        here[rng.choice(["more", "\ud800", "", "c"])] = rng.choice(ODD)
    else:
        here[key] = rng.choice(ODD)
    anew = rng.random() < 0.5
    path.write_text(json.dumps(seal(text) if anew else text), "utf-8")
    return "sealed" if anew else None


def rearrayed(rng, folder):
    """Other numbers in an array, with all hashes made anew."""
    path = any_file(rng, folder, "*.npy")
    array = np.array(np.load(path))
    if array.size:
        numbers = [0, -1, 7, 2**40] if array.dtype.kind == "i" else [0, -1, 1e9, 1e300, np.nan]
        array.flat[rng.randrange(array.size)] = rng.choice([*numbers, 3])
    if rng.random() < 0.3:
        with np.errstate(all="ignore"):
            short = array.astype(rng.choice(["f2", "c8", "i4"]))
        array = rng.choice([array[1:], array[None], array.T, short])
    np.save(path, array)
    text = path.with_name("case.json")
    said = json.loads(text.read_text("utf-8"))
    said["sha256"][path.stem] = sha256(np.ascontiguousarray(array))
    text.write_text(json.dumps(seal(said)), "utf-8")
    return "sealed"


DAMAGES = (flip, flip, flip, flip_header, cut, lengthen, splice, swap, swap_folders, remove)
DAMAGES += (replaced, encoded, nested, header, edited, edited, edited, edited, rearrayed, rearrayed)


# ---- What must follow


def one(seed, whole, before):
    """Damage a copy of a suite and check it; what was done, and the exit code."""
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        suite = Path(folder, "suite")
        shutil.copytree(whole, suite)
        damage = rng.choice(DAMAGES)
        sealed = damage(rng, suite)
        signal.alarm(60)  # a hang ends here, with its traceback
        try:
            code, out, err = call(*CHECK, suite)
        finally:
            signal.alarm(0)
        what = f"seed {seed}, {damage.__name__}: exit {code}, {err!r}"
        if code == 64:
            assert (out, err.count("\n")) == ("", 1) and err.startswith("error: "), what
            assert len(err) < 300 and err.isprintable() is False and err[:-1].isprintable(), what
        else:
            assert not err and code in ((0, 1, 2, 3, 5) if sealed else (0,)), what
            assert sealed or [describe(entry) for entry in read_suite(suite)] == before, what
    return damage.__name__, code


def fuzz(seed, count):
    """Damage `count` suites; how many were refused, and how many were read, by kind of damage."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        export([e for e in load_suite() if e.case.id in CASES], Path(folder))
        before = [describe(entry) for entry in read_suite(Path(folder))]
        for n in range(count):
            key = one(seed + n, folder, before)
            found[key] = found.get(key, 0) + 1
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    for (kind, code), number in sorted(fuzz(options.seed, options.count).items()):
        print(f"{kind:14} exit {code:3} {number:5}")
