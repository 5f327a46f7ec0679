# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Bundles: a finished lab as one file. The file's form, what one has brought, and the environment that it carries.

Standard library only: a bundle brings the packages that the lab needs.
"""
