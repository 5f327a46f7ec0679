# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The bare-metal images: built, run, and judged rule by rule. Images and rules are data of the tests."""
