# SPDX-License-Identifier: BSD-2-Clause-Patent
"""The command line: arguments in, exit code out. Each command's work is in a module of its own."""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import argcomplete

from build_scripts import __version__, disk
from build_scripts.builds.firmware_build import TARGETS
from build_scripts.commands import (
    arguments,
    bench,
    build,
    bundle,
    compile_commands,
    completion,
    conformance,
    debug,
    doctor,
    fuzz,
    inspect,
    learning,
    matrix,
    merge,
    model,
    run,
    test,
)
from build_scripts.commands.arguments import Commands, add
from build_scripts.conformance import shards
from build_scripts.conformance.rules import SUITES
from build_scripts.errors import ExitCode, LabError
from build_scripts.experiments import catalogue
from build_scripts.experiments.experiment import DEFAULT_EXPERIMENT, OPTIONS, Request
from build_scripts.experiments.kvm import Kvm
from build_scripts.fuzzing.campaign import Effort
from build_scripts.linux import kernel
from build_scripts.processes import Terminated, reader_is_gone, signals_end_the_block
from build_scripts.progress import show_output

Command = Callable[[argparse.Namespace], int]
# A minute or so for all targets.
FUZZ_RUNS = 50_000
# Five seconds.
MODEL_SEQUENCES = 2_000

_DESCRIPTION = """
    STM Lab: an SMI Transfer Monitor that anyone can run, read, change and break.

    The lab gets the pinned sources, builds a QEMU with VMX and the dual-monitor
    treatment of SMIs and a firmware with an STM, boots them, and shows what
    every SMI does. 'stmlab run' is the place to start; 'stmlab COMMAND --help'
    explains a command and gives examples.
"""
_EPILOG = """
    from a checkout: python3 -m build_scripts COMMAND is the same as stmlab COMMAND

    exit codes: 0 done; 2 bad option or file; 3 packages missing; 4 build failed;
    5 guest hung; 6 STM or executive monitor crashed; 7 the run did not show what
    it should; 130 Ctrl-C; 143 SIGTERM
"""
_RUN_DESCRIPTION = """\
Build what is missing, boot, carry out an experiment, tell what was seen, and
compare it with what was expected; the first experiment, first-light, starts the
executive monitor and the STM in the UEFI Shell, raises SMIs, stops again, and
shows each SMI's VMX transitions and instruction counts.
"""


def _test(options: argparse.Namespace) -> int:
    test.test(options.pytest_arguments)


def _run(options: argparse.Namespace) -> int:
    request = Request(
        experiment=options.experiment or DEFAULT_EXPERIMENT,
        json=options.json,
        trace=options.trace,
        script=options.script,
        timeout=options.timeout,
        processors=options.processors,
        verbose=options.verbose,
        configuration=arguments.configuration(options),
        fw_cfg=tuple(options.fw_cfg),
        stm_image=options.stm_image,
        kernel=options.kernel,
        kvm_args=tuple(options.kvm_args.split()),
        kernel_args=tuple(options.kernel_args.split()),
        program=options.program,
        attack=options.attack,
        rst=options.rst,
    )
    if options.list:
        arguments.listed_alone("experiments", [OPTIONS[field] for field in request.given()], options.experiment)
        return run.list_experiments()
    return run.run(request)


def _build(options: argparse.Namespace) -> int:
    if options.verbose:
        show_output()
    return build.build(options.target)


def _compile_commands(options: argparse.Namespace) -> int:
    return compile_commands.run(options.output)


def _conformance(options: argparse.Namespace) -> int:
    if options.merge:
        merge.refuse({"--suite": options.suite, "--shard": options.shard, "--page": options.page})
        return merge.merge(options.files, options.json)
    if options.suite is None:
        raise LabError("which table of rules?", ExitCode.USAGE, remedy=f"--suite {' or --suite '.join(SUITES)}")
    return conformance.conformance(options.suite, options.shard or shards.WHOLE, options.json, options.page)


def _model(options: argparse.Namespace) -> int:
    return model.model(options.sequences, options.seed, options.shard, options.json, options.processors)


def _bench(options: argparse.Namespace) -> int:
    return bench.bench(options.json, options.rst, options.quick, options.exact)


def _fuzz(options: argparse.Namespace) -> int:
    if options.list:
        given = [f"--{name}" for name in ("runs", "calls", "seed", "input", "json") if getattr(options, name)]
        arguments.listed_alone("targets", given, options.targets[0] if options.targets else None)
        return fuzz.list_targets()
    effort = Effort(runs=options.runs or FUZZ_RUNS, calls=options.calls or 0, seed=options.seed)
    return fuzz.fuzz(options.targets, effort, options.json, options.input)


def _debug(options: argparse.Namespace) -> int:
    if options.stm_image is not None:
        raise LabError(
            f"debug has the symbols of this checkout's STM, and none of {options.stm_image}",
            ExitCode.USAGE,
            remedy="a boot without GDB takes it: stmlab run --stm-image FILE",
        )
    return debug.debug(
        debug.Asked(
            options.place, options.name, tuple(options.commands), options.processors or 1, tuple(options.fw_cfg)
        )
    )


def _linux(options: argparse.Namespace) -> int:
    request = Request(
        experiment=Kvm.name,
        timeout=options.timeout,
        kvm_args=tuple(options.kvm_args.split()),
        kernel_args=tuple(options.kernel_args.split()),
        program=options.program,
    )
    return run.run(request)


def _doctor(_options: argparse.Namespace) -> int:
    return doctor.doctor()


def _inspect(options: argparse.Namespace) -> int:
    return inspect.inspect(options.file)


def _completion(options: argparse.Namespace) -> int:
    return completion.completion(options.shell)


def parser() -> argparse.ArgumentParser:
    """The grammar of the command line."""
    root = arguments.Parser(
        prog="stmlab",
        description=textwrap.dedent(_DESCRIPTION).strip(),
        epilog=textwrap.dedent(_EPILOG).strip(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    root.add_argument("--version", action="version", version=f"stmlab {__version__}")
    commands = root.add_subparsers(dest="command", required=True, metavar="COMMAND", title="commands")
    _run_parser(commands)
    _other_boots(commands)
    learning.add_parsers(commands)
    _measurements(commands)
    _tools(commands)
    return root


def _run_parser(commands: Commands) -> None:
    show = add(
        commands,
        "run",
        "carry out an experiment: boot, and show what each SMI does",
        description=_RUN_DESCRIPTION,
        examples="""
            stmlab run                              the first experiment, first-light
            stmlab run --list                       the names of all experiments
            stmlab run --qemu stock                 the same image without VMX
            stmlab run kvm --json kvm.json
            stmlab run --script my.nsh --json my.json
            stmlab run --script my.nsh --fw-cfg opt/org.stmlab/test-handler=1
        """,
    )
    show.add_argument(
        "experiment",
        nargs="?",
        choices=catalogue.NAMES,
        metavar="EXPERIMENT",
        help=f"which one (default: {DEFAULT_EXPERIMENT})",
    )
    show.add_argument("attack", nargs="?", metavar="ATTACK", help="attacks: one of them, told in detail")
    show.add_argument("--list", action="store_true", help="name the experiments and end")
    show.add_argument("--json", type=Path, metavar="FILE", help="write the facts of the run")
    show.add_argument("--trace", type=Path, metavar="FILE", help="write its transitions for ui.perfetto.dev")
    show.add_argument(
        "--script", type=Path, metavar="FILE", help="run these Shell commands instead; end them with 'reset -s'"
    )
    show.add_argument(
        "--timeout", type=arguments.seconds, metavar="SECONDS", help="limit of each boot (default: the experiment's)"
    )
    show.add_argument(
        "-v", "--verbose", action="store_true", help="show each step while the guest runs, and QEMU's command line"
    )
    arguments.machine_options(show, "the experiment's")
    arguments.treatment_options(show, "first-light: ")
    show.add_argument(
        "--kernel",
        choices=tuple(kernel.PINS),
        help=f"linux, linux-standby, linux-mle: which (default: {kernel.DEFAULT})",
    )
    show.add_argument(
        "--rst", type=Path, metavar="FILE", help="attacks: replace the table of this page of the documentation"
    )
    _kvm_options(show)
    show.set_defaults(function=_run)


def _kvm_options(parser: argparse.ArgumentParser) -> None:
    """Options of the experiment kvm."""
    parser.add_argument("--kvm-args", default="", metavar="WORDS", help="kvm: parameters of kvm_intel, such as 'ept=0'")
    parser.add_argument(
        "--kernel-args",
        default="",
        metavar="WORDS",
        help="kvm, linux, linux-standby, linux-mle: further words of the kernel's command line",
    )
    parser.add_argument(
        "--program", type=Path, metavar="FILE", help="kvm: a static program to run instead of the lab's"
    )


def _other_boots(commands: Commands) -> None:
    own = add(
        commands,
        "linux",
        "another name of 'run kvm': the distribution's KVM in the machine",
        description="Boot the distribution's Linux in the machine, load its KVM and run guests in it: 'run kvm'.",
        examples="""
            stmlab linux
            stmlab linux --kvm-args "ept=0"
            stmlab linux --program ./my-static-program
        """,
    )
    _kvm_options(own)
    own.add_argument("--timeout", type=arguments.seconds, metavar="SECONDS", help="limit of the boot")
    own.set_defaults(function=_linux)

    session = add(
        commands,
        "debug",
        "boot under GDB, and stop in the STM or in an SMI handler",
        description="Boot the machine under GDB with the symbols of STM, SMM drivers and executive monitor.",
        examples="""
            stmlab debug                            before the first instruction
            stmlab debug stm                        at the STM's first SMM VM exit
            stmlab debug smi                        where the SMI handler begins
            stmlab debug handler SmmVariableHandler
            stmlab debug stm --ex bt --ex vmx       and end
            stmlab debug stm --processors 2
        """,
    )
    session.add_argument("place", nargs="?", choices=debug.PLACES, metavar="PLACE", help="stm, smi or handler")
    session.add_argument("name", nargs="?", metavar="NAME", help="handler: a function of an SMM driver")
    session.add_argument(
        "--ex",
        dest="commands",
        action="append",
        default=[],
        metavar="COMMAND",
        help="execute a command of GDB there, and end behind the last one; may be repeated",
    )
    arguments.machine_options(session, "1", image=False)
    session.set_defaults(function=_debug)

    suite = commands.add_parser("test", help="run the test suite; the arguments are pytest's", add_help=False)
    suite.add_argument("pytest_arguments", nargs=argparse.REMAINDER, metavar="...", help="go to pytest")
    suite.set_defaults(function=_test)


def _measurements(commands: Commands) -> None:
    rules = add(
        commands,
        "conformance",
        "run the machine's test images and report rule by rule",
        examples="""
            stmlab conformance --suite dual-monitor
            stmlab conformance --suite vmx --shard 1/2 --json 1.json
            stmlab conformance merge 1.json 2.json --json whole.json
        """,
    )
    rules.add_argument("merge", nargs="?", choices=("merge",), help="put results of shares together, also of 'model'")
    rules.add_argument("files", nargs="*", type=Path, metavar="FILE", help="merge: what each share has written")
    rules.add_argument("--suite", choices=SUITES, help="which table of rules")
    rules.add_argument("--shard", type=arguments.shard, metavar="I/N", help="run this share of the images only")
    rules.add_argument("--json", type=Path, metavar="FILE", help="write the status of every rule")
    rules.add_argument("--page", type=Path, metavar="FILE", help="write the page of the documentation")
    rules.set_defaults(function=_conformance)

    program = add(
        commands,
        "model",
        "compare the machine with the rules as a program, on random sequences",
        examples="""
            stmlab model                            some thousand sequences
            stmlab model --sequences 100000 --shard 2/4 --json part-2.json
            stmlab model --seed 4711 --sequences 1
            stmlab model --processors 2
        """,
    )
    program.add_argument(
        "--sequences",
        type=arguments.count,
        default=MODEL_SEQUENCES,
        metavar="N",
        help=f"how many, one a seed (default: {MODEL_SEQUENCES})",
    )
    program.add_argument("--seed", type=arguments.number, default=0, metavar="N", help="the first seed (default: 0)")
    program.add_argument(
        "--shard",
        type=arguments.shard,
        default=shards.WHOLE,
        metavar="I/N",
        help="carry out this share of the seeds only",
    )
    program.add_argument(
        "--processors", type=int, default=1, choices=(1, 2), help="of the machine and of each sequence (default: 1)"
    )
    program.add_argument("--json", type=Path, metavar="FILE", help="write the numbers, and what differs")
    program.set_defaults(function=_model)

    cost = add(commands, "bench", "measure what VMX costs, used and unused", examples="stmlab bench --json bench.json")
    cost.add_argument("--json", type=Path, metavar="FILE", help="write the numbers")
    cost.add_argument("--rst", type=Path, metavar="FILE", help="replace the tables of this page of the documentation")
    cost.add_argument("--exact", action="store_true", help="count what the STM does in an SMI, and measure no time")
    cost.add_argument("--quick", action="store_true", help="a little of everything; the numbers mean nothing")
    cost.set_defaults(function=_bench)

    random = add(
        commands,
        "fuzz",
        "try the STM's pure C with random inputs, under sanitizers",
        description="Fuzz the parts of the STM that compile for the host, with clang, libFuzzer and sanitizers.",
        examples="""
            stmlab fuzz                             every target for a while
            stmlab fuzz --list
            stmlab fuzz api --runs 1000000 --seed 7
            stmlab fuzz api --input crash-0123
            stmlab fuzz --calls 100000000 --json campaign.json
        """,
    )
    random.add_argument("targets", nargs="*", metavar="TARGET", help="which ones (default: all)")
    random.add_argument("--list", action="store_true", help="name the targets and end")
    length = random.add_mutually_exclusive_group()
    length.add_argument(
        "--runs", type=arguments.count, metavar="N", help=f"inputs for each target (default: {FUZZ_RUNS})"
    )
    length.add_argument(
        "--calls", type=arguments.count, metavar="N", help="go on until N calls were made by all targets"
    )
    random.add_argument(
        "--seed", type=int, default=0, metavar="N", help="repeat a run (default: another one each time)"
    )
    random.add_argument("--input", type=Path, metavar="FILE", help="give this input to the target, and nothing else")
    random.add_argument("--json", type=Path, metavar="FILE", help="write the numbers")
    random.set_defaults(function=_fuzz)


def _tools(commands: Commands) -> None:
    machine = add(
        commands,
        "build",
        "build the machine and the firmware and say where they are",
        examples="stmlab build --target RELEASE",
    )
    machine.add_argument("--target", choices=TARGETS, default="DEBUG", help="flavour of the firmware (default: DEBUG)")
    machine.add_argument("-v", "--verbose", action="store_true", help="show what the builds print")
    machine.set_defaults(function=_build)

    editor = add(
        commands,
        "compile-commands",
        "tell an editor's language server how the C code is compiled",
        examples="stmlab compile-commands",
    )
    editor.add_argument("--output", type=Path, metavar="FILE", help="where to (default: the top of the checkout)")
    editor.set_defaults(function=_compile_commands)

    image = add(commands, "inspect", "explain an STM image (MSEG file)", examples="stmlab inspect Stm.mseg")
    image.add_argument("file", type=Path, metavar="FILE", help="such as the Stm.mseg that 'build' names")
    image.set_defaults(function=_inspect)

    matrix.declare(commands)
    bundle.declare(commands)

    check = add(commands, "doctor", "check the environment and name a remedy for each problem")
    check.set_defaults(function=_doctor)

    shell = add(
        commands,
        "completion",
        "print shell code that completes commands and options",
        examples='eval "$(python3 -m build_scripts completion)"',
    )
    shell.add_argument("shell", nargs="?", choices=completion.SHELLS, default="bash", help="the shell (default: bash)")
    shell.set_defaults(function=_completion)


def main(arguments: list[str]) -> int:
    """Run one command.

    Returns:
        An exit code of `errors.ExitCode`; for ``test`` pytest's own.
    """
    grammar = parser()
    # Returns unless a shell asks for completions: then it answers and ends the process.
    argcomplete.autocomplete(grammar)
    # REMAINDER does not take a leading option, so pytest's arguments are split off by hand.
    if arguments[:1] == ["test"]:
        return _test(argparse.Namespace(pytest_arguments=arguments[1:]))
    options = grammar.parse_args(arguments)
    function: Command = options.function
    try:
        with signals_end_the_block():
            code = function(options)
        sys.stdout.flush()
        return code
    except LabError as error:
        print(f"stmlab: {error}", file=sys.stderr)
        return int(error.code)
    except KeyboardInterrupt:
        print("stmlab: interrupted", file=sys.stderr)
        return 130
    except Terminated as signalled:
        print(f"stmlab: ended by {signalled}", file=sys.stderr)
        return signalled.exit_status
    except BrokenPipeError:
        return reader_is_gone()
    except OSError as error:
        found = disk.explained(error)
        if found is None:
            raise
        print(f"stmlab: {found}", file=sys.stderr)
        return int(found.code)
