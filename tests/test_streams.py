"""Commands whose output goes somewhere odd, or that are interrupted before they have begun."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from synthetic import SIZES, files, save, words

from hier_ref.command import one_line
from hier_ref.runs.folder import CHECKPOINT, CONFIG, HEAD, METRICS, RESULT

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}
TRAIN = "-m hier_ref.train --features good.npz --no-pictures --out"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save(Path("good.npz"))
    return tmp_path


def shell(command, encoding="utf-8", **more):
    """Run a line of a shell in which $PY is this Python; return what it printed and its code."""
    environment = ENVIRONMENT | {"PY": sys.executable, "PYTHONIOENCODING": encoding} | more
    return subprocess.run(["bash", "-c", command], env=environment, capture_output=True, timeout=90)


def train(out):
    return f"$PY {TRAIN} {out} {' '.join(words(**SIZES))}"


@pytest.mark.parametrize("closed", ["2>&-", ">&-", ">&- 2>&-", "<&-", "<&- >&- 2>&-"])
def test_a_closed_stream_is_no_trouble(closed):
    ended = shell(f"{train('r')} {closed}")
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert set(files("r")) == {HEAD, METRICS, CONFIG, CHECKPOINT, RESULT}


def test_a_closed_stream_does_not_hide_the_exit_code():
    for closed in ("2>&-", ">&-", ">&- 2>&-"):
        assert shell(f"$PY -m hier_ref.evaluate --run none {closed}").returncode == 2


@pytest.mark.parametrize("encoding", ["cp1252", "cp932", "latin-1", "ascii", "cp437", "utf-16"])
def test_what_an_encoding_lacks_is_replaced(encoding):
    name = "\u72ac \U0001f415 \u05db\u05dc\u05d1"
    save(Path(f"{name}.npz"), level_names=[name])
    ended = shell(f"{train('r')} --features '{name}.npz'", encoding)
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert "features" in ended.stdout.decode(encoding)


def test_a_reader_that_has_left_ends_a_command_as_shells_expect():
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, *"-m hier_ref.evaluate --raw --features good.npz".split()]
    ended = subprocess.run(command, env=ENVIRONMENT, stdout=write, stderr=subprocess.PIPE)
    os.close(write)
    assert (ended.returncode, ended.stderr) == (141, b"")


def test_output_onto_a_full_disk_is_one_line():
    ended = shell("$PY -m hier_ref.evaluate --raw --features good.npz >/dev/full")
    assert ended.returncode == 2
    assert ended.stderr == b"error: [Errno 28] No space left on device\n"


@pytest.mark.parametrize("module", ["train", "evaluate", "tree", "oracle"])
def test_an_interrupt_while_importing_leaves_no_traceback(module):
    # A NumPy that takes long to import, found before the real one.
    Path("numpy.py").write_text("import time; print('here', flush=True); time.sleep(60)")
    environment = ENVIRONMENT | {"PYTHONPATH": f"{os.getcwd()}{os.pathsep}{ROOT}"}
    command = [sys.executable, "-m", f"hier_ref.{module}", "--help"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    started = subprocess.Popen(command, env=environment, text=True, **pipes)
    assert started.stdout.readline() == "here\n"
    started.send_signal(signal.SIGINT)
    _, error = started.communicate(timeout=60)
    assert (started.returncode, error) == (-signal.SIGINT, "")


def test_an_interrupt_that_was_ignored_stays_ignored():
    ended = shell(
        "trap '' INT; $PY -m hier_ref.evaluate --help >/dev/null & sleep .2; kill -INT $!; wait $!"
    )
    assert ended.returncode == 0


def test_importing_the_package_leaves_the_signals_alone():
    look = "import signal, hier_ref; print(signal.getsignal(signal.SIGINT).__name__)"
    assert shell(f"$PY -c '{look}'").stdout == b"default_int_handler\n"


# ---- The one line


def test_a_long_line_keeps_its_beginning_and_its_end():
    line = one_line("begin " + 500 * "x" + " end")
    assert len(line) <= 280
    assert line.startswith("begin xxx") and line.endswith("xxx end") and " ... " in line


def test_a_line_is_one_line_of_printable_characters():
    assert one_line("a\nb\tc\x1b[31m\x00\u202ed\u2028e") == r"a b c\x1b[31m\x00\u202ed e"
    assert one_line("caf\u00e9 \u72ac") == "caf\u00e9 \u72ac"
    assert one_line("\ud800") == r"\ud800"
