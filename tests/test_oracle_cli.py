"""`python -m hier_ref.oracle`: what it prints, its exit codes, and candidates that misbehave."""

import io
import json
import os
import signal
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple

import pytest

from hier_ref.convention import EXACT
from hier_ref.oracle import Report, load_suite, reference
from hier_ref.oracle.command import ACTIONS, run
from hier_ref.oracle.options import parse
from hier_ref.oracle.suite import TEXT, SuiteError

TESTS = Path(__file__).parent
HOSTILE, USER = TESTS / "hostile.py", TESTS / "user_loss.py"
FEW = ("--case", "std-00", "--case", "short")
CASE = ("--adapter", "case", *FEW)


class Ended(NamedTuple):
    code: int
    out: str
    err: str


def call(*argv):
    """Run a command in this process."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        args = parse([str(word) for word in argv], ACTIONS)
        code = args if isinstance(args, int) else run(args)
    return Ended(code, out.getvalue(), err.getvalue())


def process(*argv):
    """Run a command as a user does."""
    words = [sys.executable, "-m", "hier_ref.oracle", *map(str, argv)]
    environment = {**os.environ, "PYTHONPATH": str(TESTS.parent)}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=120)
    return Ended(done.returncode, done.stdout, done.stderr)


def line(out, label):
    """Return the first line with a label, without it."""
    found = next(line for line in out.splitlines() if line.startswith(label))
    return found.removeprefix(label).strip()


@pytest.mark.parametrize(
    ("candidate", "code", "said"),
    [
        ("right", 0, "every stage that was supplied is within its budget in every case"),
        ("warns", 0, "every stage that was supplied is within its budget in every case"),
        ("silent", 4, "std-00 float64: returns NoneType, expected a mapping of stages"),
        ("empty", 4, "std-00 float64: returns no known stage (found none)"),
        ("raises", 4, r"std-00 float64: raises KeyError: 'no such\nkey'"),
        ("leaves", 4, "std-00 float64: raises SystemExit: 0"),
        ("shape", 4, "std-00 float64: stage grad_x has shape (6, 12), expected (12, 6)"),
        ("nan", 4, "std-00 float64: stage d_zl is nan at [0, 0]"),
        ("words", 4, "std-00 float64: stage z has dtype <U4, expected numbers"),
        ("writes", 4, "std-00 float64: changes its input triplets_data"),
        ("restless", 4, "std-00 float64: answers differently each time, first in stage loss"),
        ("tempered", 1, "still wrong from its own d_zl: grad_d_zl is where it begins"),
        ("twice", 2, "still wrong from its own grad_z: grad_x is where it begins"),
        ("rough", 3, "still wrong from its own loss_data, loss_proxy: loss is where it begins"),
        ("loss_only", 5, "every stage that was supplied is within its budget in every case"),
    ],
)
def test_each_candidate_has_its_exit_code_and_a_clear_line(candidate, code, said):
    ended = call("check", f"{HOSTILE}:{candidate}", *CASE)
    assert (ended.code, ended.err) == (code, "")
    assert line(ended.out, "WHY") == said
    assert ended.out.splitlines()[-1].startswith(f"exit {code}: ")


def test_a_hang_is_stopped():
    ended = call("check", f"{HOSTILE}:hangs", *CASE, "--time-limit", "0.2")
    assert (ended.code, line(ended.out, "WHY")) == (4, "std-00 float64: no answer within 0.2 s")


@pytest.mark.parametrize(
    ("candidate", "said"),
    [
        ("hangs_compiled", "std-00 float64: no answer within 0.5 s; stopped"),
        ("vanishes", "std-00 float64: ends the process (exit code 0)"),
        ("aborts", "std-00 float64: ends the process (signal 6)"),
    ],
)
def test_the_watch_outlives_what_no_exception_tells(candidate, said):
    ended = process("check", f"{HOSTILE}:{candidate}", *CASE, "--time-limit", "0.5")
    assert (ended.code, line(ended.out, "WHY")) == (4, said)


def test_a_right_candidate_and_a_usage_error_as_a_user_runs_them():
    ended = process("check", f"{USER}:right", *FEW)
    assert (ended.code, ended.err) == (0, "")
    ended = process("check", f"{USER}:wrong", *FEW)
    assert (ended.code, ended.out) == (64, "")
    assert ended.err == f"error: '{USER}:wrong': {USER} has no function 'wrong'\n"


def test_extra_keys_and_short_floats_are_noted():
    ended = call("check", f"{HOSTILE}:extra", *CASE)
    assert (ended.code, line(ended.out, "NOTE")) == (0, "unknown stage 'speed' ignored")
    ended = call("check", f"{HOSTILE}:half", *CASE)
    assert line(ended.out, "NOTE") == "stage z is float16, asked in float64"
    assert ended.code != 0


def test_the_planted_mistake_of_a_user_is_named():
    ended = call("check", f"{USER}:loss", *FEW)
    assert ended.code == 1
    for said in (
        "loss              ok ",
        "grad_x            FAIL ",
        "2/2 cases  <- first divergence",
        "error(float32)/error(float64) = 1: not rounding, another formula",
        "straight_through = False, expected True",
        "explains it (residual ",
        f"explain std-00 --stage grad_x --candidate {USER}:loss --adapter numpy",
    ):
        assert said in ended.out
    allowed = call("check", f"{USER}:loss", *FEW, "--allow", "straight_through=False")
    assert allowed.code == 0
    assert "against EXACT with straight_through = False" in allowed.out
    named = call("fingerprint", f"{USER}:loss", *FEW)
    assert (named.code, line(named.out, "follows")) == (0, "EXACT with straight_through = False")


def test_a_factor_is_said():
    ended = call("check", f"{HOSTILE}:twice", *CASE)
    assert "the candidate's grad_x is 2 times the right one" in ended.out
    assert "no named convention explains it" in ended.out


def test_json_says_what_the_text_says(tmp_path):
    path = tmp_path / "report.json"
    ended = call("check", f"{USER}:loss", *FEW, "--json", path)
    content = json.loads(path.read_text())
    assert content["exit"] == ended.code == 1
    assert content["first"] == "grad_x"
    assert content["differences"] == {"straight_through": [True, False]}
    assert all(reason in ended.out for reason in content["why"])
    stages = {(f["case"], f["stage"], f["dtype"]) for f in content["findings"]}
    assert len(stages) == len(content["findings"]) == 2 * 3 * 2
    worst = content["worst"][0]
    want = reference(next(e.case for e in load_suite() if e.case.id == worst["case"]))["grad_x"]
    assert worst["want"] == want[tuple(worst["index"])]
    assert call("fingerprint", f"{USER}:loss", *FEW, "--json", path).code == 0
    assert json.loads(path.read_text())["follows"]["straight_through"] == "False"


def test_fingerprint_says_when_nothing_fits_or_nothing_came():
    ended = call("fingerprint", f"{HOSTILE}:twice", *CASE)
    assert (ended.code, ended.out.splitlines()[-1]) == (2, "exit 2: unexplained")
    ended = call("fingerprint", f"{HOSTILE}:raises", *CASE)
    assert (ended.code, "raises KeyError" in ended.out) == (4, True)


def test_explain_shows_the_case_and_the_numbers():
    ended = call("explain", "short", "--stage", "loss")
    loss = float(reference(next(e.case for e in load_suite() if e.case.id == "short"))["loss"])
    assert ended.code == 0
    assert ended.out.startswith("short: all points near the origin, where the ball is flat\n")
    assert float(ended.out.splitlines()[-1]) == pytest.approx(loss, rel=1e-8)
    every = call("explain", "short")
    assert "\ngrad_proxies (8, 6) of the reference, EXACT\n" in every.out
    ended = call(
        "explain", "short", "--stage", "loss", "--candidate", f"{HOSTILE}:rough", *CASE[:2]
    )
    assert (ended.code, "\nloss of the candidate\n" in ended.out) == (3, True)


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ((), "required: COMMAND"),
        (("judge",), "invalid choice: 'judge'"),
        (("check",), "required: CANDIDATE"),
        (("check", "x"), "'x': expected package.module:function or file.py:function"),
        (("check", "no_such:f"), "no_such: no such module"),
        (("check", "no_such.py:f"), "no_such.py: no such file"),
        (("check", f"{HOSTILE}:not_a_function"), "has no function 'not_a_function'"),
        (("check", "no_such_program", "--adapter", "files"), "neither a folder of results"),
        (("check", f"{HOSTILE}:right", "--case", "no"), "no case 'no'; there are std-00"),
        (("check", f"{HOSTILE}:right", "--allow", "no=1"), "no choice 'no'; there are curva"),
        (("check", f"{HOSTILE}:right", "--allow", "tanh_limit=x"), "expected tanh_limit=<float>"),
        (("check", f"{HOSTILE}:right", "--allow", "mean_over=x"), "expected one of all, apart"),
        (("check", f"{HOSTILE}:right", "--time-limit", "-1"), "expected at least 0"),
        (("check", f"{HOSTILE}:right", "--suite", "nowhere"), "no */case.json there"),
        (("explain", "no"), "no case 'no'"),
        (("explain", "tiny", "--stage", "positives_data"), "not asked in tiny"),
    ],
)
def test_a_mistake_of_the_user_is_one_line_and_64(argv, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ended = call(*argv)
    assert (ended.code, ended.err.count("\n")) == (64, 1)
    assert ended.err.startswith("error: ") and said in ended.err


def test_a_candidate_that_fails_on_import_has_code_4(tmp_path):
    (tmp_path / "broken.py").write_text("import numpy\n1 / 0\n")
    ended = call("check", f"{tmp_path / 'broken.py'}:f")
    assert ended.code == 4
    assert line(ended.out, "WHY").endswith("broken.py raises ZeroDivisionError: division by zero")


def test_an_interrupt_ends_with_130_and_no_traceback():
    words = [sys.executable, "-m", "hier_ref.oracle", "check", f"{HOSTILE}:hangs_aloud", *CASE]
    environment = {**os.environ, "PYTHONPATH": str(TESTS.parent)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(words, env=environment, start_new_session=True, **pipes) as running:
        assert running.stdout.readline() == "hanging\n"
        os.killpg(running.pid, signal.SIGINT)
        out, err = running.communicate(timeout=60)
    assert (running.returncode, out, err) == (130, "", "\ninterrupted\n")


def test_help_teaches():
    ended = call("--help")
    assert ended.code == 0
    for word in ("fn(x, proxies, case)", "(loss, {stage: array})", "exit codes: 0 conforms"):
        assert word in ended.out
    assert "--allow FIELD=VALUE" in call("check", "--help").out


def test_selftest_passes_and_a_damaged_suite_fails_it(monkeypatch):
    assert call("selftest").code == 0

    def damaged():
        raise SuiteError(f"{TEXT}: damaged")

    for module in ("selftest", "command"):
        monkeypatch.setattr(f"hier_ref.oracle.{module}.load_suite", damaged)
    ended = call("selftest")
    assert (ended.code, ended.out) == (70, "FAIL  core@2 is whole: core.json: damaged\n")
    ended = call("check", f"{HOSTILE}:right")
    assert (ended.code, ended.err) == (70, "error: core.json: damaged\n")


def test_selftest_sees_an_oracle_that_says_yes_to_all(monkeypatch):
    def yes(candidate, suite=(), convention=None, **options):
        return Report("any", convention or EXACT)

    monkeypatch.setattr("hier_ref.oracle.selftest.check", yes)
    ended = call("selftest")
    assert (ended.code, ended.out.count("FAIL")) == (70, 7)
