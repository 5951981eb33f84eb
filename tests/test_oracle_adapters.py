"""Adapters for NumPy and for programs, and the pytest plugin."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from test_oracle_cli import HOSTILE, TESTS, USER, call, line

from hier_ref.oracle import check, load_suite, reference
from hier_ref.oracle.adapters import files_adapter, load_candidate, numpy_adapter

FEW = load_suite()[:2]
PROGRAM = """
import sys
from pathlib import Path
from hier_ref.oracle import reference
from hier_ref.oracle.files import read_case, write_stages

case, results = map(Path, sys.argv[1:])
write_stages(reference(read_case(case).case), results)
"""


def explicit(x, proxies, case):
    stages = reference(case)
    return stages["loss"], stages["grad_x"], stages["grad_proxies"]


def test_numpy_takes_three_values_or_a_mapping():
    assert check(numpy_adapter(explicit), FEW).verdict == "conforms"
    assert check(numpy_adapter(lambda x, proxies, case: reference(case)), FEW).code == 0


@pytest.mark.parametrize(
    ("given", "said"),
    [(1.0, "1.0: expected a mapping or (loss, grad_x"), ((1, 2), "tuple of 2: expected")],
)
def test_numpy_refuses_what_is_neither(given, said):
    report = check(numpy_adapter(lambda x, proxies, case: given), FEW)
    assert report.code == 4 and said in report.troubles[0]


def test_x_and_proxies_are_those_of_the_case():
    seen = []

    def fn(x, proxies, case):
        seen.append((x is case.x, proxies is case.proxies, x.dtype == np.float32))
        return explicit(x, proxies, case)

    check(numpy_adapter(fn), FEW[:1], dtypes=("float32",))
    assert seen == [(True, True, True)] * 2


def test_the_right_user_conforms_on_the_whole_suite():
    with np.errstate(all="ignore"):
        report = check(load_candidate(f"{USER}:right"))
    assert (report.verdict, report.troubles) == ("conforms", [])


def program(tmp_path, source):
    path = tmp_path / "program.py"
    path.write_text(source)
    return [sys.executable, str(path)]


def test_a_program_that_reads_and_writes_files_conforms(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(TESTS.parent))
    report = check(files_adapter(program(tmp_path, PROGRAM)), FEW[:1])
    assert (report.verdict, report.troubles) == ("conforms", [])


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("raise SystemExit('no licence')", "raises RuntimeError: exit code 1, saying no licence"),
        ("", "returns no known stage (found none)"),
        (
            "import sys; open(sys.argv[2] + '/z.npy', 'w').write('x')",
            "z.npy: truncated, or no .npy file",
        ),
    ],
)
def test_a_program_that_fails_has_a_clear_line_and_code_4(tmp_path, source, said):
    words = " ".join(program(tmp_path, source))
    ended = call("check", words, "--adapter", "files", "--case", "std-00", "--dtype", "float64")
    assert (ended.code, said in line(ended.out, "WHY")) == (4, True)


def test_a_program_that_hangs_is_stopped(tmp_path):
    words = program(tmp_path, "import time; time.sleep(60)")
    report = check(files_adapter(words), FEW[:1], seconds=0.5)
    assert report.troubles == ["std-00 float64: no answer within 0.5 s"]


def test_modules_are_found_where_the_command_runs(tmp_path, monkeypatch):
    (tmp_path / "found_here.py").write_text("def f(case):\n    return {}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert load_candidate("found_here:f", "case")(None) == {}


@pytest.mark.parametrize("adapter", ["torch", "jax"])
def test_a_framework_that_is_missing_is_said(adapter, monkeypatch):
    monkeypatch.setitem(sys.modules, adapter, None)
    ended = call("check", f"{HOSTILE}:right", "--adapter", adapter)
    assert (ended.code, ended.err) == (
        64,
        f"error: adapter {adapter}: {adapter} is not installed\n",
    )


# ---- The pytest plugin


def run_pytest(folder, *words):
    """Run pytest with the plugin in a folder, as where the package is installed."""
    # Loaded by name, and once: an installed package brings it in by itself.
    environment = {**os.environ, "PYTHONPATH": str(TESTS.parent)}
    environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "hier_ref.pytest_plugin", *words]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def test_without_its_option_the_plugin_imports_nothing(tmp_path):
    (tmp_path / "test_it.py").write_text(
        "import sys\n"
        "def test_it():\n"
        "    assert 'hier_ref.pytest_plugin' in sys.modules\n"
        "    assert not {'numpy', 'autograd', 'hier_ref.oracle'} & set(sys.modules)\n"
    )
    done = run_pytest(tmp_path)
    assert (done.returncode, "1 passed" in done.stdout) == (0, True), done.stdout


def test_the_plugin_adds_a_test_per_case_and_stage_and_a_verdict(tmp_path):
    (tmp_path / "test_mine.py").write_text(
        "def test_mine(hier_candidate, hier_report):\n"
        "    assert callable(hier_candidate) and hier_report.code == 2\n"
    )
    words = ("--hier-candidate", f"{HOSTILE}:twice", "--hier-adapter", "case")
    words += ("--hier-case", "std-00", "--hier-case", "short")
    done = run_pytest(tmp_path, *words, "-k", "std-00 or verdict or mine")
    stages = len(reference(FEW[0].case)) - 2  # the triplets are given
    assert done.returncode == 1
    assert f"2 failed, {stages} passed" in done.stdout, done.stdout
    assert "hier[std-00-grad_x]" in done.stdout
    assert "grad_x is 2 times the right one" in done.stdout
    assert "Traceback" not in done.stdout


def test_the_tests_come_from_the_suite_whatever_the_candidate_does(tmp_path):
    """So all workers of pytest-xdist collect the same, even where one of them crashes."""
    words = ("--hier-adapter", "case", "--hier-case", "std-00", "--collect-only")
    (tmp_path / "broken.py").write_text("1 / 0")
    names = ("right", "raises", "loss_only", "nan")
    found = [
        run_pytest(tmp_path, "--hier-candidate", name, *words).stdout.split("\n\n")[0]
        for name in (*(f"{HOSTILE}:{name}" for name in names), "broken.py:f")
    ]
    assert len(set(found)) == 1 and "hier[std-00-loss]" in found[0]
    words = words[:-1]
    done = run_pytest(tmp_path, "--hier-candidate", f"{HOSTILE}:raises", *words)
    stages = len(reference(FEW[0].case)) - 2
    assert f"{stages + 1} failed" in done.stdout and "Traceback" not in done.stdout
    done = run_pytest(tmp_path, "--hier-candidate", f"{HOSTILE}:loss_only", *words)
    assert f"1 failed, 1 passed, {stages - 1} skipped" in done.stdout
    done = run_pytest(tmp_path, "--hier-candidate", "broken.py:f", *words)
    assert "broken.py raises ZeroDivisionError" in done.stdout and done.returncode == 1


def test_a_fixture_without_its_option_says_which(tmp_path):
    (tmp_path / "test_mine.py").write_text("def test_mine(hier_report):\n    pass\n")
    assert "need --hier-candidate=NAME" in run_pytest(tmp_path).stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--hier-candidate", "no:no"), "ERROR: --hier-candidate: no: no such module"),
        (
            ("--hier-candidate", f"{HOSTILE}:right", "--hier-convention", "x"),
            "ERROR: --hier-convention: expected one of exact, released",
        ),
        (
            ("--hier-candidate", f"{HOSTILE}:right", "--hier-adapter", "case", "--hier-case", "x"),
            "ERROR: --hier-case: expected one of " + ", ".join(e.case.id for e in load_suite()),
        ),
        (
            ("--hier-candidate", f"{HOSTILE}:right", "--hier-adapter", "x"),
            "ERROR: --hier-adapter: expected one of numpy, torch, jax, case",
        ),
    ],
)
def test_the_plugin_refuses_in_one_line(tmp_path, words, said):
    done = run_pytest(tmp_path, *words)
    assert (done.returncode, done.stderr.strip()) == (4, said)


def test_the_schema_and_the_header_travel_with_the_package():
    folder = Path(sys.modules["hier_ref.oracle"].__file__).parent
    names = ("case.schema.json", "core.npz", "core.json", "cpp/hier_case.hpp", "cpp/distance.cpp")
    assert [name for name in names if not (folder / name).is_file()] == []
