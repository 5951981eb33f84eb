"""HIER written out: hierarchical regularisation for metric learning in the Poincaré ball.

Read the modules in this order, each with the chapter of the same number in ``docs/``:
``poincare`` (1), ``pairwise`` (2), ``triplets`` (3), ``hier`` (4), ``losses`` (5, 9),
``head``, ``optim``, ``sampler`` and ``train`` (6), ``retrieval`` (7), ``features`` (8).
"""

__version__ = "0.1.0"
