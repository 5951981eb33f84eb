"""HIER written out: hierarchical regularisation for metric learning in the Poincaré ball.

Read in this order, each with its chapter in ``docs/``: ``poincare`` (1), ``pairwise`` (2),
``triplets`` (3), ``levels`` and ``hier`` (4), ``losses/`` (5, 9), ``training/`` (6),
``retrieval/`` (7), ``features/`` (8), ``baselines/`` (18); then ``convention`` and ``released/``
(10), ``tree/`` (12), ``oracle/`` (13) and ``draw/`` (16). ``runs/`` is a run on disk; ``train``
and ``evaluate`` are the commands.
"""

from hier_ref.interrupts import end_silently

__version__ = "0.1.0"

end_silently()  # the imports of a command come next
