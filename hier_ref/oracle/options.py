"""The options of `python -m hier_ref.oracle`: a mistake is one line and exit code 64."""

import sys
from argparse import Namespace
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from hier_ref.command import Parser
from hier_ref.convention import CONVENTIONS, EXACT, Convention
from hier_ref.oracle.adapters import ADAPTERS
from hier_ref.oracle.form import DTYPES
from hier_ref.oracle.stages import NEEDS
from hier_ref.oracle.suite import CORE

USAGE = 64

ABOUT = """\
Ask whether an implementation of the HIER loss is right and, if not, where it goes wrong and why.
A candidate is a function fn(x, proxies, case): tangent vectors x (B, D) and proxies (P, D), and a
case that holds labels, triplets, Gumbel noise, c, clip_radius, tau and margin. It returns
  --adapter torch, jax   the loss, or (loss, {stage: array}); gradients come from autograd
  --adapter numpy        (loss, grad_x, grad_proxies), or a mapping of stages, loss included
  --adapter case         (called as fn(case)) a mapping of stages
  --adapter files        is a command instead, called with the folder of an exported case and a
                         folder for its <stage>.npy; or a folder of results, <id>/<stage>.npy
Every stage that is returned makes the answer sharper; the stages are
"""
CODES_TEXT = """\
exit codes: 0 conforms; 1 a documented convention differs (declare it by --convention and --allow,
and it is 0); 2 an unexplained difference; 3 right convention, poor accuracy; 4 crash, hang, NaN or
another answer each time; 5 inconclusive; 64 usage; 70 the oracle itself is damaged
"""


def make_parser(actions: dict[str, Callable]) -> Parser:
    """Describe the commands and their options; `actions` run them."""
    stages = "\n".join("  " + " ".join(list(NEEDS)[n : n + 8]) for n in range(0, len(NEEDS), 8))
    parser = Parser(prog="python -m hier_ref.oracle", description=ABOUT + stages, epilog=CODES_TEXT)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, about: str) -> Parser:
        made = commands.add_parser(name, help=about, description=about + ".", epilog=CODES_TEXT)
        made.set_defaults(action=actions[name])
        return made

    found = add("check", "compare a candidate with the reference, stage by stage")
    _candidate(found, dtypes=("both", *DTYPES))
    _declared(found)
    found.add_argument(
        "--large",
        action="store_true",
        help="ask a case of the size of a real batch too: 27,000 triplets, 512 proxies; minutes",
    )
    found = add("fingerprint", "name the convention that a candidate follows")
    _candidate(found, dtypes=DTYPES)
    found = add("export", "write the cases as folders of case.json and .npy")
    found.add_argument("folder", type=Path, metavar="FOLDER", help="where to; made if need be")
    _cases(found, dtypes=DTYPES)
    found = add("explain", "say what a case is for and what is right in it")
    found.add_argument("explained", metavar="CASE", help="its id")
    found.add_argument("--stage", choices=NEEDS, metavar="STAGE", help="show this stage in full")
    _candidate(found, dtypes=DTYPES, named="--candidate")
    _declared(found)
    add("selftest", "check the oracle: its cases, its reference, faults that it must see")
    return parser


def _candidate(parser: Parser, dtypes: tuple[str, ...], named: str = "candidate") -> None:
    parser.add_argument(
        named,
        metavar="CANDIDATE",
        help="package.module:function or file.py:function (files: a command, a folder of results)",
    )
    parser.add_argument(
        "--adapter", choices=(*ADAPTERS, "files"), default="numpy", help="default: numpy"
    )
    parser.add_argument(
        "--time-limit",
        type=float,
        default=60.0,
        metavar="SECONDS",
        help="for one answer; 0: none (default: 60)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the report as JSON too")
    _cases(parser, dtypes)


def _cases(parser: Parser, dtypes: tuple[str, ...]) -> None:
    parser.add_argument("--dtype", choices=dtypes, default=dtypes[0], help=f"default: {dtypes[0]}")
    parser.add_argument(
        "--case", action="append", metavar="ID", help="this case only; may be given again"
    )
    parser.add_argument(
        "--suite", type=Path, metavar="FOLDER", help=f"exported cases (default: {CORE})"
    )


def _declared(parser: Parser) -> None:
    parser.add_argument(
        "--convention", choices=CONVENTIONS, default="exact", help="what it follows: exact"
    )
    parser.add_argument(
        "--allow",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help="and a choice in which it differs, as in docs/10-conventions.md; may be given again",
    )


def parse(argv: list[str], actions: dict[str, Callable]) -> Namespace | int:
    """Return the options, or the exit code where there is nothing to run."""
    try:
        args = make_parser(actions).parse_args(argv)
        if hasattr(args, "allow"):
            args.declared = declared(args.convention, args.allow)
        limit = getattr(args, "time_limit", 0)
        if not 0 <= limit < 1e6:  # a timer takes no more
            raise ValueError(f"--time-limit {limit:g}: expected at least 0, below 1e6")
        _check_json(getattr(args, "json", None))
        return args
    except ValueError as error:
        return refuse(error, USAGE)
    except SystemExit:  # --help
        return 0


def _check_json(path: Path | None) -> None:
    """Raise ValueError where no report could be written, before anything runs."""
    if path is None:
        return
    if path.exists() and not path.is_file():
        raise ValueError(f"--json {path}: is there and is no regular file")
    if not path.parent.is_dir():
        raise ValueError(f"--json {path}: no folder {path.parent}")


def refuse(error: Exception, code: int) -> int:
    """Say in one line of at most 290 characters what is wrong; return the code."""
    said = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in " ".join(str(error).split()))
    if len(said) > 280:  # where it is, and what was expected, are at the ends
        said = f"{said[:160]} ... {said[-110:]}"
    print(f"error: {said or type(error).__name__}", file=sys.stderr)
    return code


def declared(name: str, allowed: list[str]) -> Convention:
    """Return a preset with some choices changed, each written field=value; ValueError if none."""
    changes: dict[str, Any] = {}
    for word in allowed:
        field, _, value = word.partition("=")
        if field not in {f.name for f in fields(Convention)}:
            known = ", ".join(f.name for f in fields(Convention))
            raise ValueError(f"--allow {word}: no choice {field!r}; there are {known}")
        kind = type(getattr(EXACT, field))
        try:
            changes[field] = BOOLEAN[value.lower()] if kind is bool else kind(value)
        except (KeyError, ValueError):
            raise ValueError(f"--allow {word}: expected {field}=<{kind.__name__}>") from None
    return replace(CONVENTIONS[name], **changes)


BOOLEAN = {"true": True, "false": False}
