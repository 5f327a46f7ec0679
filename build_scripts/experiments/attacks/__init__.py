# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The attacks of ``run attacks``, a file each. Whatever lies here takes part; no list names it.

To add one, write ``build_scripts/experiments/attacks/my_attack.py``, whose ``ATTACK`` is an `attack.Attack`. Its name
is that of the file, with hyphens. ``docs/reference/attacks.rst`` lists the steps of which attacks are made.
"""
