"""The oracle: what a right implementation of HIER answers, and what is wrong with another one."""

import sys

try:
    from hier_ref.oracle.case import Case, reference
    from hier_ref.oracle.check import Report, check
    from hier_ref.oracle.fingerprint import Explanation, fingerprint
    from hier_ref.oracle.suite import load_suite
except KeyboardInterrupt:
    if sys.argv[:1] != ["-m"]:
        raise
    sys.exit(130)  # `python -m hier_ref.oracle`, interrupted before its own code runs

__all__ = ["Case", "Explanation", "Report", "check", "fingerprint", "load_suite", "reference"]
