"""The oracle: what a right implementation of HIER answers, and what is wrong with another one."""

from hier_ref.oracle.case import Case, reference
from hier_ref.oracle.check import Report, check
from hier_ref.oracle.fingerprint import Explanation, fingerprint
from hier_ref.oracle.suite import load_suite

__all__ = ["Case", "Explanation", "Report", "check", "fingerprint", "load_suite", "reference"]
