# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Exercises of the chapters: a copy of the tree with a fault in it, its mend, and a check that says what is wrong."""
