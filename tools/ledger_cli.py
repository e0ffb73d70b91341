"""`tally NOUN VERB` for every command of the ledger, made from the command table.

Each function reads its options, signs with the wallet's people, sends, and prints the certified
receipt. `--dry-run` asks a node what would happen instead, without ordering anything.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import trio
from cyclopts import App, Parameter

from tallynet.codec import Wire
from tallynet.commands import command_name
from tallynet.plain import to_plain
from tallynet.receipts import EnvelopeReceipt
from tallynet.records import Kind, Role
from tools.arguments import UsageError
from tools.command_table import COMMANDS, CommandEntry, Reading, organisation
from tools.completers import wallet_names
from tools.connect import connect, genesis_of
from tools.explanations import explain
from tools.kept_lines import with_uses
from tools.output import ERRORS, Exit, Output, print_json, print_rows, stop, working
from tools.participant import Outcome, Participant, new_label
from tools.records_by_name import AddressBook, label_bytes
from tools.wallet import Person

NOUNS: Final = {
    "account": "Bank accounts of organisations",
    "backstop": "Pools of banks that lend when a debtor is in distress",
    "branch": "Branches of an enterprise",
    "calendar": "Working days",
    "consent": "Joint acts",
    "debtor": "What hangs on a debtor",
    "dispute": "Disputed ranges of a voucher",
    "distress": "Difficulties of a debtor, or of regions and industries",
    "document": "Trade documents: sealed here, known to the network by commitments",
    "fee": "Platform fees",
    "financing": "Draws, pay-outs and repayments",
    "freeze": "Orders of courts and regulators",
    "guarantee": "Guarantees of vouchers, debtors and programmes",
    "flow": "Anchored totals of business records",
    "fund": "Fund pools: an enterprise funds through an agent bank",
    "instruction": "Payment instructions",
    "issuer": "Blocks of a debtor's new issue",
    "key": "Keys of an organisation's people",
    "line": "Credit lines",
    "lot": "Parts of a voucher: pass on, accept, decline, recall, flag, merge",
    "offer": "Standing offers of funders",
    "organisation": "Organisations",
    "parameter": "Network parameters",
    "position": "What is owed to an organisation",
    "prepayment": "Money for a maker before its goods are shipped",
    "programme": "Programmes: a core's rules for its chain",
    "reconciliation": "What debtors owed at the end of each day, attested by banks",
    "recovery": "New keys for an organisation that lost its own",
    "settlement": "From maturity to money",
    "validator": "Who votes on blocks",
    "waiver": "Waivers of platform fees",
    "voucher": "Vouchers: issue, claim, reject, withdraw, cancel, reduce, extend",
    "warehouse": "Goods in store: receipts, pledges, releases",
}

NETWORK_VARIABLE: Final = "TALLY_NETWORK"
NetworkOption = Annotated[
    Path,
    Parameter(name="--network", help="network directory", env_var=NETWORK_VARIABLE),
]
AsOption = Annotated[
    str,
    Parameter(name="--as", help="acting organisation: a wallet's name", completer=wallet_names),
]
OutputOption = Annotated[Output, Parameter(name="--output", help="table or json")]
DEFAULT_NETWORK: Final = Path("network")


@dataclass(frozen=True, slots=True)
class Common:
    """Options of every ledger command."""

    network: Path
    acting: str
    label: str
    sign_as: str
    dry_run: bool
    output: Output


_COMMON: Final = (
    ("as_", AsOption, inspect.Parameter.empty),
    ("network", NetworkOption, DEFAULT_NETWORK),
    (
        "label",
        Annotated[str, Parameter(name="--label", help="name of what is created; default: random")],
        "",
    ),
    (
        "sign_as",
        Annotated[
            str,
            Parameter(
                name="--sign-as",
                help="PERSON:ROLE,... who signs; default: who the policy asks for",
            ),
        ],
        "",
    ),
    (
        "dry_run",
        Annotated[
            bool,
            Parameter(name="--dry-run", negative=(), help="ask what would happen, order nothing"),
        ],
        False,
    ),
    ("output", OutputOption, Output.table),
)


def _parameters(entry: CommandEntry) -> list[inspect.Parameter]:
    """The options of one command as function parameters for cyclopts."""
    found = []
    for name, option in entry.options.items():
        kind: Any = list[str] if option.many else str
        parameter = Parameter(
            name="--" + name.replace("_", "-"),
            help=option.help,
            negative=(),
            show_default=True,
            completer=wallet_names if option.read is organisation else None,
        )
        default: Any = option.default if option.default is not None else inspect.Parameter.empty
        if option.many and name in _OPTIONAL_LISTS:
            default = None
            kind = list[str] | None
        found.append((name, Annotated[kind, parameter], default))
    return [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=kind, default=default)
        for name, kind, default in (*found, *_COMMON)
    ]


_OPTIONAL_LISTS: Final = frozenset(
    {"funding_order", "policy_minimum", "debtors", "programmes", "parts", "seasonal"}
)


def make_command(entry: CommandEntry) -> Callable[..., None]:
    """The function behind one `tally NOUN VERB`."""

    def run(**given: Any) -> None:
        common = Common(
            given.pop("network", DEFAULT_NETWORK),
            given.pop("as_"),
            given.pop("label", ""),
            given.pop("sign_as", ""),
            given.pop("dry_run", False),
            given.pop("output", Output.table),
        )
        book = AddressBook(common.network)
        reading = Reading(book, book.organisation(common.acting), given.get("currency") or "CNY")
        execute(common, build(entry, reading, common.label, given))

    parameters = _parameters(entry)
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    run.__name__ = command_name(entry.command).replace(".", "_")
    run.__doc__ = f"{entry.sentence}\n\nFor example:\n\n    {entry.example}\n"
    return run


def build(entry: CommandEntry, reading: Reading, label: str, given: dict[str, Any]) -> Wire:
    """The command that the option texts describe. Raises UsageError."""
    values: dict[str, Any] = {}
    for name, option in entry.options.items():
        text = given.get(name, option.default)
        if option.many:
            if text is None and name not in _OPTIONAL_LISTS:
                raise _missing(name)
            values[name] = tuple(option.read(reading, item) for item in text or ())
        elif text is None:
            raise _missing(name)
        else:
            values[name] = option.read(reading, text)
    fields = entry.build(values)
    return entry.command(label=label_bytes(label) if label else new_label(), **fields)


def _missing(option: str) -> UsageError:
    return UsageError("USAGE", f"--{option.replace('_', '-')} is missing")


def _chosen_signers(participant: Participant, text: str) -> Sequence[tuple[Person, Role]] | None:
    """`maker:maker,checker:checker` as people of the wallet, or None for the default."""
    if not text:
        return None
    people = {person.name: person for person in participant.wallet.people}
    chosen = []
    for part in text.split(","):
        name, _, role = part.partition(":")
        if name not in people or role.upper() not in Role.__members__:
            raise UsageError(
                "USAGE", f"--sign-as {part!r}: write PERSON:ROLE; people: {', '.join(people)}"
            )
        chosen.append((people[name], Role[role.upper()]))
    return chosen


def execute(common: Common, *commands: Wire) -> None:
    """Sign and send, or dry-run; print; exit with the code of the result. What the commands use of the acting
    organisation's sealed lines is counted in first."""
    trio.run(_execute, common, commands)


async def _execute(common: Common, commands: Sequence[Wire]) -> None:
    async with connect(common.network, acting=common.acting) as client:
        participant = Participant(
            common.network, common.acting, client, genesis_of(common.network)[1]
        )
        signers = _chosen_signers(participant, common.sign_as)
        commands = await with_uses(
            client, common.network, participant.wallet, commands, keep=not common.dry_run
        )
        envelope = participant.envelope(commands, signers=signers)
        if common.dry_run:
            result = await client.dry_run(envelope.body)
            receipt = result.receipt
            _show(common, None, receipt, result.reasons)
        else:
            try:
                with working("waiting for the certified receipt"):
                    outcome = await participant.submit(envelope)
            except KeyboardInterrupt:
                id = envelope.transaction.hex()
                ERRORS.print(f"sent, outcome unknown; ask with: tally transaction {id}")
                raise
            receipt = outcome.receipt
            _show(common, outcome, receipt, ())
    codes = [receipt.code, *(command.code for command in receipt.commands)]
    for code in codes:
        if code != "OK":
            stop(Exit.REFUSED, code, explain(code) or "not known to this program")


def _show(
    common: Common, outcome: Outcome | None, receipt: EnvelopeReceipt, reasons: Sequence[str]
) -> None:
    if common.output is Output.json:
        head: dict[str, Any] = {"dry_run": outcome is None}
        if outcome is not None:
            head |= {"height": outcome.height, "seconds": round(outcome.seconds, 6)}
        print_json(head | to_plain(receipt) | {"reasons": list(reasons)})
        return
    rows = []
    for index, command in enumerate(receipt.commands):
        created = "\n".join(f"{Kind(c.kind).name} {c.id.hex()}" for c in command.created)
        result = ", ".join(str(number) for number in command.result)
        reason = reasons[index] if index < len(reasons) else ""
        rows.append((str(index), command.code, created or "-", result or "-", reason))
    title = f"transaction {receipt.transaction.hex()}"
    if outcome is None:
        title = "dry run: nothing was ordered"
    else:
        title += f", block {outcome.height}, {outcome.seconds * 1000:.1f} ms"
    print_rows(title, ("#", "code", "created", "result", "reason"), rows)


def add_ledger_commands(app: App) -> dict[str, App]:
    """Add a sub-app per noun to `app`; returns them for commands with modules of their own."""
    nouns: dict[str, App] = {}
    for noun, help_text in sorted(NOUNS.items()):
        nouns[noun] = App(name=noun, help=help_text)
        app.command(nouns[noun])
    for words, entry in COMMANDS.items():
        noun, verb = words.split(" ")
        nouns[noun].command(make_command(entry), name=verb)
    return nouns


__all__ = [
    "AsOption",
    "Common",
    "NetworkOption",
    "OutputOption",
    "add_ledger_commands",
    "build",
    "execute",
    "make_command",
]
