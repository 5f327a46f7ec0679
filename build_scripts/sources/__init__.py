# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The pinned external sources, and the distribution's package client that may bring them."""
