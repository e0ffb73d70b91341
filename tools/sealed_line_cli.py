"""`tally line grant-sealed|change-sealed|open|check`: limits that only grantor and obligor know.

A use is counted in by `tally financing quote`, `quote-sealed`, `rediscount-accept` and `tally prepayment fund`, in
the envelope of the act itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Final

import trio
from cyclopts import App, Parameter

from tallynet.commands import LineChangeSealed, LineGrantSealed
from tallynet.proofs import RecordFact, verify_proof
from tallynet.records import CreditLine, Kind, LineKind, SealedLine
from tallynet.sealed_line import (
    OpenedState,
    commitment,
    exceeding,
    granted,
    is_whole,
    require_committed,
    restated,
)
from tools.arguments import UsageError, format_amount, format_day, parse_amount, parse_day
from tools.connect import asking
from tools.kept_documents import read_file
from tools.kept_lines import (
    keep_state,
    kept_history,
    kept_state,
    load_states,
    new_salt,
    read_sealed,
    sealed_of,
    write_states,
)
from tools.ledger_cli import DEFAULT_NETWORK, AsOption, Common, NetworkOption, OutputOption, execute
from tools.organisation_cli import DryRunOption, SignAsOption, one_of
from tools.output import Exit, Output, print_json, print_rows, stop
from tools.participant import new_label
from tools.records_by_name import AddressBook, line_id
from tools.show_cli import name_of
from tools.testnet_files import GENESIS_FILE
from tools.wallet import load_wallet

NOT_CHANGED: Final = ""
LineOption = Annotated[
    str, Parameter(name="--line", help="KIND:GRANTOR:OBLIGOR[:CURRENCY], e.g. borrower:bank-2:shop")
]


def grant_sealed(
    *,
    as_: AsOption,
    kind: Annotated[str, Parameter(name="--kind", help="debtor-exposure or borrower")],
    obligor: Annotated[str, Parameter(name="--obligor", help="on whom")],
    granted_: Annotated[str, Parameter(name="--granted", help="limit")],
    valid_from: Annotated[str, Parameter(name="--valid-from", help="first day, YYYY-MM-DD")],
    valid_to: Annotated[str, Parameter(name="--valid-to", help="last day, YYYY-MM-DD")],
    used: Annotated[str, Parameter(name="--used", help="what is outstanding already")] = "0",
    currency: Annotated[str, Parameter(name="--currency", help="ISO 4217")] = "CNY",
    network: NetworkOption = DEFAULT_NETWORK,
    sign_as: SignAsOption = "",
    dry_run: DryRunOption = False,
    output: OutputOption = Output.table,
) -> None:
    """Grant a credit line whose limit and use the chain does not learn; the wallet keeps them.

    It is used by quotes, never by draws on standing offers.

    For example:

        tally line grant-sealed --as bank-2 --kind debtor-exposure --obligor harbour-tours
            --granted 800000.00 --valid-from 2027-03-15 --valid-to 2028-03-14
    """
    book, wallet = AddressBook(network), load_wallet(network, as_)
    chosen, on = one_of(LineKind, kind), book.organisation(obligor)
    line = line_id(chosen, wallet.id, on, currency)
    opened = granted(
        line, parse_amount(granted_, currency), parse_amount(used, currency), new_salt()
    )
    if not dry_run:
        keep_state(network, wallet, opened)
    command = LineGrantSealed(
        new_label(), chosen, on, currency, commitment(opened), parse_day(valid_from),
        parse_day(valid_to),
    )  # fmt: skip
    execute(Common(network, as_, "", sign_as, dry_run, output), command)


def change_sealed(
    *,
    as_: AsOption,
    line: LineOption,
    granted_: Annotated[str, Parameter(name="--granted", help="new limit")] = NOT_CHANGED,
    released: Annotated[
        str, Parameter(name="--released", help="use that has ended: paid, repaid, lapsed")
    ] = NOT_CHANGED,
    used: Annotated[str, Parameter(name="--used", help="use in all, instead")] = NOT_CHANGED,
    valid_from: Annotated[str, Parameter(name="--valid-from", help="new first day")] = NOT_CHANGED,
    valid_to: Annotated[str, Parameter(name="--valid-to", help="new last day")] = NOT_CHANGED,
    network: NetworkOption = DEFAULT_NETWORK,
    sign_as: SignAsOption = "",
    dry_run: DryRunOption = False,
    output: OutputOption = Output.table,
) -> None:
    """Commit to another limit of a sealed line, to use that has ended, or to other dates.

    A limit below the use is possible: what was used stands, new use stops. Without a change
    it commits to the same numbers again, which nobody can tell from another change.

    For example:

        tally line change-sealed --as bank-2 --line debtor-exposure:bank-2:harbour-tours
            --released 90000.00
    """
    if used and released:
        raise UsageError("USAGE", "give --used or --released")
    wallet, id = load_wallet(network, as_), AddressBook(network).line(line)
    record, sealed = trio.run(partial(_read, network, as_, id))
    before = kept_state(network, wallet, sealed.commitment)
    in_use = before.state.used
    if used:
        in_use = parse_amount(used, record.currency)
    elif released:
        in_use -= parse_amount(released, record.currency)
    if in_use < 0:
        raise UsageError("AMOUNT_RANGE", f"{format_amount(before.state.used)} is in use")
    limit = parse_amount(granted_, record.currency) if granted_ else before.state.granted
    after = restated(before, limit, in_use, new_salt())
    if not dry_run:
        keep_state(network, wallet, after)
    command = LineChangeSealed(
        new_label(), id, after.state.sequence, commitment(after),
        parse_day(valid_from) if valid_from else record.valid_from,
        parse_day(valid_to) if valid_to else record.valid_to,
    )  # fmt: skip
    execute(Common(network, as_, "", sign_as, dry_run, output), command)


async def _read(network: Path, acting: str, line: bytes) -> tuple[CreditLine, SealedLine]:
    async with asking(network, acting=acting) as client:
        return await read_sealed(client, line)


# --- opening and checking -------------------------------------------------------------------------


def open_line(
    *,
    as_: AsOption,
    line: LineOption,
    out: Annotated[
        Path | None, Parameter(name="--out", help="file for the obligor or an auditor")
    ] = None,
    history: Annotated[
        bool, Parameter(name="--history", negative=(), help="all states since the grant")
    ] = False,
    network: NetworkOption = DEFAULT_NETWORK,
    output: OutputOption = Output.table,
) -> None:
    """Show a sealed line as its grantor; write what opens it for whoever may know.

    The obligor needs the newest state; an auditor, who is to say that no use exceeded the
    limit, all of them. Hand the file over as you would a letter: who has it knows.

    For example:

        tally line open --as bank-2 --line debtor-exposure:bank-2:harbour-tours --out line.json

        tally line open --as bank-2 --line debtor-exposure:bank-2:harbour-tours --history
            --out audit.json
    """
    wallet, id = load_wallet(network, as_), AddressBook(network).line(line)
    record, sealed = trio.run(partial(_read, network, as_, id))
    states = (
        kept_history(network, wallet, sealed.commitment)
        if history
        else [kept_state(network, wallet, sealed.commitment)]
    )
    require_committed(states, id, sealed)
    if out is not None:
        write_states(out, states)
    _show(network, record, states, output)


def check_line(
    file: Path,
    *,
    proof: Annotated[
        Path | None, Parameter(name="--proof", help="proof file of the line, instead of the nodes")
    ] = None,
    genesis: Annotated[
        Path | None, Parameter(name="--genesis", help="with --proof; default: the network's")
    ] = None,
    as_: Annotated[str, Parameter(name="--as", help="who asks the nodes: a wallet's name")] = "",
    network: NetworkOption = DEFAULT_NETWORK,
    output: OutputOption = Output.table,
) -> None:
    """Check an opened line against the chain: the file is what the grantor committed to, now.

    With all states since the grant it also says whether any use exceeded the limit, which the chain
    cannot. It says how much it was shown: what came before that, only the grantor knows.

    For example:

        tally line check line.json --as harbour-tours

        tally proof record line debtor-exposure:bank-2:harbour-tours --as bank-2 --out line.proof
        tally line check audit.json --proof line.proof --genesis genesis.json

    Parameters
    ----------
    file
        What `tally line open --out` wrote.
    """
    states = load_states(file)
    if not states:
        raise UsageError("FILE_INVALID", f"{file} holds no state")
    id = states[-1].state.line
    if proof is None:
        record, sealed = trio.run(partial(_read, network, as_, id))
    else:
        record, sealed = _proven(proof, genesis or network / GENESIS_FILE, id)
    require_committed(states, id, sealed)
    _show(network, record, states, output)
    beyond = exceeding(states)
    if beyond:
        numbers = ", ".join(str(state.sequence) for state in beyond)
        stop(Exit.DIFFERENCE, "LINE_EXCEEDED", f"the grantor used more than it granted: {numbers}")


def _proven(proof: Path, genesis: Path, line: bytes) -> tuple[CreditLine, SealedLine]:
    """Without a network. Raises ProofRefused, UsageError."""
    fact = verify_proof(read_file(proof), read_file(genesis)).fact
    if not isinstance(fact, RecordFact) or (fact.kind, fact.id) != (Kind.CREDIT_LINE, line):
        raise UsageError("USAGE", f"{proof} proves something else than line {line.hex()}")
    return sealed_of(fact.record, line)


def _show(network: Path, record: CreditLine, states: Sequence[OpenedState], output: Output) -> None:
    shown = [_figures(opened, record.currency) for opened in states]
    names = AddressBook(network).names()
    title = (
        f"{record.kind.name} of {name_of(record.grantor, names)} on {name_of(record.obligor, names)},"
        f" {record.status.name}, {format_day(record.valid_from)} to {format_day(record.valid_to)};"
        + (" all states" if is_whole(states) else " not all states")
    )
    if output is Output.json:
        print_json(
            {
                "line": states[-1].state.line.hex(),
                "title": title,
                "all": is_whole(states),
                "states": shown,
            }
        )
    else:
        rows = [tuple(one.values()) for one in shown]
        print_rows(title, ("state", "granted", "used", "room", "counts in"), rows)


def _figures(opened: OpenedState, currency: str) -> dict[str, str]:
    state = opened.state
    return {
        "sequence": str(state.sequence),
        "granted": format_amount(state.granted, currency),
        "used": format_amount(state.used, currency),
        "room": format_amount(max(0, state.granted - state.used), currency),
        "use": "-" if state.use is None else state.use.hex(),
    }


def add_sealed_line_commands(nouns: dict[str, App]) -> None:
    """Add the commands of this module."""
    nouns["line"].command(grant_sealed, name="grant-sealed")
    nouns["line"].command(change_sealed, name="change-sealed")
    nouns["line"].command(open_line, name="open")
    nouns["line"].command(check_line, name="check")
