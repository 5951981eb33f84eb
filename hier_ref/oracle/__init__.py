"""The oracle: what a right implementation of HIER answers, and what is wrong with another one."""

from hier_ref.oracle.case import Case, reference

__all__ = ["Case", "reference"]
