"""The reference pages that are made from code: commands, errors, glossary, metrics, openapi.json, planted bugs of docs/reference.

`python -m tools.reference_pages` writes them; a test compares them, so that they cannot go stale.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Final

from node.light.endpoints import ENDPOINTS
from node.light.openapi import document
from node.recorder import SECONDS
from node.web.metrics import METRICS, Metric
from tallynet.commands import command_name
from tallynet.documents import DOCUMENT_REMEDIES, INVOICE_REMEDIES
from tallynet.errors import ERROR_CODES
from tools.command_table import COMMANDS, CommandEntry, Option
from tools.explanations import CLIENT, EXPLANATIONS, LOCAL, PROOF
from tools.glossary import GLOSSARY
from tools.output import Exit
from tools.simulator.planted import PLANTS

DIRECTORY: Final = Path(__file__).resolve().parent.parent / "docs" / "reference"
GENERATED: Final = (
    "<!-- Made by tools/reference_pages.py; change that file or the tables it reads. -->"
)

_EXITS: Final[Mapping[Exit, str]] = {
    Exit.OK: "done",
    Exit.REFUSED: "the network refused; the code says why",
    Exit.USAGE: "the command line is wrong",
    Exit.UNKNOWN: "the outcome is not known yet; ask again",
    Exit.UNREACHABLE: "no node could be reached, or only with too old a state",
    Exit.ENVIRONMENT: "a file, directory or process is not as it must be",
    Exit.DIFFERENCE: "a check found a difference",
}

OWN_COMMANDS: Final[tuple[tuple[str, str], ...]] = (
    ("organisation register", "Register an enterprise as its sponsor bank; makes wallet and keys."),
    ("organisation admit", "Admit an institution: a joint act of the bank quorum."),
    ("testnet join", "Make the directory of a further node; tell the others its address."),
    ("node ready", "Let a node's key sign that it knows the newest state."),
    ("validator add", "Make a bank's node a validator: a joint act of the bank quorum."),
    ("organisation policy", "Set who must sign what in the acting organisation."),
    ("organisation disclose", "Write a file that shows an organisation's name, or its tax id."),
    ("organisation check", "Check a disclosed name or tax id against the chain."),
    ("branch create", "Create a branch of the acting enterprise; makes wallet and keys."),
    ("recovery start", "Attest new keys of an organisation that lost its own; makes them."),
    ("recovery adopt", "Let the wallet use the recovered keys once their time lock has passed."),
    ("key add", "Make and register a key for a further person."),
    ("key rotate", "Replace a person's key by a new one."),
    ("context add", "Name defaults for --network, --as and --output."),
    ("context use", "Take the defaults of a context from now on."),
    ("context list", "The contexts, and which one is in use."),
    ("context show", "Which defaults hold here."),
    ("context remove", "Forget a context."),
    ("wallet list", "The organisations whose wallets are here."),
    ("key reading", "Make and register the key under which documents are encrypted for one."),
    ("document register", "Seal an invoice file, bring its ciphertext to a node, register it."),
    ("document upload", "Bring a kept document's ciphertext to a node again."),
    ("document open", "Open a document, own or granted, and check it against its root."),
    ("document grant", "Let others read a document."),
    ("document disclose", "Write a file that shows some fields of a document and no others."),
    ("document check", "Check disclosed fields against the chain."),
    ("document complain", "Say on the chain that a ciphertext is not the registered document."),
    ("financing quote-sealed", "Answer a request with a price that only the holder learns."),
    ("financing quotes", "Open the sealed quotes for a request, and price them for today."),
    ("financing accept-sealed", "Sell at a sealed quote."),
    ("financing price", "Open a sealed price and check it against the chain."),
    ("financing payout-confirm-sealed", "Confirm as the buying bank that a sealed price was paid."),
    ("line grant-sealed", "Grant a line whose limit and use the chain does not learn."),
    ("line change-sealed", "Commit to another limit of a sealed line, or to use that has ended."),
    ("line open", "Show a sealed line as its grantor; write what opens it."),
    ("line check", "Check an opened line against the chain."),
    ("invoice read", "Print what the importer reads in an invoice file."),
    ("voucher show", "A voucher and all its lots, proven."),
    ("voucher list", "What an organisation holds."),
    ("voucher down", "All lots of a voucher: who holds them, who financed them."),
    ("lot up", "What stands behind a lot: its way, documents, guarantors, lender."),
    ("position exposure", "What is owed to an organisation, by debtor group."),
    ("position ladder", "What falls due to an organisation, day by day."),
    ("position idle", "Lots held for long, neither financed nor passed on."),
    ("debtor portfolio", "What a debtor and its branches owe, by tier, holder and state."),
    ("debtor idle", "Lots of a debtor's chain that lie idle."),
    ("debtor impact", "Who is hit if a debtor and its branches fail."),
    ("reconciliation show", "What debtors owed at the end of a day, and which banks agree."),
    ("instruction list", "The open payment instructions of a bank."),
    ("financing requests", "The open requests for quotes of an organisation."),
    ("show", "Any record, proven."),
    ("status", "Newest block, business date, validators."),
    ("events", "The events of the committed log."),
    ("heads", "Ask every node for its newest block; is there one chain?"),
    ("bank payments", "Write what a bank has to pay into an ISO 20022 pain.001 file."),
    ("bank receipts", "Confirm what a bank's pain.002, camt.054 or camt.053 file says was paid."),
    ("bank reconcile", "Compare a camt.053 statement with the ledger."),
    ("bank notice", "Write the file that tells a debtor who bought claims on it."),
    ("light init", "Make the directory of an enterprise's light node"),
    ("light run", "Run a light node: a verified copy, answered over HTTP"),
    ("light status", "How old a light node's copy is, and why"),
    ("light show", "Print what a light node answers"),
    ("light upload", "Have a light node execute every row of a CSV, Excel or JSON lines file"),
    ("light person add", "Let somebody sign in at a light node's pages"),
    ("light person list", "Print who may sign in, and as what"),
    ("light person role", "Change what somebody may do there"),
    ("light person password", "Give somebody another password"),
    ("light person remove", "Let somebody in no more"),
    ("transaction", "What became of a transaction."),
    ("evidence list", "The proofs of misbehaviour that running nodes keep, checked."),
    ("evidence save", "Save what a running node keeps to a file."),
    ("evidence verify", "Check the proofs in saved files."),
    ("proof record", "Write a proof file of a record, or of its absence."),
    ("proof voucher", "The same of a voucher and all its lots."),
    ("proof history", "The same of a voucher and everything that ever happened to it."),
    ("proof lot", "The same of one lot."),
    (
        "proof receipt",
        "The same of what became of a transaction, with its envelope where it is at hand.",
    ),
    ("proof events", "The same of everything that happened from one block to another."),
    ("proof document", "The same of some fields of a document."),
    ("proof mutate", "Show that no changed proof file is accepted."),
    ("verify", "Check a proof file offline, with the genesis file alone."),
    ("forensics", "Name the validators that made a fork possible."),
    ("testnet init", "Make a network of banks on this machine."),
    ("testnet up", "Start its nodes."),
    ("testnet status", "One row per node, and why there is no block."),
    ("testnet down", "Stop its nodes."),
    ("node run", "Run one validator in the foreground."),
    ("node check-config", "Every fault of a node's configuration file, with line and remedy."),
    ("debug bundle", "Pack what somebody far away needs to know of a node, without secrets."),
    ("doctor", "What is wrong with a node, running or not, and what to do about it."),
    ("demo", "Four banks and a voucher's whole life."),
    ("audit", "Re-execute the whole chain from the files of stopped nodes."),
    ("bench", "Measure throughput and latency."),
    ("simulate", "Real validators in simulated worlds: one seed, many seeds, planted bugs."),
    ("scenario", "Stories and loads of the voucher law on real validators, by name."),
    ("chaos", "Break a network of real processes and check that nothing acknowledged is lost."),
    ("model", "Check the view change in all its states within bounds."),
    ("explore", "Visit every state of a small network of the real core."),
    ("twins", "One validator runs twice, under every division of the network."),
    ("explain", "What a code means and what to do."),
    ("rules", "The voucher law as this program executes it."),
)
"""Commands that are not in the command table; a test checks that each exists and none is missing."""


def commands_page() -> str:
    """docs/reference/commands.md."""
    parts = [
        GENERATED,
        "# Commands\n",
        "`tally NOUN VERB --help` says the same. Commands that act also take\n",
        (
            "    --as WALLET           acting organisation\n"
            "    --network DIR         network directory (TALLY_NETWORK; default ./network)\n"
            "    --label TEXT          name of what is created; default: random\n"
            "    --sign-as P:ROLE,...  who signs; default: the people whom the policy asks for\n"
            "    --dry-run             ask a node what would happen, order nothing\n"
            "    --output json         for programs; `table` otherwise\n"
        ),
        (
            "What is typed counts first, then `TALLY_NETWORK`, then the context in use (`tally context add`, `TALLY_CONTEXT`"
            " for one shell). A context's wallet and output count only for its own network. Errors are one line on"
            " stderr that opens with a [code](errors.md); results go to stdout.\n"
        ),
        "## Exit codes\n",
        "| code | meaning |\n| --- | --- |",
        *(f"| {int(code)} | {text} |" for code, text in _EXITS.items()),
        "| 70 | a fault of `tally` itself |\n| 130 | ended by Ctrl-C |\n",
        "## Acts of the voucher law\n",
        *(ledger_entry(words, entry) for words, entry in sorted(COMMANDS.items())),
        "## Everything else\n",
        "| command | what it does |\n| --- | --- |",
        *(f"| `tally {words}` | {sentence} |" for words, sentence in OWN_COMMANDS),
    ]
    return "\n".join(parts) + "\n"


def ledger_entry(words: str, entry: CommandEntry) -> str:
    """One command of the table, with who signs it and what it may be refused for."""
    import_module("node.ledger.execute")  # registers every rule
    from node.ledger.rulebook import RULES

    rule = RULES[entry.command]
    signers = " and ".join(role.name.lower() for role in rule.signers.roles) or "any live key"
    if rule.signers.persons > len(rule.signers.roles) > 0:
        signers += f" ({rule.signers.persons} persons)"
    if rule.api:
        signers += ", or a machine key within its cap"
    refusals = ", ".join(f"`{code}`" for code in rule.errors)
    lines = [
        f"### tally {words}\n",
        f"{entry.sentence} Command `{command_name(entry.command)}`; signed by {signers};"
        f" acts: {rule.joint.value}."
        + (f" Specific refusals: {refusals}.\n" if refusals else "\n"),
        f"    {entry.example}\n",
        "| option | meaning | default |\n| --- | --- | --- |",
        *(option_row(name, option) for name, option in entry.options.items()),
    ]
    return "\n".join(lines) + "\n"


def option_row(name: str, option: Option) -> str:
    default = "required" if option.default is None else f"`{option.default or '-'}`"
    optional = ("funding_order", "policy_minimum", "debtors", "programmes", "parts", "seasonal")
    if option.many and name in optional:
        default = "none"
    meaning = option.help.replace("|", "\\|")
    return f"| `--{name.replace('_', '-')}` | {meaning} | {default} |"


def errors_page() -> str:
    """docs/reference/errors.md."""
    parts = [
        GENERATED,
        "# Error codes\n",
        (
            "`tally explain CODE` says the same. Codes keep their meaning for ever. Those of receipts are"
            " checked in this order, and the first failure decides: form, authority, existence, status,"
            " value, limits.\n"
        ),
        "## In receipts\n",
    ]
    for family, codes in ERROR_CODES.items():
        parts.append(
            section(family.capitalize(), {code: EXPLANATIONS[code] for code in codes}, "###")
        )
    parts += [
        section("From the client and at a node's door", CLIENT),
        section("From the verifier of proof files", PROOF),
        section("From this program", LOCAL),
        section("From the invoice reader", {code: EXPLANATIONS[code] for code in INVOICE_REMEDIES}),
        section("From sealed documents", {code: EXPLANATIONS[code] for code in DOCUMENT_REMEDIES}),
    ]
    return "\n".join(parts)


def section(title: str, codes: Mapping[str, str], level: str = "##") -> str:
    rows = "\n".join(f"| `{code}` | {text} |" for code, text in codes.items())
    return f"{level} {title}\n\n| code | meaning and what to do |\n| --- | --- |\n{rows}\n"


def planted_page() -> str:
    """docs/reference/planted-bugs.md."""
    rows = "\n".join(
        f"| {plant.name} | {plant.rule} | `{plant.file}` | {plant.variant} |" for plant in PLANTS
    )
    return (
        f"{GENERATED}\n# Planted bugs\n\n"
        "Each is one wrong edit that `tally simulate --planted NAME` makes in a copy of the source; it must break\n"
        "a promise within 2,000 seeds. Rules are rows of the catalogue of bugs (A1, B12), invariants of the\n"
        "protocol (INV-4) and of the voucher law (I1).\n\n"
        f"| planted bug | breaks | in | seeds |\n| --- | --- | --- | --- |\n{rows}\n"
    )


def metrics_page() -> str:
    """docs/reference/metrics.md."""
    rows = "\n".join(
        f"| `{name}` | {kind_of(metric)} | {', '.join(metric.labels) or '-'} | {metric.help} |"
        for name, metric in METRICS.items()
    )
    bounds = ", ".join(f"{seconds:g}" for seconds in SECONDS)
    return (
        f"{GENERATED}\n# Metrics\n\n"
        "What `/metrics` of a node exports ([monitoring](../operate/monitoring.md)), and beside it `process_...` and\n"
        "`python_...` of prometheus-client. Counters count since the start of the process, or of the node's life under one\n"
        f"validator set. Histograms have the buckets {bounds} s.\n\n"
        f"| metric | kind | labels | what it is |\n| --- | --- | --- | --- |\n{rows}\n"
    )


def kind_of(metric: Metric) -> str:
    return str(metric.kind("any", "any").type)


def openapi() -> str:
    """docs/reference/openapi.json."""
    return json.dumps(document(ENDPOINTS), indent=1, ensure_ascii=False) + "\n"


def glossary_page() -> str:
    """docs/reference/glossary.md."""
    parts = [
        GENERATED,
        "# Glossary · 词汇表\n",
        (
            "The words of the trade and of the network. The web pages say the same: both are made of one table. The last column says"
            " where a word is explained.\n"
        ),
    ]
    for chapter, entries in GLOSSARY.items():
        parts.append(
            f"## {chapter}\n\n| English | 中文 | in one sentence | more |\n| --- | --- | --- | --- |"
        )
        for entry in entries:
            chinese, english = entry.words
            name = entry.page.rpartition("/")[2].removesuffix(".md").replace("-", " ")
            parts.append(
                f"| {english} | {chinese} | {entry.sentence} | [{name}](../{entry.page}) |"
            )
        parts.append("")
    return "\n".join(parts)


PAGES: Final[Mapping[str, Callable[[], str]]] = {
    "commands.md": commands_page,
    "errors.md": errors_page,
    "glossary.md": glossary_page,
    "metrics.md": metrics_page,
    "openapi.json": openapi,
    "planted-bugs.md": planted_page,
}


def main() -> None:
    for name, page in PAGES.items():
        (DIRECTORY / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
