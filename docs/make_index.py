"""Write the index of tags, and under each tagged formula the code that is it.

    python docs/make_index.py

`index-of-tags.md` leads from each tag to its chapter, its code and its test. Its words are kept,
its links are made; a new tag gets a row whose words are to be filled in. In the chapters, each tag
becomes a link to its row, and under a formula that follows a tag stands its function, between
`<!-- code: TAG -->` and `<!-- end -->`. Functions and tests are found by their tags, wherever their
files are. A test compares all of it.
"""

import ast
import re
import textwrap
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
INDEX = DOCS / "index-of-tags.md"
TAG = r"[A-Z]\d{1,2}'?"
DEFINED = re.compile(rf"\*\*\(({TAG})\)\*\*")
ANCHOR = re.compile(rf'(?:<a id="[\w-]*"></a>)?\[?\*\*\(({TAG})\)\*\*(?:\]\([^)]*\))?')
ROW = re.compile(rf'^\| (?:<a id="[\w-]*"></a>)?\(({TAG})\) \| (.*) \|$', re.MULTILINE)
SHOWN = re.compile(r"\n<!-- code: [^\n]* -->\n.*?<!-- end -->\n", re.DOTALL)
LONGEST = 16  # lines of code under a formula
START = """# Index of tags

Where each tag is derived, which code it is, and which test holds it. Written by
`docs/make_index.py`; the words are by hand.
"""


class Place(NamedTuple):
    """Where a tag is: the file from the root, the line, and the name that stands there."""

    path: Path
    line: int
    name: str

    def link(self) -> str:
        """Return a link from the folder of the documents."""
        return f"[`{self.name}`](../{self.path.relative_to(ROOT)}#L{self.line})"


def anchor(tag: str) -> str:
    """Return the anchor of a tag in chapters and index: B4 for B4, B4-gradient for B4'."""
    return tag.replace("'", "-gradient")


def order(tag: str) -> tuple:
    """Sort by letter, number, and the gradient last."""
    return tag[0] == "K", tag[0], int(re.sub(r"\D", "", tag)), tag.endswith("'")


def chapters() -> list[Path]:
    """Return the documents that may define tags, in the order of their names."""
    return sorted(set(DOCS.glob("*.md")) - {INDEX, DOCS / "README.md"})


def definitions() -> dict[str, Path]:
    """Return the chapter of every tag."""
    return {
        tag: path
        for path in chapters()
        for tag in DEFINED.findall(re.sub(r"`[^`\n]*`", "", path.read_text(encoding="utf-8")))
    }


def functions(path: Path, source: str):
    """Yield (place, node, docstring) of the functions and classes of a module, in order."""
    for name, node in named(ast.parse(source)):
        yield Place(path, node.lineno, name), node, ast.get_docstring(node) or ""


def named(node: ast.AST, owner: str = ""):
    """Yield (name, node) of what is defined inside of a node; a method has its class in front."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.ClassDef):
            yield owner + child.name, child
            yield from named(child, f"{child.name}." if isinstance(child, ast.ClassDef) else "")
        else:
            yield from named(child, owner)


def places(files: list[Path], only: str = "") -> dict[str, Place]:
    """Return the place of each tag: where a docstring begins with it, else in any, else a line.

    What a method says goes before what its class says.
    """
    found: dict[str, tuple[float, Place]] = {}
    for path in files:
        source = path.read_text(encoding="utf-8")
        for place, node, text in functions(path, source) if path.suffix == ".py" else ():
            if place.name.startswith(only):
                first = text.split("\n\n")[0]
                for tag in re.findall(rf"\(({TAG})\)", text):
                    rank = 0 if first.rstrip(". ").endswith(f"({tag})") else 1 + (tag not in first)
                    rank += 0.5 * isinstance(node, ast.ClassDef)
                    if rank < found.get(tag, (9,))[0]:
                        found[tag] = rank, place
        for number, line in enumerate(source.splitlines(), 1) if not only else ():
            for tag in re.findall(rf"\(({TAG})\)", line):
                found.setdefault(tag, (5, Place(path, number, path.name)))
    return {tag: place for tag, (_, place) in found.items()}


def code_files() -> list[Path]:
    """Return the code in which tags are looked for."""
    found = sorted((ROOT / "hier_ref").rglob("*"), key=lambda p: (len(p.parts), p))
    return [path for path in found if path.suffix in (".py", ".js")]


def test_files() -> list[Path]:
    """Return the tests in which tags are looked for; the test of the documents makes some up."""
    return [p for p in sorted((ROOT / "tests").glob("test_*.py")) if p.name != "test_docs.py"]


def index(text: str) -> str:
    """Return the index with its links made anew and the words of `text` kept."""
    words = {tag: cells.split(" | ") for tag, cells in ROW.findall(text)}
    code, tests, defined = places(code_files()), places(test_files(), "test_"), definitions()
    tables = [
        START,
        "## Equations\n\n| tag | what | chapter | code | test |\n|---|---|---|---|---|\n",
        "## Kinks\n\nPoints at which a formula leaves a choice, and the choice.\n\n"
        "| kink | where | choice | chapter | code | test |\n|---|---|---|---|---|---|\n",
    ]
    for tag in sorted(defined, key=order):
        kink = tag.startswith("K")
        said = words.get(tag, [])[: 2 if kink else 1] or ["?"] * (2 if kink else 1)
        path = defined[tag]
        name = path.stem.replace("-", " ").split(" ")[0]
        links = [
            f"[{name}]({path.name}#{anchor(tag)})",
            code[tag].link() if tag in code else "?",
            tests[tag].link() if tag in tests else "?",
        ]
        cells = " | ".join([f'<a id="{anchor(tag)}"></a>({tag})', *said, *links])
        tables[2 if kink else 1] += f"| {cells} |\n"
    return "\n".join(tables)


def source(place: Place) -> str:
    """Return the code of a function without decorators and docstring; empty for anything else."""
    text = place.path.read_text(encoding="utf-8")
    for found, node, said in functions(place.path, text) if place.path.suffix == ".py" else ():
        if found == place and isinstance(node, ast.FunctionDef):
            lines = text.splitlines()[node.lineno - 1 : node.end_lineno]
            if said:
                first, last = (
                    n - node.lineno for n in (node.body[0].lineno, node.body[0].end_lineno)
                )
                lines[first : last + 1] = []
            return textwrap.dedent("\n".join(lines))
    return ""


def shown(tags: list[str], code: dict[str, Place], before: set[Place]) -> str:
    """Return the functions that tags are, as a block of a chapter; the index has long ones.

    Each stands once in a chapter: those of `before` are left out, and those shown are added.
    """
    places = dict.fromkeys(code[tag] for tag in tags if code.get(tag, None) not in before | {None})
    before.update(places)
    texts = [text for text in map(source, places) if 0 < len(text.splitlines()) <= LONGEST]
    body = "\n\n\n".join(texts)
    marks = f"\n<!-- code: {' '.join(tags)} -->\n", "<!-- end -->\n"
    return f"{marks[0]}```py\n{body}\n```\n{marks[1]}" if texts else ""


def linked(text: str, code: dict[str, Place]) -> str:
    """Return a chapter whose tags are linked to the index, with today's code under formulas."""
    parts = re.split(r"(^```.*?^```\n)", SHOWN.sub("", text), flags=re.DOTALL | re.MULTILINE)
    before: set[Place] = set()
    for place in range(0, len(parts), 2):
        above = re.split(r"^#.*$", parts[place], flags=re.MULTILINE)[-1]
        tags = list(dict.fromkeys(DEFINED.findall(above)))
        parts[place] = ANCHOR.sub(
            lambda m: f'<a id="{anchor(m[1])}"></a>[**({m[1]})**]({INDEX.name}#{anchor(m[1])})',
            parts[place],
        )
        if tags and place + 1 < len(parts) and parts[place + 1].startswith("```math"):
            parts[place + 1] += shown(tags, code, before)
    return "".join(parts)


if __name__ == "__main__":
    found = places(code_files())
    for chapter in chapters():
        text = chapter.read_text(encoding="utf-8")
        chapter.write_text(linked(text, found), encoding="utf-8")
    INDEX.write_text(index(INDEX.read_text(encoding="utf-8")), encoding="utf-8")
