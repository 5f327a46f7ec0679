# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Puts a finished lab into a bundle, and takes it into a cache."""
