"""Damaged cases and hostile streams: whatever happens, one line and the right exit code.

`python tests/fuzz_cases.py` damages cases at random; a few of its seeds run here.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import fuzz_cases
import numpy as np
import pytest
from test_oracle_cli import CASE, HOSTILE, TESTS, call

from hier_ref.oracle import load_suite, suite
from hier_ref.oracle.files import export, read_array, read_case, read_suite
from hier_ref.oracle.form import parse, seal
from hier_ref.oracle.suite import SuiteError, assemble, describe

RIGHT = ("check", f"{HOSTILE}:right", "--adapter", "case", "--suite")


@pytest.fixture
def one(tmp_path):
    """The folder of one exported case; its suite is the folder above."""
    export([entry for entry in load_suite() if entry.case.id == "small-00"], tmp_path / "cases")
    return tmp_path / "cases" / "small-00"


def refused(one, said):
    """One line, below 300 characters, exit code 64, nothing else."""
    ended = call(*RIGHT, one.parent)
    assert (ended.code, ended.out, ended.err.count("\n")) == (64, "", 1), ended
    assert len(ended.err) < 300 and said in ended.err, ended.err


def edit(path, change, anew):
    text = json.loads(path.read_text("utf-8"))
    change(text)
    path.write_text(json.dumps(seal(text) if anew else text), "utf-8")


def put(*keys, value):
    def change(text):
        for key in keys[:-1]:
            text = text[key]
        text[keys[-1]] = value

    return change


EDITS = {
    "budget-huge": (put("budgets", "float64", "loss", value="0x1.0p+40"), "float64.loss"),
    "budget-overflow": (put("budgets", "float64", "loss", value="0x1.0p+2000"), "float64.loss"),
    "budget-negative": (put("budgets", "float64", "loss", value="-0x1.0p-9"), "0 or more, below 1"),
    "budget-inf": (put("budgets", "float32", "loss", value="inf"), "0 or more, below 1"),
    "budget-nan": (put("budgets", "float32", "loss", value="nan"), "a hex float"),
    "budget-number": (put("budgets", "float32", "loss", value=0.1), "a hex float"),
    "budget-list": (put("budgets", "float32", value=[]), "budgets.float32: found []"),
    "budget-dtype": (put("budgets", "float16", value={}), "float64 or float32"),
    "budget-stage": (put("budgets", "float32", "speed", value="0x1.0p-9"), "expected stages"),
    "c-zero": (put("parameters", "c", value="0x0.0p+0"), "c: found 0x0.0p+0, expected a finite"),
    "c-negative": (put("parameters", "c", value="-0x1.0p+0"), "c: found -0x1.0p+0"),
    "c-inf": (put("parameters", "c", value="inf"), "c: found inf, expected a finite"),
    "c-huge": (put("parameters", "c", value="0x1.0p+1000"), "no right answer in float64"),
    "c-decimal": (put("parameters", "c", value="0.1"), "a hex float"),
    "tau-zero": (put("parameters", "tau", value="0x0.0p+0"), "tau: found"),
    "tau-list": (put("parameters", "tau", value=["0x1.0p+0"]), "tau: found ["),
    "margin-inf": (put("parameters", "margin", value="-inf"), "margin: found -inf"),
    "parameters-more": (put("parameters", "speed", value="0x1.0p+0"), "parameters: found {"),
    "neighbours-true": (put("neighbours", value=True), "neighbours: found True"),
    "neighbours-huge": (put("neighbours", value=10**400), "neighbours: found 1000"),
    "neighbours-float": (put("neighbours", value=2.0), "neighbours: found 2.0"),
    "swaps-short": (put("swaps", value=[[0, 1]]), "orders of 4 proxies"),
    "swaps-words": (put("swaps", value=[["x"]]), "orders of the proxies"),
    "flags-text": (put("flags", value="clip"), "flags: found clip"),
    "reason-empty": (put("reason", value=" "), "reason: found"),
    "id-of-another": (put("id", value="std-00"), "id: found std-00, expected small-00"),
    "id-outside": (put("id", value="../x"), "id: found ../x"),
    "id-nul": (put("id", value="a\0b"), r"id: found a\x00b"),
    "id-surrogate": (put("id", value="\ud800"), r"id: found \ud800"),
    "schema-true": (put("schema", value=True), "schema True, expected 1"),
    "schema-list": (put("schema", value=[1] * 999), "schema [1, 1"),
    "more": (put("speed", value=1), "speed: found this key"),
    "sha-list": (put("sha256", value=[]), "sha256: found []"),
    "sha-none": (put("sha256", "x", value=None), "x has another SHA-256"),
}


@pytest.mark.parametrize("name", EDITS)
def test_a_value_outside_its_domain_is_refused_even_with_its_hash(one, name):
    change, said = EDITS[name]
    edit(one / "case.json", change, anew=True)
    refused(one, said)


@pytest.mark.parametrize(
    "change",
    [
        put("budgets", "float64", "loss", value="0x1.0p-9"),
        put("parameters", "margin", value="0x1.0p-9"),
        put("parameters", "c", value="0x1.0p-9"),
        put("neighbours", value=3),
        put("reason", value="another"),
        put("flags", value=["clip"]),
        put("margins", "lca", value="0x1.0p-9"),
        put("swaps", value=[[1, 0, 2, 3]]),
        put("whole", value="0" * 64),
        lambda text: text.pop("whole"),
        lambda text: text["budgets"].pop("float32"),
    ],
)
def test_a_value_within_its_domain_is_refused_without_its_hash(one, change):
    edit(one / "case.json", change, anew=False)
    refused(one, "small-00/case.json: not a case of schema 1 (whole: found ")


def test_every_flipped_bit_of_case_json_is_noticed(one):
    data = (one / "case.json").read_bytes()
    arrays = {path.stem: read_array(path) for path in one.glob("*.npy")}
    assemble(parse(data), arrays, "whole")
    for bit in range(0, 8 * len(data), 5):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ValueError):
            assemble(parse(bytes(flipped)), arrays, "flipped")


def test_every_flipped_bit_of_an_array_is_noticed_or_without_effect(one):
    data, before = (one / "x.npy").read_bytes(), describe(read_case(one))
    for bit in range(0, 8 * len(data), 3):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        (one / "x.npy").write_bytes(flipped)
        try:
            assert describe(read_case(one)) == before, bit
        except SuiteError:
            pass


def pipe(path):
    path.unlink()
    os.mkfifo(path)


def folder(path):
    path.unlink()
    path.mkdir()


def listening(path):
    path.unlink()
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.path.relpath(path))


def device(path):
    path.unlink()
    path.symlink_to("/dev/zero")


def huge(path):
    with open(path, "wb") as file:
        said = {"descr": "<f8", "fortran_order": False, "shape": (2**20, 2**20)}
        np.lib.format.write_array_header_1_0(file, said)


def pickled(path):
    np.save(path, np.array([{}], dtype=object))


@pytest.mark.parametrize("name", ["case.json", "x.npy"])
@pytest.mark.parametrize("put", [pipe, folder, listening, device])
def test_what_is_no_regular_file_is_refused_at_once(one, name, put, monkeypatch):
    monkeypatch.chdir(one)
    put(one / name)
    refused(one, f"small-00/{name}: no regular file")


@pytest.mark.parametrize(
    ("put", "said"),
    [(huge, "0 bytes of data for 8796093022208 declared"), (pickled, "no .npy file")],
)
def test_a_header_alone_allocates_nothing(one, put, said):
    put(one / "x.npy")
    refused(one, said)


@pytest.mark.parametrize(
    "data",
    [b"[" * 10**6, b'{"a":' * 10**6, b'{"schema": ' + b"9" * 5000 + b"}", b"", b"null", b"[1]"]
    + [b"\xef\xbb\xbf{}", "{}".encode("utf-16"), b"\xff\xfe", b"{\0}", b'{"schema": NaN}'],
)
def test_what_is_no_description_is_one_line(one, data):
    (one / "case.json").write_bytes(data)
    refused(one, "small-00/case.json: ")


def test_a_case_that_lost_its_description_is_missed(one):
    shutil.copytree(one, one.parent / "std-00")
    (one / "case.json").unlink()
    refused(one, "small-00/case.json: not found")


def test_long_names_stay_in_one_line(tmp_path):
    long = tmp_path / ("a" * 200) / ("b" * 200) / "cases"
    export(load_suite()[:1], long)
    (long / "std-00" / "x.npy").write_bytes(b"x")
    refused(long / "std-00", "no .npy file")


@pytest.mark.parametrize("seed", range(40))
def test_random_damage_is_noticed_or_without_effect(tmp_path, seed):
    entries = [e for e in load_suite() if e.case.id in fuzz_cases.CASES]
    export(entries, tmp_path)
    before = [describe(entry) for entry in read_suite(tmp_path)]
    fuzz_cases.one(10_000 + seed, tmp_path, before)


# ---- The suite of the package


@pytest.mark.parametrize(
    "change",
    [
        put("suite", value="core@9"),
        lambda text: text["cases"].pop(),
        put("cases", 0, "budgets", "float64", "loss", value="0x1.0p-2"),
        put("cases", 0, "parameters", "c", value="0x1.0p-2"),
        put("cases", value={}),
    ],
)
def test_a_change_in_the_core_suite_is_noticed(tmp_path, monkeypatch, change):
    for name in (suite.ARRAYS, suite.TEXT):
        shutil.copy(suite.HERE / name, tmp_path)
    monkeypatch.setattr(suite, "HERE", tmp_path)
    assert len(suite.load_suite.__wrapped__()) == len(load_suite())
    edit(tmp_path / suite.TEXT, change, anew=False)
    with pytest.raises(SuiteError, match="another SHA-256"):
        suite.load_suite.__wrapped__()


# ---- Streams


def shell(command, **more):
    """Run a command line with $ORACLE; its exit code, output and errors."""
    environment = {**os.environ, "PYTHONPATH": str(TESTS.parent), **more}
    environment["ORACLE"] = f"{sys.executable} -m hier_ref.oracle"
    words = ["bash", "-c", command]
    done = subprocess.run(words, env=environment, capture_output=True, timeout=120)
    return done.returncode, done.stdout, done.stderr


CHECK = f"$ORACLE check {HOSTILE}:CANDIDATE {' '.join(CASE)}"


@pytest.mark.parametrize("encoding", ["cp1252", "cp932", "latin-1", "ascii", "utf-16"])
def test_the_verdict_does_not_depend_on_the_encoding(encoding):
    code, out, err = shell(CHECK.replace("CANDIDATE", "speaks"), PYTHONIOENCODING=encoding)
    assert (code, err) == (0, b"")
    assert out.decode(encoding).splitlines()[-1] == "exit 0: conforms"


@pytest.mark.parametrize("where", [">&-", "2>&-", "<&- >&- 2>&-", "> /dev/full", "| head -1"])
@pytest.mark.parametrize(("candidate", "code"), [("speaks", 0), ("rough", 3)])
def test_the_verdict_does_not_depend_on_who_reads(tmp_path, where, candidate, code):
    path = tmp_path / "report.json"
    command = CHECK.replace("CANDIDATE", candidate) + f" --json {path} {where}"
    ended = shell(f"{command}; exit ${{PIPESTATUS[0]}}")
    assert (ended[0], ended[2]) == (code, b"")
    assert json.loads(path.read_text())["exit"] == code


def test_a_usage_error_needs_no_stream_either():
    assert shell("$ORACLE check no:no 2>&-") == (64, b"", b"")
    assert shell("$ORACLE check no:no 2>/dev/full >&-")[0] == 64


@pytest.mark.parametrize("seconds", [0.05, 0.4, 0.8, 1.2])
def test_an_interrupt_while_importing_ends_without_a_traceback(seconds):
    words = [sys.executable, "-m", "hier_ref.oracle", "check", f"{HOSTILE}:hangs", *CASE]
    environment = {**os.environ, "PYTHONPATH": str(TESTS.parent)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(words, env=environment, start_new_session=True, **pipes) as running:
        time.sleep(seconds)
        while running.poll() is None:  # an import may swallow one
            os.killpg(running.pid, signal.SIGINT)
            time.sleep(0.2)
        out, err = running.communicate(timeout=60)
    assert running.returncode in (130, -signal.SIGINT)  # by the signal itself before Python is up
    assert (out, err.strip()) in (("", ""), ("", "interrupted"))


BLOCKED = """
import signal
from multiprocessing import resource_tracker
from hier_ref.oracle import watch

class Child:
    def start(self):
        resource_tracker.ensure_running()  # as a process does when it starts
        print(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ()))

watch._start_deaf(Child())
print(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ()))
"""


def test_interrupts_wait_while_the_first_child_starts_and_only_then():
    environment = {**os.environ, "PYTHONPATH": str(TESTS.parent)}
    words = [sys.executable, "-c", BLOCKED]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60)
    assert (done.stdout.split(), done.stderr) == (["True", "False"], "")


def test_an_interrupt_of_the_candidate_is_its_own():
    ended = call("check", f"{HOSTILE}:interrupts", *CASE)
    assert (ended.code, "raises RuntimeError: KeyboardInterrupt" in ended.out) == (4, True)


@pytest.mark.parametrize("place", ["folder", "pipe", "nowhere"])
def test_a_report_that_cannot_be_written_is_said_before_the_work(tmp_path, place):
    path = tmp_path / "x"
    if place == "folder":
        path.mkdir()
    elif place == "pipe":
        os.mkfifo(path)
    else:
        path = path / "report.json"
    ended = call("check", f"{HOSTILE}:hangs", *CASE, "--json", path)
    assert (ended.code, ended.err.count("\n")) == (64, 1)
