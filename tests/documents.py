"""What `test_docs.py` reads out of the documents, the code and the tests: plain functions on text.

A *tag* such as B3 names one equation, B3' its gradient, K1 one kink. `**(B3)**` in a chapter
defines it, `(B3)` anywhere mentions it, and a test witnesses it by its name or docstring.
"""

import ast
import contextlib
import doctest
import io
import re
import shlex
from typing import NamedTuple

LANGUAGES = {"python", "console", "bash", "math", "text", "py"}
LETTERS = "BDTHLNOSRFKYCVM"
DEFINED = re.compile(rf"\*\*\(([{LETTERS}]\d{{1,2}}'?)\)\*\*")
MENTIONED = re.compile(rf"\(([{LETTERS}]\d{{1,2}}'?)\)")
IN_A_NAME = re.compile(rf"(?<![A-Za-z0-9])([{LETTERS}]\d{{1,2}})(_gradient)?(?![A-Za-z0-9])")
STEP = "<!-- step -->"
HEADING = re.compile(r"^#+ +(.+?)\s*$", re.MULTILINE)
SHAPE = re.compile(r"\((\.\.\.|\w{1,2}),|any shape|[Aa]rguments as for|what `\w+` does")
ARRAY = re.compile(r"(<class ')?numpy\.ndarray")
LINK = re.compile(r"\]\(([^)\s]+)\)")


class Block(NamedTuple):
    """A fenced block: its language, the line of its first line of code, and the code."""

    language: str
    line: int
    code: str


def blocks(text):
    """All fenced blocks; ValueError where one has no known language or is never closed."""
    found, language, start, code = [], None, 0, []
    for number, line in enumerate(text.splitlines(), start=1):
        if language is None and line.startswith("```"):
            language, start, code = line[3:].strip(), number, []
            if language not in LANGUAGES:
                raise ValueError(f"line {number}: ```{language}, expected {sorted(LANGUAGES)}")
        elif language is not None and line.startswith("```"):
            found.append(Block(language, start + 1, "".join(code)))
            language = None
        else:
            code.append(line + "\n")
    if language is not None:
        raise ValueError(f"line {start}: block is never closed")
    return found


def prose(text):
    """The text without fenced blocks and inline code, every line where it was."""
    fenced = re.sub(r"^```.*?^```$", lambda m: "\n" * m[0].count("\n"), text, flags=re.M | re.S)
    return re.sub(r"`[^`\n]*`", "", fenced)


def definitions(text):
    """Tags defined in a chapter, in order, repeated where defined twice."""
    return DEFINED.findall(prose(text))


def mentions(text):
    """Tags mentioned as `(B3)` in a document, a module or a test."""
    return set(MENTIONED.findall(text))


def _tests(source):
    return [
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]


def witnesses(source):
    """Tags that the tests in a module witness, by name (`..._B3_gradient`) or docstring.

    A kink has no gradient of its own: `..._K1_gradient` witnesses K1.
    """
    tags = set()
    for test in _tests(source):
        for tag, gradient in IN_A_NAME.findall(test.name):
            tags.add(tag)
            if gradient and tag[0] != "K":
                tags.add(tag + "'")
        tags |= mentions(ast.get_docstring(test) or "")
    return tags


def kinks_outside(text):
    """Kinks defined elsewhere than in the chapter's last section, called Kinks."""
    body = prose(text)
    last = list(HEADING.finditer(body))[-1:]
    start = last[0].start() if last and last[0][1] == "Kinks" else len(body)
    return [tag for tag in DEFINED.findall(body[:start]) if tag.startswith("K")]


def unmarked(text):
    """Lines of displayed formulas with neither a tag defined above them nor the mark of a step.

    Above means after the block before.
    """
    found, line, above = [], 1, ""
    for part in re.split(r"(^```.*?^```$)", text, flags=re.M | re.S):
        if part.startswith("```math") and not DEFINED.search(above) and STEP not in above:
            found.append(line)
        above, line = part, line + part.count("\n")
    return found


def reading_lines(text):
    """Lines to read: without displayed formulas and without code shown from the source."""
    text = re.sub(r"<!-- code: .*?<!-- end -->", "", text, flags=re.S)
    return len(re.sub(r"^```math\n.*?^```\n", "", text, flags=re.M | re.S).splitlines())


def anchors(text):
    """The anchors of a document's headings, as a forge makes them."""
    fenced = re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)
    words = (re.sub(r"[^\w\- ]", "", title.lower()) for title in HEADING.findall(fenced))
    return {title.replace(" ", "-") for title in words} | set(re.findall(r'<a id="(.*?)">', fenced))


def targets(path):
    """What a link into a file can name: the anchors of a document, the lines of code."""
    text = path.read_text()
    lines = {f"L{number}" for number in range(1, 1 + len(text.splitlines()))}
    return anchors(text) if path.suffix == ".md" else lines


def broken_links(path):
    """Relative links of the document at `path` whose file or heading does not exist."""
    broken = []
    for link in LINK.findall(prose(path.read_text())):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = path.parent / name if name else path
        headings = targets(target) if anchor and target.is_file() else {anchor}
        if not target.exists() or anchor not in headings:
            broken.append(link)
    return broken


def commands(block):
    """The `$ ` commands of a console block as (line, words); only the package's own may be run."""
    found = []
    for number, line in enumerate(block.code.splitlines(), start=block.line):
        if line.startswith("$ "):
            words = shlex.split(line[2:])
            if words[:2] != ["python", "-m"] or not words[2].startswith("hier_ref"):
                raise ValueError(f"line {number}: {line}: not `python -m hier_ref...`")
            found.append((number, words))
    return found


def shell_lines(text):
    """The commands of the bash blocks, without comments."""
    lines = "".join(b.code for b in blocks(text) if b.language == "bash").splitlines()
    return {line.split("  #")[0].strip() for line in lines} - {""}


def run_python(path, namespace):
    """Run the python blocks of a chapter in order; tracebacks show the chapter's own lines."""
    for block in blocks(path.read_text()):
        if block.language == "python":
            source = "\n" * (block.line - 1) + block.code
            exec(compile(source, str(path), "exec"), namespace)


def public(module):
    """Public functions and classes that a module defines, by name."""
    names = getattr(module, "__all__", [name for name in vars(module) if not name.startswith("_")])
    found = {name: getattr(module, name) for name in names}
    return {
        name: thing
        for name, thing in found.items()
        if callable(thing) and getattr(thing, "__module__", None) == module.__name__
    }


def undocumented(module):
    """Public names without docstring, and functions of arrays whose docstring has no shape.

    A gradient (`..._vjp`) has the shapes of its function.
    """
    found = []
    for name, thing in public(module).items():
        text = thing.__doc__ or ""
        kinds = {} if isinstance(thing, type) else getattr(thing, "__annotations__", {})
        arrays = any(ARRAY.match(str(kinds[key])) for key in kinds if key != "return")
        if not text.strip() or (arrays and not name.endswith("_vjp") and not SHAPE.search(text)):
            found.append(name)
    return found


def failed_doctests(module):
    """What the doctests of a module print where they fail; empty when all pass."""
    runner, printed = doctest.DocTestRunner(verbose=False), io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()):
        for example in doctest.DocTestFinder().find(module):
            runner.run(example, out=printed.write)
    return printed.getvalue()
