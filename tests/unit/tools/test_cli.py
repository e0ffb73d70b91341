"""The command line as a whole: errors, exit codes, help, and what it leaves behind when refused."""

from __future__ import annotations

import json
import re
import shlex
import stat
from collections.abc import Iterator
from inspect import cleandoc
from pathlib import Path
from typing import Literal

import pytest
from cyclopts import App

from tallynet.client import (
    ClientBusy,
    NotConnected,
    OutcomeUnknown,
    RequestFailed,
    StaleAnswer,
    SubmissionRefused,
)
from tallynet.documents import read_invoice
from tallynet.errors import ERROR_CODES
from tallynet.records import Kind
from tools import reference_pages
from tools.arguments import UsageError
from tools.cli import EXIT_FAULT, EXIT_INTERRUPTED, EXIT_PIPE, app, cause, main, report
from tools.command_table import COMMANDS
from tools.explanations import EXPLANATIONS
from tools.kept_documents import document_id
from tools.ledger_cli import NOUNS
from tools.onboarding import seal_file
from tools.organisation_cli import made_for_the_act
from tools.output import Exit, Output
from tools.participant import Refusal
from tools.records_by_name import AddressBook
from tools.show_cli import NotFound
from tools.testnet_files import TestnetError
from tools.wallet import WALLETS, WalletError

ROOT = Path(__file__).resolve().parents[3]
INVOICES = ROOT / "tests" / "data" / "invoices"


@pytest.fixture
def network(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Path]:
    """Directories of a network whose nodes do not run."""
    directory = tmp_path / "network"
    code = main(["testnet", "init", str(directory), "--base-port", "61000"])
    capsys.readouterr()
    assert code == 0
    yield directory


# --- errors and exit codes --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Refusal("LINE_EXCEEDED", "refused in block 7"), Exit.REFUSED),
        (SubmissionRefused("KEY_REVOKED", "at the door", bytes(32)), Exit.REFUSED),
        (RequestFailed("NO_SUCH_BLOCK", "height 99"), Exit.REFUSED),
        (NotFound("RECORD_NOT_FOUND", "no voucher"), Exit.REFUSED),
        (UsageError("USAGE", "what?"), Exit.USAGE),
        (OutcomeUnknown(bytes(32), "no receipt in 60 s"), Exit.UNKNOWN),
        (NotConnected("127.0.0.1:1: refused"), Exit.UNREACHABLE),
        (StaleAnswer("STATE_TOO_OLD", "an hour old"), Exit.UNREACHABLE),
        (ClientBusy(10), Exit.UNREACHABLE),
        (TestnetError("NETWORK_MISSING", "nothing there"), Exit.ENVIRONMENT),
        (WalletError("WALLET_MISSING", "no wallet"), Exit.ENVIRONMENT),
        (FileNotFoundError(2, "No such file or directory", "genesis.json"), Exit.ENVIRONMENT),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_each_error_has_its_exit_code_and_one_line(
    error: Exception, code: Exit, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report(error) == code
    shown = capsys.readouterr()
    assert shown.out == ""
    lines = shown.err.splitlines()
    assert len(lines) == 1
    assert re.match(r"[A-Z_]+: ", lines[0])


def test_an_error_line_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    report(Refusal("ACCOUNT_UNVERIFIED", "refused in block 7"))
    assert "tally account verify" in capsys.readouterr().err


def test_text_in_brackets_is_shown_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    report(TestnetError("FILE_INVALID", "validators[2].key: [red] is no key"))
    assert "validators[2].key: [red] is no key" in capsys.readouterr().err


def test_a_fault_of_the_program_shows_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert report(ZeroDivisionError("boom")) == EXIT_FAULT
    assert "ZeroDivisionError: boom" in capsys.readouterr().err


def test_interrupt_ends_without_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    nested = BaseExceptionGroup("nursery", [BaseExceptionGroup("inner", [KeyboardInterrupt()])])
    assert report(nested) == EXIT_INTERRUPTED
    assert "Traceback" not in capsys.readouterr().err


def test_interrupt_wins_over_errors_that_it_caused() -> None:
    group = BaseExceptionGroup("nursery", [OSError("closed"), KeyboardInterrupt()])
    assert isinstance(cause(group), KeyboardInterrupt)


def test_several_errors_are_a_fault_not_hidden(capsys: pytest.CaptureFixture[str]) -> None:
    assert report(ExceptionGroup("two", [ValueError("a"), KeyError("b")])) == EXIT_FAULT
    shown = capsys.readouterr().err
    assert "ValueError: a" in shown
    assert "KeyError: 'b'" in shown


def test_a_closed_pipe_is_no_fault(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with (tmp_path / "out").open("w") as output:
        monkeypatch.setattr("sys.stdout", output)
        assert report(BrokenPipeError()) == EXIT_PIPE


@pytest.mark.parametrize(
    "line",
    [
        "nonsense",
        "voucher nonsense",
        "voucher claim",
        "voucher claim --as x --nonsense 1",
        "explain NO_SUCH_CODE",
        "transaction abc",
        "audit",
        "testnet init --day-seconds 0",
        "show voucher",
    ],
)
def test_a_wrong_command_line_is_exit_2_with_one_line(
    line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(shlex.split(line)) == Exit.USAGE
    shown = capsys.readouterr()
    assert shown.err.startswith("USAGE: ")
    assert len(shown.err.splitlines()) == 1


# --- the table, its help and the reference ---------------------------------------------------------


@pytest.mark.parametrize("words", COMMANDS)
def test_every_example_is_a_valid_command_line(words: str) -> None:
    arguments = shlex.split(COMMANDS[words].example)
    assert arguments[0] == "tally"
    assert " ".join(arguments[1:3]) == words
    _, bound, _ = app.parse_args(arguments[1:], exit_on_error=False, print_error=False)
    given = {name for name, value in bound.arguments.items() if value is not None}
    required = {n for n, o in COMMANDS[words].options.items() if o.default is None and not o.many}
    assert required <= given


def command_words(of: App = app, before: str = "") -> set[str]:
    found = set()
    for name in of:
        if not name.startswith("-"):
            words = f"{before} {name}".strip()
            found |= command_words(of[name], words) or {words}
    return found


def test_the_reference_names_every_command() -> None:
    own = {words for words, _ in reference_pages.OWN_COMMANDS}
    assert command_words() == own | set(COMMANDS)


def test_every_noun_of_the_table_has_a_help_text() -> None:
    assert {words.split()[0] for words in COMMANDS} <= set(NOUNS)


@pytest.mark.parametrize("name", reference_pages.PAGES)
def test_reference_pages_are_current(name: str) -> None:
    written = (reference_pages.DIRECTORY / name).read_text(encoding="utf-8")
    assert written == reference_pages.PAGES[name](), "run: python -m tools.reference_pages"


def test_help_shows_first_steps(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert "tally demo" in capsys.readouterr().out


def leaves() -> list[str]:
    return sorted({leaf for words in command_words() for leaf in below(words)} | {"proof"})


def below(words: str) -> list[str]:
    """The command, or those of a group within a group."""
    found = command(words)
    if found.default_command is not None:
        return [words]
    return [f"{words} {verb}" for verb in found if not verb.startswith("-")]


def command(words: str) -> App:
    found = app
    for word in words.split():
        found = found[word]
    return found


@pytest.mark.parametrize("words", leaves())
def test_every_command_shows_examples_that_can_be_typed(words: str) -> None:
    text = cleandoc(command(words).default_command.__doc__)  # type: ignore[union-attr]
    _, _, rest = text.partition("For example:")
    block = rest.partition("Parameters\n---")[0].replace("\n        --", " --")
    lines = [line.partition(" #")[0].split() for line in block.splitlines() if line.strip()]
    shown = [line for line in lines if line[: 1 + len(words.split())] == ["tally", *words.split()]]
    assert shown, "an example of the command itself"
    for line in shown:
        app.parse_args(shlex.split(" ".join(line[1:])), exit_on_error=False, print_error=False)


FIGURES = {"bench", "chaos", "explore", "model", "proof mutate", "scenario", "simulate", "twins"}
"""Long runs: programs read the file that `--json` names."""
SPEAK_OTHERWISE = {"demo", "light run", "light show", "node run"}
"""A show, logs, and what is JSON anyway."""


@pytest.mark.parametrize("words", leaves())
def test_every_result_can_be_had_as_json(words: str) -> None:
    options = {n for a in command(words).assemble_argument_collection() for n in a.names}
    if words in FIGURES:
        assert "--json" in options
    else:
        assert ("--output" in options) == (words not in SPEAK_OTHERWISE)


@pytest.mark.parametrize("words", leaves())
def test_the_same_thing_has_the_same_option(words: str) -> None:
    """What the reader knows of one command holds for the next."""
    for argument in command(words).assemble_argument_collection():
        kind = argument.hint
        for name in argument.names:
            assert (name == "--network") <= (kind is Path)
            assert (name == "--output") <= (kind in (Output, Output | None))
            assert (name == "--dry-run") <= (kind is bool)
            assert name not in ("--json-file", "--save", "--format", "--wallet")


def test_every_receipt_code_is_explained_and_no_other() -> None:
    from tools.explanations import LEDGER

    assert set(LEDGER) == {code for codes in ERROR_CODES.values() for code in codes}


def test_every_code_that_this_program_raises_is_explained() -> None:
    raised = re.compile(r"(?:Error|NotFound|super\(\)\.__init__)\(\s*\"([A-Z][A-Z_]+)\"")
    sources = [
        *(ROOT / "tools").glob("*.py"),
        *(ROOT / "tallynet" / "client").glob("*.py"),
        ROOT / "tallynet" / "keyfile.py",
        ROOT / "tallynet" / "plain.py",
        ROOT / "node" / "config.py",
    ]
    found = {code for path in sources for code in raised.findall(path.read_text(encoding="utf-8"))}
    remote = {
        "BAD_EVIDENCE",
        "BAD_PROOF",
        "BAD_CERTIFICATE",
        "BAD_BLOCK",
        "UNEXPECTED",
        "HELLO_INVALID",
    }
    assert "WALLET_MISSING" in found
    assert found - remote <= set(EXPLANATIONS)


@pytest.mark.parametrize("output", ["table", "json"])
def test_explain(output: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "line_exceeded", "--output", output]) == 0
    assert "credit line has no room" in capsys.readouterr().out


def test_explain_suggests_near_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "LINE_EXCEDED"]) == Exit.USAGE
    assert "LINE_EXCEEDED" in capsys.readouterr().err


def test_rules_come_from_the_rulebook(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules", "--output", "json"]) == 0
    rules = {rule["name"]: rule for rule in json.loads(capsys.readouterr().out)}
    assert rules["voucher.issue"]["signers"] == ["MAKER", "CHECKER", "APPROVER"]
    assert rules["governance.parameter.set"]["joint"] == "the quorum of validator banks"
    assert len(rules) == len({entry.command for entry in COMMANDS.values()}) + 18


# --- the local testnet's files -----------------------------------------------------------------------


def test_init_refuses_to_overwrite_a_network(
    network: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (network / "genesis.json").read_bytes()
    assert main(["testnet", "init", str(network)]) == Exit.ENVIRONMENT
    assert capsys.readouterr().err.startswith("NETWORK_EXISTS: ")
    assert (network / "genesis.json").read_bytes() == before


@pytest.mark.parametrize("number", ["0", "2", "3", "17", "-4"])
def test_init_refuses_numbers_of_validators_that_tolerate_no_fault(
    number: str, tmp_path: Path
) -> None:
    target = tmp_path / "network"
    assert main(["testnet", "init", str(target), "--validators", number]) == Exit.ENVIRONMENT
    assert not target.exists()


def test_business_date_is_as_asked(tmp_path: Path) -> None:
    target = tmp_path / "network"
    assert main(["testnet", "init", str(target), "--business-date", "2027-03-15"]) == 0
    genesis = json.loads((target / "genesis.json").read_text())
    assert genesis["business_date"] == 20892


def test_status_says_that_nodes_do_not_run(
    network: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["testnet", "status", str(network)]) == 0
    assert capsys.readouterr().out.count("not running") == 4


def test_without_network_the_error_names_the_way_to_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["status", "--network", str(tmp_path / "none")]
    assert main(line) == Exit.ENVIRONMENT
    assert "tally testnet init" in capsys.readouterr().err


def test_without_nodes_the_exit_code_is_unreachable(
    network: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["status", "--network", str(network)]) == Exit.UNREACHABLE
    assert capsys.readouterr().err.startswith("NOT_CONNECTED: ")


# --- nothing is left behind -------------------------------------------------------------------------


def registration(network: Path, *more: str) -> list[str]:
    line = ["organisation", "register", "--as", "bank-1", "--name", "corner-parts"]
    return [*line, "--network", str(network), *more]


def test_a_registration_that_was_not_sent_leaves_no_wallet(network: Path) -> None:
    assert main(registration(network)) == Exit.UNREACHABLE
    assert not (network / WALLETS / "corner-parts").exists()
    assert main(registration(network)) == Exit.UNREACHABLE


@pytest.mark.parametrize("name", ["Corner", "../corner", "", "-x", "a" * 33, "a/b"])
def test_a_bad_name_makes_nothing(name: str, network: Path) -> None:
    before = sorted(network.rglob("*"))
    line = ["organisation", "register", "--as", "bank-1", f"--name={name}"]
    assert main([*line, "--network", str(network)]) == Exit.USAGE
    assert sorted(network.rglob("*")) == before


def test_a_key_that_was_not_sent_is_removed(network: Path) -> None:
    line = ["key", "add", "--as", "bank-1", "--person", "deputy", "--roles", "checker"]
    before = sorted(network.rglob("*"))
    assert main([*line, "--network", str(network)]) == Exit.UNREACHABLE
    assert sorted(network.rglob("*")) == before


def test_a_rotation_that_was_not_sent_makes_nothing(network: Path) -> None:
    before = sorted(network.rglob("*"))
    line = ["key", "rotate", "--as", "bank-1", "--person", "maker", "--network", str(network)]
    assert main(line) == Exit.UNREACHABLE
    assert sorted(network.rglob("*")) == before


def test_an_admission_that_was_not_sent_leaves_no_wallet(network: Path) -> None:
    line = ["organisation", "admit", "--as", "bank-1", "--name", "fair", "--kinds", "factor"]
    assert main([*line, "--network", str(network)]) == Exit.UNREACHABLE
    assert not (network / WALLETS / "fair").exists()


def outcomes(error: BaseException | None, *, dry_run: bool = False) -> list[str]:
    done: list[str] = []
    try:
        with made_for_the_act(
            lambda: done.append("undone"), lambda: done.append("aside"), dry_run=dry_run
        ):
            if error is not None:
                raise error
    except BaseException as raised:  # noqa: BLE001 - also interrupts and exits
        assert raised is error
    return done


def test_what_was_made_stays_as_far_as_the_act_may_have_happened() -> None:
    assert outcomes(None) == []
    assert outcomes(None, dry_run=True) == ["undone"]
    assert outcomes(SystemExit(Exit.REFUSED)) == ["undone"]
    assert outcomes(NotConnected("nobody")) == ["undone"]
    assert outcomes(SubmissionRefused("POOL_FULL", "later", bytes(32))) == ["aside"]
    assert outcomes(OutcomeUnknown(bytes(32), "no receipt")) == []
    assert outcomes(KeyboardInterrupt()) == []


# --- documents ----------------------------------------------------------------------------------------


def document_line(network: Path, file: Path, *more: str) -> list[str]:
    line = ["document", "register", "--as", "bank-1", "--label", "inv-1", "--file", str(file)]
    parties = ["--creditor", "bank-1", "--debtor", "bank-2"]
    return [*line, *parties, "--network", str(network), *more]


def test_a_document_that_was_not_sent_is_not_kept(network: Path) -> None:
    line = document_line(network, INVOICES / "einvoice-tea.xml")
    assert main(line) == Exit.UNREACHABLE
    assert not list((network / WALLETS / "bank-1" / "documents").glob("*"))


def test_a_kept_document_is_private_and_opens(
    network: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tools.kept_documents import keep

    salt, key = bytes(32), bytes([1]) * 32
    source = (INVOICES / "einvoice-tea.xml").read_bytes()
    from tallynet.documents import registration_fields

    sealed = registration_fields(read_invoice(source), source, document_salt=salt, document_key=key)
    directory = network / WALLETS / "bank-1" / "documents" / "inv-1"
    keep(directory, sealed, salt, key, bytes(32))
    for path in directory.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert AddressBook(network).record(Kind.DOCUMENT, "bank-1/inv-1") == document_id(sealed)
    line = ["document", "open", "--as", "bank-1", "--label", "inv-1", "--output", "json"]
    assert main([*line, "--network", str(network)]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["fields"]["number"] == "27990000000000000001"
    assert shown["document"] == document_id(sealed).hex()


def test_a_changed_ciphertext_does_not_open(
    network: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tallynet.documents import registration_fields
    from tools.kept_documents import keep

    source = (INVOICES / "einvoice-tea.xml").read_bytes()
    sealed = registration_fields(
        read_invoice(source), source, document_salt=bytes(32), document_key=bytes(32)
    )
    directory = network / WALLETS / "bank-1" / "documents" / "inv-1"
    keep(directory, sealed, bytes(32), bytes(32), bytes(32))
    path = directory / "ciphertext.bin"
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    line = ["document", "open", "--as", "bank-1", "--label", "inv-1", "--network", str(network)]
    assert main(line) == Exit.ENVIRONMENT
    assert capsys.readouterr().err.startswith("DOCUMENT_CIPHERTEXT_INVALID: ")


def test_one_invoice_has_one_id_however_often_it_is_sealed() -> None:
    file = INVOICES / "einvoice-tea.xml"
    assert document_id(seal_file(file)) == document_id(seal_file(file))


def test_an_unknown_document_label_is_a_usage_error(network: Path) -> None:
    with pytest.raises(UsageError):
        AddressBook(network).record(Kind.DOCUMENT, "bank-1/none")


def test_invoice_read_prints_what_the_importer_reads(capsys: pytest.CaptureFixture[str]) -> None:
    file = INVOICES / "einvoice-tea.xml"
    assert main(["invoice", "read", str(file), "--output", "json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["payable"] == "500000.00"
    assert shown["currency"] == "CNY"
    assert len(shown["lines"]) == 2
    assert main(["invoice", "read", str(file)]) == 0
    assert "500000.00" in capsys.readouterr().out


def test_a_broken_invoice_is_refused_with_its_code(capsys: pytest.CaptureFixture[str]) -> None:
    file = INVOICES / "broken" / "entity.xml"
    assert main(["invoice", "read", str(file)]) == Exit.ENVIRONMENT
    assert capsys.readouterr().err.startswith("INVOICE_ENTITY_FORBIDDEN: ")


def test_a_missing_file_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["invoice", "read", "/nowhere/invoice.xml"]) == Exit.USAGE
    assert capsys.readouterr().err.startswith("FILE_MISSING: ")


def test_the_payee_of_an_invoice_is_pointed_out(
    network: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(document_line(network, INVOICES / "ubl-tea.xml")) == Exit.UNREACHABLE
    assert "Fjord Collections AS" in capsys.readouterr().err


def test_watching_is_for_a_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["testnet", "status", str(tmp_path), "--watch"]) == Exit.USAGE
    assert "terminal" in capsys.readouterr().err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_can_complete_every_noun(shell: Literal["bash", "zsh", "fish"]) -> None:
    script = app.generate_completion(shell=shell)
    for noun in ("voucher", "testnet", "doctor", "debug", "check-config"):
        assert noun in script
