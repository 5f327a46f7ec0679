# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Fixtures that several files of unit tests share."""

from tests.support.bundles import bundle, teacher

# What pytest finds here and asks for.
__all__ = ["bundle", "teacher"]
