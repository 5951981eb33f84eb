"""Import the peers whose own import warns; the suite turns every other warning into an error."""

import warnings

with warnings.catch_warnings():
    # geoopt 0.5.1 compiles a helper with torch.jit.script, which torch has deprecated.
    warnings.simplefilter("ignore", DeprecationWarning)
    import geoopt  # noqa: F401
