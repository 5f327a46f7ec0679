# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Tests of the STM's pure C code, compiled for the host."""
