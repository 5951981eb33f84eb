"""The documents are part of the code: they run, they agree with it, and their links lead somewhere.

The second half checks the checks: each is given a small text with the very fault it looks for.
"""

import importlib.util
import os
import pkgutil
import subprocess
import sys
import types
from collections import Counter
from pathlib import Path

import pytest
from documents import (
    Block,
    blocks,
    broken_links,
    commands,
    definitions,
    failed_doctests,
    kinks_outside,
    mentions,
    prose,
    reading_lines,
    run_python,
    shell_lines,
    undocumented,
    unmarked,
    witnesses,
)

import hier_ref

ROOT = Path(__file__).resolve().parents[1]
_spec = importlib.util.spec_from_file_location("make_index", ROOT / "docs" / "make_index.py")
make_index = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(make_index)
INDEX = ROOT / "docs" / "README.md"
CHAPTERS = sorted(path for path in (ROOT / "docs").glob("*.md") if path != INDEX)
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", INDEX, *CHAPTERS]
MODULES = [
    "hier_ref",
    *(
        found.name
        for found in pkgutil.walk_packages(hier_ref.__path__, "hier_ref.")
        if not found.name.endswith("__main__")
    ),
]
CODE = {
    path: path.read_text()
    for path in sorted((ROOT / "hier_ref").rglob("*"))
    if path.suffix in (".py", ".js")
}
# This file holds made-up tags; peers, browser and benchmarks are not run with the suite.
TESTS = {
    path: path.read_text()
    for path in sorted((ROOT / "tests").glob("test_*.py"))
    if path != Path(__file__)
}

# Every shell command shown to a reader, and the line of .ci/run that runs the same.
PEERS = "python -m pytest -o addopts='--import-mode=importlib --strict-markers' tests/peers"
SHELL = {
    "python3 -m venv .venv && .venv/bin/pip install . && .venv/bin/python -m hier_ref.train": (
        "install run ."
    ),
    "python3 -m venv .venv && .venv/bin/pip install '.[test]' && .venv/bin/python -m pytest": (
        "install test '.[test]'"
    ),
    ".venv/bin/pip install '.[lint]' && .venv/bin/ruff check && .venv/bin/ruff format --check": (
        "install lint '.[lint]'"
    ),
    ".venv/bin/mypy": '"$work/lint/bin/mypy"',
    ".venv/bin/pip install '.[release]' && .venv/bin/python -m build && "
    ".venv/bin/twine check dist/*": "install release '.[release]'",
    ".venv/bin/pip install '.[test,peers]'": "install peers '.[test,peers]'",
    f".venv/bin/{PEERS}": PEERS,
    ".venv/bin/pip install '.[test,browser]'": "install browser '.[test,browser]'",
    f".venv/bin/{PEERS.replace('peers', 'browser')}": PEERS.replace("peers", "browser"),
}


# Chapters stay short; the first page with its program, two that are to be cut, and tables not.
MOST_LINES = 250
LONG = {
    ROOT / "docs" / f"{stem}.md"
    for stem in (
        "hier-on-one-page",
        "13-oracle",
        "14-porting",
        "17-mutants",
        "appendix-nine-losses",
        "index-of-tags",
    )
}


def name(path):
    """Show a path from the root in test names."""
    return str(path.relative_to(ROOT))


def defined():
    """All tags defined in the chapters, with the number of their definitions."""
    return Counter(tag for path in CHAPTERS for tag in definitions(path.read_text()))


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_python_blocks_run(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_python(path, {"__name__": path.stem})


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_console_blocks_exit_0(path, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for block in blocks(path.read_text()):
        for line, words in commands(block) if block.language == "console" else []:
            done = subprocess.run(
                [sys.executable, *words[1:]],
                cwd=tmp_path,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=120,
            )
            assert done.returncode == 0, f"{name(path)}:{line}: {done.stdout}{done.stderr}"


def test_shell_commands_are_those_that_ci_runs():
    shown = set().union(*(shell_lines(path.read_text()) for path in DOCUMENTS))
    assert shown == set(SHELL)
    steps = {line.strip() for line in (ROOT / ".ci" / "run").read_text().splitlines()}
    missing = [step for step in SHELL.values() if not any(step in line for line in steps)]
    assert not missing, f".ci/run lacks {missing}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_links_lead_somewhere(path):
    assert broken_links(path) == []


def test_each_tag_is_defined_once():
    assert defined(), "no chapter defines a tag"
    assert [tag for tag, times in defined().items() if times > 1] == []


def test_each_tag_is_in_the_code():
    in_code = set().union(*map(mentions, CODE.values()))
    missing = sorted(set(defined()) - in_code)
    assert not missing, f"in docs/ but not in hier_ref/: {missing}"


def test_each_tag_has_a_witness():
    witnessed = set().union(*map(witnesses, TESTS.values()))
    missing = sorted(set(defined()) - witnessed)
    assert not missing, f"no test has them in its name or docstring: {missing}"


def test_each_gradient_has_its_equation():
    assert [tag for tag in defined() if tag.endswith("'") and tag[:-1] not in defined()] == []


def test_no_tag_is_mentioned_without_a_definition():
    used = {path: mentions(text) for path, text in CODE.items()}
    used |= {path: mentions(text) | witnesses(text) for path, text in TESTS.items()}
    used |= {path: mentions(prose(path.read_text())) for path in CHAPTERS}
    unknown = {name(path): sorted(tags - set(defined())) for path, tags in used.items()}
    assert "\n".join(f"{path}: {tags}" for path, tags in unknown.items() if tags) == ""


@pytest.mark.parametrize("path", CHAPTERS, ids=name)
def test_kinks_stand_in_the_last_section(path):
    assert kinks_outside(path.read_text()) == []


def test_index_of_tags_is_current():
    """After a change of code, tests or chapters: python docs/make_index.py."""
    text = make_index.INDEX.read_text()
    assert make_index.index(text) == text
    assert "| ? |" not in text, "a tag without words, code, or a test that has it in its docstring"
    assert set(make_index.definitions()) == set(defined())


@pytest.mark.parametrize("path", make_index.chapters(), ids=name)
def test_code_under_formulas_and_links_of_tags_are_current(path):
    """After a change of code or chapters: python docs/make_index.py."""
    text = path.read_text()
    assert make_index.linked(text, make_index.places(make_index.code_files())) == text


@pytest.mark.parametrize("path", CHAPTERS, ids=name)
def test_displayed_formulas_have_a_tag_or_are_steps(path):
    assert unmarked(path.read_text()) == []


@pytest.mark.parametrize("path", sorted(set(CHAPTERS) - LONG), ids=name)
def test_chapters_are_short(path):
    """Displayed formulas and the code under them do not count."""
    assert reading_lines(path.read_text()) <= MOST_LINES


def test_index_links_each_chapter():
    text = INDEX.read_text()
    assert [path.name for path in CHAPTERS if f"]({path.name})" not in text] == []


@pytest.mark.parametrize("module", MODULES)
def test_public_names_are_documented_with_shapes(module):
    assert undocumented(importlib.import_module(module)) == []


@pytest.mark.parametrize("module", MODULES)
def test_doctests_pass(module):
    assert failed_doctests(importlib.import_module(module)) == ""


# The checks themselves: each must see the fault it looks for.


def document(tmp_path, text):
    """Write a made-up document."""
    path = tmp_path / "chapter.md"
    path.write_text(text)
    return path


def test_a_failing_python_block_is_reported_at_its_line(tmp_path):
    path = document(tmp_path, "# T\n\n```python\nx = 1\n```\n\n```python\nassert x == 2\n```\n")
    with pytest.raises(AssertionError) as caught:
        run_python(path, {})
    entry = caught.traceback[-1]
    assert (str(entry.path), entry.lineno + 1) == (str(path), 8)


@pytest.mark.parametrize("text", ["```\nx\n```\n", "```pycon\nx\n```\n", "```python\nx\n"])
def test_a_block_of_no_known_language_or_end_is_refused(text):
    with pytest.raises(ValueError, match="line 1"):
        blocks(text)


@pytest.mark.parametrize("command", ["ls", "python -m pip list", "python x.py", "hier_ref"])
def test_a_console_command_that_is_not_the_package_is_refused(command):
    with pytest.raises(ValueError, match="line 7"):
        commands(Block("console", 7, f"$ {command}\n"))


def test_console_commands_are_found_among_their_output():
    block = Block("console", 7, "$ python -m hier_ref.train --out 'a b'\nepoch 1\n")
    assert commands(block) == [(7, ["python", "-m", "hier_ref.train", "--out", "a b"])]


def test_shell_lines_drop_comments():
    assert shell_lines("```bash\npip install .  # once\n\n```\n```text\nls\n```\n") == {
        "pip install ."
    }


def test_definitions_count_repeats_and_skip_code():
    text = "**(B3)** and **(B3')**, again **(B3)**\n```text\n**(B4)**\n```\n`**(B5)**` (B6)\n"
    assert definitions(text) == ["B3", "B3'", "B3"]
    assert mentions("see (B6) and (K1), f(x) or (B3') but not (D, D128) nor (Q1)") == {
        "B6",
        "K1",
        "B3'",
    }


def test_witnesses_come_from_names_and_docstrings_of_tests_only():
    source = '''
def test_distance_B3_gradient(): ...
def test_distance_B31(): ...
def test_B4_gradients(): ...
def test_value():
    """Hand value of (B5), and its gradient (B5'), at (K1)."""
def test_origin_K2_gradient(): ...
def helper_B6():
    """Not a test: (B7)."""
'''
    assert witnesses(source) == {"B3", "B3'", "B31", "B4", "B5", "B5'", "K1", "K2"}


@pytest.mark.parametrize(
    ("text", "outside"),
    [
        ("# T\n**(B1)**\n## Kinks\n**(K1)**\n", []),
        ("# T\n**(K1)**\n## Kinks\n**(K2)**\n", ["K1"]),
        ("# T\n## Kinks\n**(K1)**\n## More\n", ["K1"]),
        ("**(K1)**\n", ["K1"]),
    ],
)
def test_kinks_outside_their_section_are_found(text, outside):
    assert kinks_outside(text) == outside


def test_formulas_without_tag_or_mark_are_found():
    formula = "```math\nx\n```\n"
    text = f"**(B1)** is\n\n{formula}and\n\n{formula}<!-- step -->\n{formula}"
    assert unmarked(text) == [8]
    assert unmarked(f"(B1)\n{formula}") == [2]
    assert reading_lines(f"a\n<!-- code: B1 -->\n```py\nx\n```\n<!-- end -->\n{formula}b\n") == 3


@pytest.mark.parametrize(
    ("link", "broken"),
    [("chapter.md", 0), ("#the-ball-c--0", 0), ("https://x.y/z", 0), ("no.md", 1), ("#no", 1)],
)
def test_broken_links_are_found(tmp_path, link, broken):
    path = document(tmp_path, f"# The ball (c > 0)\n[a]({link}) `[b](no.md)`\n")
    assert broken_links(path) == [link] * broken


def made_up(source):
    """Make a module out of source."""
    module = types.ModuleType("made_up")
    exec(source, module.__dict__)
    return module


def test_public_names_without_docstring_or_shapes_are_found():
    source = """
from pathlib import Path
from numpy import ndarray
from numpy.typing import NDArray
def bare(): ...
def _private(): ...
def no_shape(x: ndarray): 'Return x.'
def no_shape_either(x: NDArray, c: float): 'Return c x (B3).'
def shape(x: ndarray): '(..., D) -> (...).'
def shape_vjp(g: NDArray): 'Return g.'
class Empty: ...
"""
    assert undocumented(made_up(source)) == ["bare", "no_shape", "no_shape_either", "Empty"]


def test_failing_doctests_are_found():
    assert "Expected:\n    3" in failed_doctests(made_up("'''>>> 1 + 1\n3\n'''"))
    assert failed_doctests(made_up("'''>>> 1 + 1\n2\n'''")) == ""
