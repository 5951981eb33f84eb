"""Tables between marks: `<!-- WORD: name -->`, the table, `<!-- end -->`."""

import re
from collections.abc import Callable


def filled(text: str, word: str, table: Callable[[str], str]) -> str:
    """Return a chapter in which every table of this word is made anew, by its name."""

    def made(found: re.Match) -> str:
        return f"{found[1]}{table(found[2])}{found[3]}"

    mark = rf"(<!-- {word}: (\w+) -->\n).*?(<!-- end -->\n)"
    return re.sub(mark, made, text, flags=re.DOTALL)
