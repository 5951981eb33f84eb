"""The porting guide shows the code of the ports word by word."""

import re
from pathlib import Path

import pytest
from documents import blocks

ROOT = Path(__file__).resolve().parents[1]
GUIDE = ROOT / "docs" / "14-porting.md"
NAMED = re.compile(r"# (tests/[\w/]+\.py)\n")


def cut_from(text):
    """Pairs (file, code) of the text blocks that begin with the name of a file."""
    codes = (block.code for block in blocks(text) if block.language == "text")
    return [(found[1], code[found.end() :]) for code in codes if (found := NAMED.match(code))]


SHOWN = cut_from(GUIDE.read_text())


@pytest.mark.parametrize("number", range(len(SHOWN)))
def test_a_block_that_names_a_file_is_cut_from_it(number):
    name, code = SHOWN[number]
    assert code in (ROOT / name).read_text()


def test_every_kind_of_port_is_shown():
    assert {Path(name).name for name, _ in SHOWN} == {
        "torch_hier.py",
        "torch_distributed.py",
        "torch_ddp.py",
    }


def test_blocks_are_found_by_their_first_line():
    text = "```text\n# tests/a/b.py\nx = 1\n```\n```text\nx\n# tests/a.py\n```\n"
    assert cut_from(text) == [("tests/a/b.py", "x = 1\n")]
