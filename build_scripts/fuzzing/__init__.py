# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Fuzz targets for the STM's pure C: built as OSS-Fuzz and ClusterFuzzLite build them, and run."""
