"""pytest plugin: `pytest --hier-candidate=my_loss.py:loss` adds one test per case and stage.

It is loaded by every pytest run wherever the package is installed, so it lies outside of
`hier_ref.oracle` and imports nothing until the option is given. Fixtures for tests of your own:
`hier_candidate`, the adapted candidate, and `hier_report`, what `check` says of it.
"""

from os import PathLike
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from hier_ref.convention import Convention
    from hier_ref.oracle.check import Report
    from hier_ref.oracle.run import Candidate


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("hier_ref", "the oracle of hier_ref")
    group.addoption(
        "--hier-candidate",
        metavar="NAME",
        help="package.module:function or file.py:function: add one test per case and stage",
    )
    group.addoption(
        "--hier-adapter", metavar="ADAPTER", default="numpy", help="numpy, torch, jax or case"
    )
    group.addoption(
        "--hier-convention", metavar="NAME", default="exact", help="what it follows: exact"
    )
    group.addoption(
        "--hier-case", metavar="ID", action="append", help="this case only; may be given again"
    )


def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list
) -> None:
    """Add a test for each stage of each case: known from the suite, whatever the candidate does.

    So all workers of pytest-xdist collect the same tests, even where one of them cannot answer.
    """
    if config.getoption("--hier-candidate"):
        _declared(config), _found(config)
        asked = {e.case.id: [s for b in e.budgets.values() for s in b] for e in _suite(config)}
        places = [
            (case, stage) for case, stages in asked.items() for stage in dict.fromkeys(stages)
        ]
        names = [f"hier[{case}-{stage}]" for case, stage in places]
        made = [StageTest.from_parent(session, name=n) for n in (*names, "hier[verdict]")]
        for test, place in zip(made, (*places, None), strict=True):
            test.place = place
        items[:0] = made


pytest_collection_modifyitems = pytest.hookimpl(tryfirst=True)(pytest_collection_modifyitems)


class Differs(Exception):
    """A stage is over its budget."""


class StageTest(pytest.Item):
    """One stage of one case in all dtypes; or the verdict on the whole."""

    place: tuple[str, str] | None = None

    def runtest(self) -> None:
        """Fail where it is over its budget or has no answer; skip a stage that is not given."""
        report = _report(self.config)
        if self.place is None:
            from hier_ref.oracle.report import text

            if report.code:
                raise Differs(text(report))
            return
        found = [f for f in report.findings if (f.case, f.stage) == self.place]
        failed = [f for f in found if f.times > 1]
        if failed:
            said = ", ".join(f"{f.times:.2g}x budget in {f.dtype}" for f in failed)
            raise Differs(f"{said}; see hier[verdict]")
        own = [said for said in report.troubles if said.startswith(f"{self.place[0]} ")]
        if own or (report.troubles and not found):
            raise Differs((own or report.troubles)[-1])
        if not found:
            pytest.skip(f"the candidate does not give {self.place[1]}")

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Show what differs without a traceback: it is not in the oracle's code."""
        plain = isinstance(excinfo.value, Differs)
        return str(excinfo.value) if plain else super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[PathLike[str] | str, int | None, str]:
        """Name the test by its case and stage."""
        return self.path, None, self.name


@pytest.fixture(scope="session")
def hier_candidate(pytestconfig: pytest.Config) -> "Candidate":
    """Return the candidate that --hier-candidate names: from a Case to a mapping of stages."""
    return _candidate(pytestconfig)


@pytest.fixture(scope="session")
def hier_report(pytestconfig: pytest.Config) -> "Report":
    """Return the Report of the candidate that --hier-candidate names."""
    return _report(pytestconfig)


CANDIDATE = pytest.StashKey["Candidate | str"]()
REPORT = pytest.StashKey["Report"]()


def _found(config: pytest.Config) -> "Candidate | str":
    """Return the adapted candidate, or why its module does not load; UsageError for no name."""
    if CANDIDATE not in config.stash:
        from hier_ref.oracle.adapters import ADAPTERS, CandidateError, load_candidate

        name, adapter = config.getoption("--hier-candidate"), config.getoption("--hier-adapter")
        if not name:
            raise pytest.UsageError("hier_candidate and hier_report need --hier-candidate=NAME")
        if adapter not in ADAPTERS:
            raise pytest.UsageError(f"--hier-adapter: expected one of {', '.join(ADAPTERS)}")
        try:
            config.stash[CANDIDATE] = load_candidate(name, adapter)
        except CandidateError as error:
            config.stash[CANDIDATE] = str(error)
        except ValueError as error:
            raise pytest.UsageError(f"--hier-candidate: {error}") from None
    return config.stash[CANDIDATE]


def _candidate(config: pytest.Config) -> "Candidate":
    found = _found(config)
    if isinstance(found, str):
        raise Differs(found)
    return found


def _declared(config: pytest.Config) -> "Convention":
    from hier_ref.convention import CONVENTIONS

    declared = CONVENTIONS.get(config.getoption("--hier-convention"))
    if declared is None:
        raise pytest.UsageError(f"--hier-convention: expected one of {', '.join(CONVENTIONS)}")
    return declared


def _suite(config: pytest.Config) -> list:
    from hier_ref.oracle import load_suite

    known = {entry.case.id: entry for entry in load_suite()}
    asked = config.getoption("--hier-case") or known
    if not known.keys() >= set(asked):
        raise pytest.UsageError(f"--hier-case: expected one of {', '.join(known)}")
    return [entry for identity, entry in known.items() if identity in asked]


def _report(config: pytest.Config) -> "Report":
    if REPORT not in config.stash:
        from hier_ref.oracle import check

        options = {
            "convention": _declared(config),
            "name": config.getoption("--hier-candidate"),
        }
        config.stash[REPORT] = check(_candidate(config), _suite(config), **options)
    return config.stash[REPORT]
