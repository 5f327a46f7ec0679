# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Pictures of a run, made from its stream of records and of nothing else."""
