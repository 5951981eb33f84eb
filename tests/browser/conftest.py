"""One browser for the tests of the page; every page must end without an error or a request."""

import pytest
from chromium import Page, chromium, requests
from pages import planted, write


@pytest.fixture(scope="session")
def driver():
    with chromium() as found:
        yield found


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """tree.html and tree.json of a planted hierarchy: 27 classes in 9 and 3 groups."""
    made = tmp_path_factory.mktemp("page")
    write(made, planted())
    return made


@pytest.fixture
def page(driver, folder):
    found = Page(driver, (folder / "tree.html").as_uri())
    yield found
    assert found.errors() == []
    assert requests(driver) == [found.address]
