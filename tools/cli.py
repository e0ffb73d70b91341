"""`tally`: the command line of Tallynet.

Everything a person or a script can do from a terminal is a command here. Errors are one line on
stderr that opens with a stable code; exit codes are those of `tools.output.Exit`, 70 for a fault of
this program and 130 for Ctrl-C.
"""

from __future__ import annotations

import difflib
import os
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from cyclopts import App, CycloptsError, Parameter

from node.web.texts import Language
from tallynet.client.errors import (
    ClientBusy,
    ClientClosed,
    ConnectionLost,
    ForkSeen,
    NotConnected,
    OutcomeUnknown,
    RequestFailed,
    StaleAnswer,
    SubmissionRefused,
)
from tallynet.errors import ERROR_CODES, LedgerError, TallynetError
from tallynet.proofs import ProofRefused
from tools import explanations
from tools.arguments import UsageError
from tools.branch_cli import add_branch_commands
from tools.context_cli import add_context_commands
from tools.document_cli import add_document_commands
from tools.heads_cli import add_heads_command
from tools.ledger_cli import OutputOption, add_ledger_commands
from tools.membership_cli import add_membership_commands
from tools.name_cli import add_name_commands
from tools.organisation_cli import add_organisation_commands
from tools.output import Exit, Output, print_json, print_rows, say, stop
from tools.participant import Refusal
from tools.penetration_cli import add_penetration_commands
from tools.reader_cli import add_reader_commands
from tools.reconciliation_cli import add_reconciliation_commands
from tools.recovery_cli import add_recovery_commands
from tools.sealed_line_cli import add_sealed_line_commands
from tools.sealed_price_cli import add_sealed_price_commands
from tools.show_cli import NotFound, add_show_commands
from tools.testnet_cli import testnet

EXIT_FAULT: Final = 70
"""This program is wrong (sysexits EX_SOFTWARE)."""
EXIT_INTERRUPTED: Final = 130
"""Ended by Ctrl-C, as shells report it."""
EXIT_PIPE: Final = 141
"""The reader of our output went away, as shells report it."""

OVERVIEW: Final = """Receivable vouchers on a network run by banks: issue, pass on, finance, settle.

First steps:

    tally demo                    four banks and a voucher's whole life
    tally testnet init network    a network of your own
    tally testnet up network      start it
    tally voucher issue --help    each command shows options and an example
    tally explain CODE            what a code means and what to do

Commands that act take --as WALLET and --dry-run. All take --network DIR (or
TALLY_NETWORK, default ./network) and --output json; tally context add names
such words once for all. tally test and tally check run the project's own
tests and checks.

Errors are one line on stderr that opens with a code. Exit codes: 0 done,
1 refused, 2 wrong command line, 3 not known yet (ask again), 4 no node
reached, 5 a file or process here, 6 a difference was found.
"""

app = App(
    name="tally",
    help=OVERVIEW,
    help_format="plaintext",
    version="tally 0.1.0",
    result_action="return_value",
)
nouns = add_ledger_commands(app)
add_organisation_commands(app, nouns)
add_branch_commands(nouns)
add_recovery_commands(nouns)
add_document_commands(app, nouns)
add_name_commands(nouns)
add_reader_commands(nouns)
add_sealed_price_commands(nouns)
add_sealed_line_commands(nouns)
add_show_commands(app, nouns)
add_penetration_commands(nouns)
add_reconciliation_commands(nouns)
add_heads_command(app)
app.command(testnet)
node = App(name="node", help="One node, validator or observer")
app.command(node)
add_membership_commands(nouns, testnet, node)
app.register_install_completion_command(
    help="Let the shell complete commands and options (bash, zsh, fish)."
)
add_context_commands(app)

LATER: Final[dict[str, str]] = {
    "bank": "bank.cli:bank", "chaos": "chaos.cli:chaos", "debug": "debug_cli:debug", "doctor": "doctor.cli:doctor",
    "evidence": "evidence_cli:evidence", "explore": "explorer.cli:explore", "forensics": "evidence_cli:forensics",
    "light": "light_cli:light", "model": "model.cli:model", "proof": "proof_cli:proof_app", "scenario": "scenarios.cli:scenario",
    "simulate": "simulator.cli:simulate", "twins": "explorer.cli:twins", "verify": "proof_cli:verify",
}  # fmt: skip
"""Imported when they are called: they bring a whole node, or a simulator of one, along, which takes a second."""
for name, place in LATER.items():
    app.command(f"tools.{place}", name=name)
node.command("tools.doctor.cli:check_config", name="check-config")


@app.command
def demo(
    *,
    script_only: Annotated[
        bool,
        Parameter(name="--script-only", negative=(), help="plain lines, for pipes and records"),
    ] = False,
    keep: Annotated[
        Path | None, Parameter(name="--keep", help="make the network here and leave it")
    ] = None,
    invoices: Annotated[
        Path | None, Parameter(name="--invoices", help="directory of your own invoice files")
    ] = None,
    pages: Annotated[
        bool,
        Parameter(
            name="--pages", negative=(), help="then let people act in its web pages, until Ctrl-C"
        ),
    ] = False,
) -> None:
    """Four banks on this machine, a voucher's whole life, and a leader that is killed on the way.

    At a terminal it ends by showing the story in web pages, until Ctrl-C.

    For example:

        tally demo
        tally demo --pages
    """
    from tools.demo import run_demo

    leave(run_demo(script_only=script_only, keep=keep, invoices=invoices, pages=pages))


@app.command
def audit(*directories: Path, output: OutputOption = Output.table) -> None:
    """Re-execute the whole chain from the files of one or more stopped nodes and compare.

    Of a node that began with a fetched state, or keeps no old blocks, what it has is checked against its
    certificates instead.

    For example:

        tally audit network

    Parameters
    ----------
    directories
        Node directories, or network directories, whose nodes are all audited.
    """
    from tools.audit_nodes import run_audit

    if not directories:
        raise UsageError("USAGE", "name at least one directory: tally audit network")
    leave(run_audit(directories, output=output))


@app.command
def bench(
    *,
    validators: Annotated[int, Parameter(help="voting nodes")] = 4,
    batch: Annotated[int, Parameter(help="commands per envelope")] = 1,
    seconds: Annotated[int, Parameter(help="how long to measure")] = 10,
    lots: Annotated[int, Parameter(help="live lots in the state, made first; 0: a few")] = 0,
    json_file: Annotated[
        Path | None, Parameter(name="--json", help="write the figures to this file")
    ] = None,
    workload: Annotated[
        str, Parameter(help="transfers, or mixed: everything that a region does in a day")
    ] = "transfers",
    reads: Annotated[
        bool, Parameter(name="--reads", negative=(), help="proofs served and checked instead")
    ] = False,
    budget: Annotated[
        bool, Parameter(negative="", help="profile a validator: microseconds by stage")
    ] = False,
    suite: Annotated[
        bool, Parameter(negative="", help="every published figure, with its goal; part by part")
    ] = False,
    only: Annotated[str, Parameter(help="of the suite: these parts, separated by commas")] = "",
    runs: Annotated[int, Parameter(help="of the suite: medians of so many")] = 5,
    write_docs: Annotated[
        bool, Parameter(negative="", help="of the suite: write docs/performance.md and .svg")
    ] = False,
) -> None:
    """Measure throughput and latency of real nodes on this machine.

    For example:

        tally bench --seconds 30
        tally bench --batch 100
        tally bench --budget            # where the time goes
        tally bench --lots 5000000      # takes long to prepare, with a progress bar
        tally bench --reads             # proofs per second of one core, and their sizes
        tally bench --suite --json suite.json           # goes on where it was interrupted
        tally bench --suite --only idle,envelopes --runs 1
    """
    from tools.figures import commit

    if suite:
        from tools.bench_suite import run_suite

        leave(
            run_suite(
                runs=runs, only=only, json_file=json_file, commit=commit(), write_docs=write_docs
            )
        )
        return
    from tools.bench import run_bench

    leave(
        run_bench(
            validators=validators,
            batch=batch,
            seconds=seconds,
            lots=lots,
            json_file=json_file,
            commit=commit(),
            workload="reads" if reads else workload,
            budget=budget,
        )
    )


def leave(code: int | None) -> None:
    """Leave with the exit code that a command computed."""
    if code:
        raise SystemExit(int(code))


@app.command
def explain(
    code: str, *, language: Language = Language.EN, output: OutputOption = Output.table
) -> None:
    """Say what a code means and what to do about it, in English or in Chinese.

    For example:

        tally explain LINE_EXCEEDED
        tally explain LINE_EXCEEDED --language zh

    Parameters
    ----------
    code
        A code from a receipt or an error line, e.g. LINE_EXCEEDED.
    language
        Of the explanation: en, or zh for Chinese. The code stays as it is.
    """
    wanted = code.upper()
    meaning = explanations.explain(wanted, language)
    if not meaning:
        near = difflib.get_close_matches(wanted, explanations.EXPLANATIONS, 3)
        hint = f"; did you mean {', '.join(near)}?" if near else ""
        raise UsageError("USAGE", f"there is no code {code!r}{hint}")
    family = next((name for name, codes in ERROR_CODES.items() if wanted in codes), "")
    if output is Output.json:
        print_json({"code": wanted, "family": family, "meaning": meaning})
        return
    place = f" ({family.lower()})" if family else ""
    say(f"{wanted}{place}: {meaning}")


@app.command
def rules(
    *,
    output: OutputOption = Output.table,
) -> None:
    """The voucher law as this program executes it: each command, who signs, what may be refused.

    For example:

        tally rules --output json
    """
    found = rule_table()
    if output is Output.json:
        print_json(found)
        return
    rows = [
        (
            rule["name"],
            rule["sentence"],
            ("+".join(rule["signers"]) or "any live key") + (" or API" if rule["api"] else ""),
            rule["joint"],
            ", ".join(rule["errors"]) or "-",
        )
        for rule in found
    ]
    print_rows("", ("command", "what it does", "signers", "acts", "specific refusals"), rows)


def rule_table() -> list[dict[str, Any]]:
    """Every rule of the rulebook as plain values, by name."""
    import_module("node.ledger.execute")  # registers every rule
    from node.ledger.rulebook import RULES

    return [
        {
            "name": rule.name,
            "class": rule.command_class.name,
            "sentence": rule.sentence,
            "signers": [role.name for role in rule.signers.roles],
            "persons": rule.signers.persons,
            "api": rule.api,
            "joint": rule.joint.value,
            "errors": list(rule.errors),
        }
        for rule in sorted(RULES.values(), key=lambda rule: rule.name)
    ]


@node.command
def run(
    directory: Path,
    *,
    role: Annotated[Literal["validator", "observer"] | None, Parameter(name="--role")] = None,
) -> None:
    """Run one node in the foreground, logging JSON lines; end it with Ctrl-C or SIGTERM.

    For example:

        tally node run network/bank-1
        tally node run network/observer-1 --role observer

    Parameters
    ----------
    directory
        The node's directory with node.toml, genesis.json and node.key.
    role
        Instead of the role in node.toml. An observer follows the nodes listed there and never votes.
    """
    arguments = ["--role", role] if role is not None else []
    os.execv(sys.executable, [sys.executable, "-m", "node.run", str(directory), *arguments])


# --- errors -------------------------------------------------------------------------------------

EXITS: Final[tuple[tuple[type[TallynetError], Exit], ...]] = (
    (UsageError, Exit.USAGE),
    (OutcomeUnknown, Exit.UNKNOWN),
    (ForkSeen, Exit.DIFFERENCE),
    (NotConnected, Exit.UNREACHABLE),
    (ConnectionLost, Exit.UNREACHABLE),
    (StaleAnswer, Exit.UNREACHABLE),
    (ClientBusy, Exit.UNREACHABLE),
    (ClientClosed, Exit.UNREACHABLE),
    (SubmissionRefused, Exit.REFUSED),
    (RequestFailed, Exit.REFUSED),
    (Refusal, Exit.REFUSED),
    (NotFound, Exit.REFUSED),
    (LedgerError, Exit.REFUSED),
    (ProofRefused, Exit.REFUSED),
)
"""First match counts; every other TallynetError is about files and processes here."""


def exit_of(error: TallynetError) -> Exit:
    """The exit code of an error."""
    for kind, code in EXITS:
        if isinstance(error, kind):
            return code
    return Exit.ENVIRONMENT


def advice(error: TallynetError) -> str:
    """The error's text and what to do, unless the text says it already."""
    remedy = explanations.explain(error.code)
    said = (
        not remedy
        or isinstance(error, UsageError)
        or remedy.rstrip(".").lower() in (error.message.lower())
    )
    return error.message if said else f"{error.message} -- {remedy}"


def cause(error: BaseException) -> BaseException:
    """The one error inside nested groups; the group itself when there are several."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    if isinstance(error, BaseExceptionGroup):
        interrupts = error.subgroup(KeyboardInterrupt)
        if interrupts is not None:
            return KeyboardInterrupt()
    return error


def report(error: BaseException) -> int:
    """Tell the user about an error; returns the exit code."""
    error = cause(error)
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    if isinstance(error, KeyboardInterrupt):
        sys.stderr.write("interrupted\n")
        return EXIT_INTERRUPTED
    if isinstance(error, BrokenPipeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_PIPE
    try:
        if isinstance(error, CycloptsError):
            stop(Exit.USAGE, "USAGE", usage_text(error))
        if isinstance(error, TallynetError):
            stop(exit_of(error), error.code, advice(error))
        if isinstance(error, OSError) and error.filename is not None:
            text = f"{error.filename}: {error.strerror}"
            stop(Exit.ENVIRONMENT, "FILE_UNUSABLE", text)
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else EXIT_FAULT
    traceback.print_exception(error)
    sys.stderr.write("this is a fault of tally itself; please report the lines above\n")
    return EXIT_FAULT


def usage_text(error: CycloptsError) -> str:
    """What is wrong with the command line, and where help is."""
    command = " ".join(["tally", *(error.command_chain or ())])
    return f"{' '.join(str(error).split())}  See: {command} --help"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line; returns the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in app.help_flags:
        for name in LATER:
            app[name]  # the overview says what each of them is for
    if words[:1] == ["node"]:
        node["check-config"]
    try:
        app(words, exit_on_error=False, print_error=False)
        sys.stdout.flush()
    except BaseException as error:  # noqa: BLE001 - the last handler: every error becomes a code
        return report(error)
    return int(Exit.OK)


if __name__ == "__main__":
    raise SystemExit(main())
