# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Programs without firmware, of a page or two: what the chapters show is all there is on the machine."""
