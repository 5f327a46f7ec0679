# SPDX-License-Identifier: BSD-2-Clause-Patent
"""STM Lab: gets the sources, builds machine and firmware, boots, and shows what an SMI does."""

__version__ = "0.1.0"
