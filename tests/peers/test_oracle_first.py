"""The path of a new user, as chapter 13 describes it: a file, a command, a report."""

import os
import subprocess
import sys
from pathlib import Path

from documents import blocks

ROOT = Path(__file__).resolve().parents[2]
CHAPTER = (ROOT / "docs" / "13-oracle.md").read_text()
LOSS = next(block.code for block in blocks(CHAPTER) if "def ancestor(" in block.code)
SOFT = """    soft = torch.softmax(noise - far / tau, dim=1)
    return one_hot(soft.argmax(1), far.shape[1]) - soft.detach() + soft
"""


def checked(folder, code):
    """Write the file and run the command of the chapter."""
    (folder / "my_loss.py").write_text(code)
    command = next(
        line for line in CHAPTER.splitlines() if "check my_loss.py:loss --adapter" in line
    )
    words = [sys.executable, *command.split()[1:]]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        words, cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )


def test_the_planted_mistake_of_twenty_lines_is_named(tmp_path):
    ended = checked(tmp_path, LOSS)
    assert (ended.returncode, ended.stderr) == (1, "")
    assert "straight_through = False, expected True" in ended.stdout
    assert "EXACT with straight_through = False" in ended.stdout
    assert "grad_x" in next(s for s in ended.stdout.splitlines() if "first divergence" in s)


def test_without_it_the_loss_conforms(tmp_path):
    planted = next(s for s in LOSS.splitlines() if "return one_hot" in s)
    ended = checked(tmp_path, LOSS.replace(planted + "\n", SOFT))
    assert (ended.returncode, ended.stderr) == (0, "")
