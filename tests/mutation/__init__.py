# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Small faults, each made in a copy of the tree: the tests that should notice it must fail."""
