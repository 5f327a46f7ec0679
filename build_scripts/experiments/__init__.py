# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Experiments: what ``run EXPERIMENT`` boots, tells, expects and writes down, each in a file of its own.

To add one:

1. Write ``build_scripts/experiments/NAME.py`` with a subclass of `experiment.Experiment`, or of
   `shell_experiment.ShellExperiment` if the machine runs commands of the UEFI Shell. The class states what the
   experiment is (``name``, ``title``, ``page``, ``processors``, ``timeout``), which further options it takes
   (``takes``) and which of the common ones cannot apply to it, with the reason (``refuses``). Its methods are the
   course of a run: ``check`` refuses values before anything is built, ``boot`` boots and reads what was recorded,
   ``failure`` says what stopped the guest short, ``story`` tells a person, ``expectations`` compares, ``facts`` is
   what goes to JSON beside the members that all experiments have.
2. Put an instance into `catalogue.EXPERIMENTS`. ``run --list``, the command line, shell completion and the tests of all
   experiments take it from there.
3. Describe its facts in ``build_scripts/schema/run-2.json``: a definition, and an entry in ``allOf`` that names it.
4. A new option is a field of `experiment.Request`, an entry in `experiment.OPTIONS`, and an argument in ``cli.py``.
5. Write its page in ``docs/``, name it in ``docs/reference/experiments.rst`` and in the table of contents, and test it
   in ``tests/boot/test_experiments.py`` (a Linux one in ``tests/linux``). The unit tests of all experiments
   (``tests/unit/test_experiments.py``) check the declaration, and that on a boot that recorded nothing not one
   expectation holds: an expectation must fail if what it is about did not happen.

An experiment knows machine, builds, observation and Linux; only commands and the command line know experiments.
"""
