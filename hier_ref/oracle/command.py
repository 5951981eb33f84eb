"""The commands of `python -m hier_ref.oracle`, and what their exit codes mean.

Described in docs/13-oracle.md.
"""

import json
import shlex
import sys
from argparse import Namespace
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

import hier_ref
from hier_ref.convention import EXACT
from hier_ref.files import write_bytes
from hier_ref.oracle.adapters import CandidateError, load_candidate
from hier_ref.oracle.case import Case, reference
from hier_ref.oracle.check import CODES, Report, check
from hier_ref.oracle.files import export, read_suite
from hier_ref.oracle.fingerprint import fingerprint
from hier_ref.oracle.form import DTYPES, SuiteError
from hier_ref.oracle.large import large_entry
from hier_ref.oracle.options import USAGE, refuse
from hier_ref.oracle.report import as_json, convention_name, text
from hier_ref.oracle.run import Candidate, ask
from hier_ref.oracle.selftest import selftest
from hier_ref.oracle.stages import NEEDS
from hier_ref.oracle.suite import Entry, load_suite

BROKEN, NOTHING = 70, ""
Beat = Callable[[str], None]  # told what is about to run, and NOTHING after it


def run(args: Namespace, beat: Beat = lambda doing: None) -> int:
    """Run one command; return its exit code."""
    try:
        return args.action(args, beat)
    except CandidateError as error:
        return broken(args, str(error))
    except SuiteError as error:
        return refuse(error, USAGE if getattr(args, "suite", None) else BROKEN)
    except (ValueError, OSError, MemoryError) as error:
        return refuse(error, USAGE)


def broken(args: Namespace, trouble: str) -> int:
    """Report a candidate that gave no answer to compare."""
    report = Report(_name(args), getattr(args, "declared", EXACT), "no usable answer")
    report.troubles.append(trouble)
    return _tell(report, args)


def _name(args: Namespace) -> str:
    return f"{args.candidate} ({args.adapter})"


def _tell(report: Report, args: Namespace) -> int:
    options = f"--candidate {shlex.quote(args.candidate)} --adapter {args.adapter}"
    options += f" --suite {args.suite}" if args.suite else ""
    if report.declared != EXACT:
        options += f" --convention {args.convention}"
        options += "".join(f" --allow {word}" for word in args.allow)
    if args.json:  # files first: nobody may be there to read
        write_bytes(args.json, as_json(report).encode())
    print(text(report, options))
    return report.code


def _entries(args: Namespace) -> tuple[Entry, ...]:
    entries = read_suite(args.suite) if args.suite else load_suite()
    known = [entry.case.id for entry in entries]
    for identity in args.case or ():
        if identity not in known:
            raise ValueError(f"no case {identity!r}; there are {' '.join(known)}")
    return tuple(e for e in entries if not args.case or e.case.id in args.case)


def _load(args: Namespace, beat: Beat) -> Candidate:
    beat(f"import of {args.candidate}")
    candidate = load_candidate(args.candidate, args.adapter)
    beat(NOTHING)

    def watched(case: Case) -> Mapping[str, NDArray]:
        beat(f"{case.id} {case.x.dtype}")
        try:
            return candidate(case)
        except KeyboardInterrupt:  # ours are ignored here: it is the candidate's own
            raise RuntimeError("KeyboardInterrupt") from None
        finally:
            beat(NOTHING)

    return watched


def _check(args: Namespace, beat: Beat) -> int:
    entries, candidate = _entries(args), _load(args, beat)
    if args.large:
        _progress("drawing the large case")
        entries = (*entries, large_entry())
    report = check(
        candidate,
        entries,
        dtypes=DTYPES if args.dtype == "both" else (args.dtype,),
        convention=args.declared,
        name=_name(args),
        seconds=args.time_limit,
        progress=_progress,
    )
    _progress("")
    return _tell(report, args)


def _progress(doing: str) -> None:
    """Show what is being done, in one line of a terminal; elsewhere nobody watches."""
    if sys.stderr.isatty():
        print(f"\r\033[K{doing}", end="", file=sys.stderr, flush=True)


def _fingerprint(args: Namespace, beat: Beat) -> int:
    entries, candidate = _entries(args), _load(args, beat)
    lines = [f"hier_ref oracle {hier_ref.__version__} · fingerprint of {_name(args)}"]
    found = fingerprint(candidate, entries, dtype=args.dtype, seconds=args.time_limit)
    best = found[0] if found else None
    if best is None:
        verdict = "no usable answer"
        asked = next(e for e in entries if args.dtype in e.budgets)
        lines.append(ask(candidate, asked.case, args.dtype, args.time_limit).trouble)
    elif best.explains:
        verdict = "conforms"
        lines.append(f"follows {convention_name(best.convention)}")
        lines.append(f"residual {best.worst:.2g}x budget, {best.explained}/{best.asked} cases")
    else:
        verdict = "unexplained"
    if args.json:
        content = {"candidate": _name(args), "exit": CODES[verdict], "follows": None}
        if best and verdict == "conforms":
            content["follows"] = {k: str(v) for k, v in vars(best.convention).items()}
        write_bytes(args.json, (json.dumps(content, indent=1) + "\n").encode())
    lines.append(f"exit {CODES[verdict]}: {'named' if verdict == 'conforms' else verdict}")
    print("\n".join(lines))
    return CODES[verdict]


def _export(args: Namespace, beat: Beat) -> int:
    written = export(_entries(args), args.folder, args.dtype)
    print(f"{len(written)} cases in {args.dtype} in {args.folder}")
    return 0


def _explain(args: Namespace, beat: Beat) -> int:
    args.case = [args.explained]
    (entry,) = _entries(args)
    _describe(entry, args)
    if args.candidate is None:
        return 0
    shown: dict[str, NDArray] = {}
    candidate = _load(args, beat)

    def seen(case: Case) -> Mapping[str, NDArray]:
        answer = candidate(case)
        if case.x.dtype == args.dtype and isinstance(answer, Mapping):
            shown.update(answer)
        return answer

    options = {"convention": args.declared, "name": _name(args), "seconds": args.time_limit}
    report = check(seen, [entry], **options)
    if args.stage in shown:
        print(f"\n{args.stage} of the candidate\n{_numbers(np.asarray(shown[args.stage]))}")
    print()
    return _tell(report, args)


def _describe(entry: Entry, args: Namespace) -> None:
    case = entry.case
    sizes = {"B": len(case.x), "P": len(case.proxies), "D": case.x.shape[1]}
    sizes |= {s: len(getattr(case, s)) for s in ("triplets_data", "triplets_proxy")}
    print(f"{case.id}: {case.reason}")
    rows = {"flags": dict.fromkeys(case.flags, ""), "sizes": sizes}
    rows |= {"parameters": case.parameters, "margins": dict(case.margins)}
    if args.stage:
        rows["budget"] = {t: b[args.stage] for t, b in entry.budgets.items() if args.stage in b}
    for label, row in rows.items():
        print(f"{label:12}{', '.join(f'{k} {v:.4g}' if v != '' else k for k, v in row.items())}")
    stages = reference(case, args.declared, args.dtype)
    if args.stage and args.stage not in stages:
        raise ValueError(f"--stage {args.stage}: not asked in {case.id}")
    for stage in [args.stage] if args.stage else [s for s in NEEDS if s in stages]:
        value = np.asarray(stages[stage])
        print(f"\n{stage} {value.shape} of the reference, {convention_name(args.declared)}")
        print(_numbers(value))


def _numbers(array: np.ndarray) -> str:
    return np.array2string(array, precision=9, threshold=64, edgeitems=3, max_line_width=100)


def _test(args: Namespace, beat: Beat) -> int:
    results = selftest()
    for what, wrong in results:
        print(f"{'FAIL' if wrong else 'ok':5} {what}{f': {wrong}' if wrong else ''}")
    return BROKEN if any(wrong for _, wrong in results) else 0


ACTIONS = {
    "check": _check,
    "fingerprint": _fingerprint,
    "export": _export,
    "explain": _explain,
    "selftest": _test,
}
