"""pytest plugin: `pytest --hier-candidate=my_loss.py:loss` adds one test per case and stage.

It is loaded by every pytest run wherever the package is installed, so it lies outside of
`hier_ref.oracle` and imports nothing until the option is given. Fixtures for tests of your own:
`hier_candidate`, the adapted candidate, and `hier_report`, what `check` says of it.
"""

import pytest


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
    """Ask the candidate, once, and add a test for each of its stages in each case."""
    if config.getoption("--hier-candidate"):
        stages = dict.fromkeys((f.case, f.stage) for f in _report(config).findings)
        names = [f"hier[{case}-{stage}]" for case, stage in stages]
        made = [StageTest.from_parent(session, name=n) for n in (*names, "hier[verdict]")]
        for test, place in zip(made, (*stages, None), strict=True):
            test.place = place
        items[:0] = made


pytest_collection_modifyitems = pytest.hookimpl(tryfirst=True)(pytest_collection_modifyitems)


class Differs(Exception):
    """A stage is over its budget."""


class StageTest(pytest.Item):
    """One stage of one case in all dtypes; or the verdict on the whole."""

    place: tuple[str, str] | None = None

    def runtest(self) -> None:
        """Fail where the stage is over its budget."""
        report = _report(self.config)
        if self.place is None and report.code:
            from hier_ref.oracle.report import text

            raise Differs(text(report))
        failed = [f for f in report.failed() if (f.case, f.stage) == self.place]
        if failed:
            said = ", ".join(f"{f.times:.2g}x budget in {f.dtype}" for f in failed)
            raise Differs(f"{said}; see hier[verdict]")

    def repr_failure(self, excinfo, style=None) -> str:
        """Show what differs without a traceback: it is not in the oracle's code."""
        plain = isinstance(excinfo.value, Differs)
        return str(excinfo.value) if plain else super().repr_failure(excinfo, style)

    def reportinfo(self):
        """Name the test by its case and stage."""
        return self.path, None, self.name


@pytest.fixture(scope="session")
def hier_candidate(pytestconfig):
    """Return the candidate that --hier-candidate names: from a Case to a mapping of stages."""
    return _candidate(pytestconfig)


@pytest.fixture(scope="session")
def hier_report(pytestconfig):
    """Return the Report of the candidate that --hier-candidate names."""
    return _report(pytestconfig)


CANDIDATE, REPORT = pytest.StashKey(), pytest.StashKey()


def _candidate(config: pytest.Config):
    if CANDIDATE not in config.stash:
        from hier_ref.oracle.adapters import ADAPTERS, CandidateError, load_candidate

        name, adapter = config.getoption("--hier-candidate"), config.getoption("--hier-adapter")
        if adapter not in ADAPTERS:
            raise pytest.UsageError(f"--hier-adapter: expected one of {', '.join(ADAPTERS)}")
        try:
            config.stash[CANDIDATE] = load_candidate(name or "", adapter)
        except (ValueError, CandidateError) as error:
            raise pytest.UsageError(f"--hier-candidate: {error}") from None
    return config.stash[CANDIDATE]


def _report(config: pytest.Config):
    if REPORT not in config.stash:
        from hier_ref.convention import CONVENTIONS
        from hier_ref.oracle import check, load_suite

        declared = CONVENTIONS.get(config.getoption("--hier-convention"))
        if declared is None:
            raise pytest.UsageError(f"--hier-convention: expected one of {', '.join(CONVENTIONS)}")
        known = {entry.case.id: entry for entry in load_suite()}
        asked = config.getoption("--hier-case") or known
        if not known.keys() >= set(asked):
            raise pytest.UsageError(f"--hier-case: expected one of {', '.join(known)}")
        suite = [entry for identity, entry in known.items() if identity in asked]
        name = config.getoption("--hier-candidate")
        report = check(_candidate(config), suite, convention=declared, name=name)
        config.stash[REPORT] = report
    return config.stash[REPORT]
