"""`tally light init|run|status|show|upload`: the light node of an enterprise."""

from __future__ import annotations

import http.client
import json
import os
import resource
import shutil
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final

import trio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cyclopts import App, Parameter
from cyclopts.validators import Number
from rich.markup import escape
from rich.progress import Progress

from node import logs
from node.desk.accounts import Accounts
from node.light.config import (
    HTTP_PORT,
    LIGHT_FILE,
    LightConfig,
    load_light,
    make_token,
    read_token,
)
from node.light.row_files import CSV, JSON_LINES, XLSX
from node.light.submitting import ByWords
from tallynet.codec import Wire
from tallynet.errors import TallynetError
from tallynet.genesis import Genesis, genesis_hash
from tallynet.keyfile import KeyFileError
from tools.arguments import UsageError
from tools.command_table import COMMANDS, Reading
from tools.explanations import explain
from tools.ledger_cli import (
    DEFAULT_NETWORK,
    AsOption,
    NetworkOption,
    OutputOption,
    build,
)
from tools.office import office_of
from tools.output import ERRORS, Exit, Output, print_json, print_rows, told
from tools.participant import Signatory
from tools.person_cli import people
from tools.records_by_name import AddressBook
from tools.testnet_files import (
    GENESIS_FILE,
    WEB_PORTS_ABOVE,
    NetworkFile,
    load_genesis,
    load_network,
)
from tools.wallet import NAMES_FILE, WALLETS, Wallet, load_wallet, private_key

ANSWER_SECONDS: Final = 30.0
"""A light node answers in milliseconds, a file of thousands of rows in seconds, and asked to wait when that is over."""
UPLOAD_POLL_SECONDS: Final = 1
TABLE_ROWS_MAX: Final = 100
"""Of refused rows, for people."""
POLL_SECONDS: Final = 0.2
light = App(
    name="light", help="The light node of an enterprise: a verified copy, answered over HTTP"
)
light.command(people)
WaitOption = Annotated[
    float,
    Parameter(
        name="--wait",
        validator=Number(gte=0, lte=3_600),
        help="seconds to wait until it runs and its copy is proven",
    ),
]


class LightError(TallynetError):
    """LIGHT_EXISTS: the directory is one already; LIGHT_UNREACHABLE: it does not run; LIGHT_REFUSED: another code
    of its own answer; LIGHT_OTHER_WALLET: the wallet is of another organisation."""


@light.command
def init(
    directory: Path,
    *,
    as_: AsOption,
    network: NetworkOption = DEFAULT_NETWORK,
    port: Annotated[int, Parameter(help="of the HTTP answers, on this machine")] = HTTP_PORT,
    commands: Annotated[
        bool,
        Parameter(negative="", help="sign what programs with the token ask for, with all keys"),
    ] = False,
    output: OutputOption = Output.table,
) -> None:
    """Make the directory of a light node: whose copy it keeps, which nodes it asks, where it answers.

    For example:

        tally light init light --network network --as harbour-tours

    Parameters
    ----------
    directory
        Made new; holds light.toml, a copy of the genesis file, and the token that programs show.
    """
    wallet = make_light(directory, as_, network, port, commands=commands)
    told(
        output,
        f"{directory}: light node of {wallet.name}; start it with: tally light run {directory}",
        directory=str(directory),
        wallet=wallet.name,
    )


def make_light(
    directory: Path, as_: str, network: Path, port: int, *, commands: bool = False
) -> Wallet:
    """The directory of a light node of a wallet of this network, which is returned. Raises LightError LIGHT_EXISTS."""
    wallet, genesis = load_wallet(network, as_), network / GENESIS_FILE
    load_genesis(genesis)
    nodes = load_network(network)
    if (directory / LIGHT_FILE).exists():
        raise LightError("LIGHT_EXISTS", f"{directory} is a light node already; name another one")
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    shutil.copyfile(genesis, directory / GENESIS_FILE)
    make_token(directory)
    keys = (network / WALLETS / wallet.name).resolve()
    (directory / LIGHT_FILE).write_text(
        _config_text(wallet, keys, nodes, port, commands) + _web_text(network, port),
        encoding="utf-8",
    )
    return wallet


def _config_text(wallet: Wallet, keys: Path, nodes: NetworkFile, port: int, commands: bool) -> str:
    lines = [
        f"name = {json.dumps(wallet.name)}",
        f"organisation = {json.dumps(wallet.organisation)}",
        f"wallet = {json.dumps(str(keys), ensure_ascii=False)}",
        'http_host = "127.0.0.1"',
        f"http_port = {port}",
        f"commands = {json.dumps(commands)}",
    ]
    for node in nodes.nodes:
        if not node.observer:
            lines += [
                "",
                f"[[nodes]]  # {node.name}",
                f"public_key = {json.dumps(node.public_key)}",
                f"host = {json.dumps(node.host)}",
                f"port = {node.port}",
            ]
    return "\n".join(lines) + "\n"


def _web_text(network: Path, port: int) -> str:
    names = json.dumps(str((network / NAMES_FILE).resolve()), ensure_ascii=False)
    web_port = (
        port + WEB_PORTS_ABOVE if port <= 65_535 - WEB_PORTS_ABOVE else port - WEB_PORTS_ABOVE
    )
    return f'\n[web]\nlisten = "127.0.0.1:{web_port}"\nnames = {names}\n'


@light.command
def run(directory: Path) -> None:
    """Run a light node in the foreground, logging JSON lines; end it with Ctrl-C or SIGTERM.

    It needs the key of one person of the wallet, so that nodes know what to show; encrypted ones are opened with
    the passphrase in TALLY_PASSPHRASE.

    For example:

        tally light run light

    Parameters
    ----------
    directory
        As made by tally light init.
    """
    from node.light import daemon

    config = load_light(directory)
    genesis = load_genesis(directory / config.genesis_file)
    key = _key(directory, config)
    signatory = _signatory(directory, config, genesis)
    sign = signatory.envelope if config.commands else None
    # A core dump would hold the key.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.umask(0o077)
    logs.configure(config.name)
    words, office = _by_words(directory, config), office_of(signatory)
    trio.run(daemon.run, directory, config, genesis, key, sign, words, explain, office)


def _key(directory: Path, config: LightConfig) -> Ed25519PrivateKey:
    """The first key that can be read in the wallet."""
    place = directory / config.wallet
    network, wallet = place.parent.parent, load_wallet(place.parent.parent, place.name)
    if wallet.organisation != config.organisation:
        raise LightError(
            "LIGHT_OTHER_WALLET", f"{place} is of {wallet.organisation}, not {config.organisation}"
        )
    refused: KeyFileError | None = None
    for person in wallet.people:
        try:
            return private_key(network, wallet, person)
        except KeyFileError as error:
            refused = refused or error
    raise refused or LightError("LIGHT_OTHER_WALLET", f"{place} has no key")


def _by_words(directory: Path, config: LightConfig) -> ByWords:
    """Commands as the command line has them, by the names of the wallets beside the light node's own."""
    book = AddressBook((directory / config.wallet).parent.parent)
    return partial(command_by_words, book, bytes.fromhex(config.organisation))


def command_by_words(
    book: AddressBook, acting: bytes, words: str, options: Mapping[str, Any]
) -> Wire:
    """The command behind `tally NOUN VERB`, from its options without the hyphens before them. Raises UsageError."""
    entry = COMMANDS.get(words)
    if entry is None:
        raise UsageError("USAGE", f"no command {words!r}; see tally --help")
    given = {name.replace("-", "_"): value for name, value in options.items()}
    label = given.pop("label", "")
    if not isinstance(label, str):
        raise UsageError("USAGE", "label: a text, as on the command line")
    for name, value in given.items():
        option = entry.options.get(name)
        if option is None:
            raise UsageError("USAGE", f"{words} takes no {name!r}; see tally {words} --help")
        texts = value if option.many and isinstance(value, list) else [value]
        if not all(isinstance(text, str) for text in texts):
            shape = "a text or a list of texts" if option.many else "a text"
            raise UsageError("USAGE", f"{name}: {shape}, as on the command line")
        given[name] = texts if option.many else value
    reading = Reading(book, acting, given.get("currency", "CNY"))
    return build(entry, reading, label, given)


def _signatory(directory: Path, config: LightConfig, genesis: Genesis) -> Signatory:
    """Who signs; each key that programs or people may need can be read now, rather than on the first payment."""
    place = directory / config.wallet
    signatory = Signatory(place.parent.parent, place.name, genesis_hash(genesis))
    signing = {account.person for account in Accounts(directory).all().values() if account.signs}
    for person in signatory.wallet.people:
        if config.commands or person.name in signing:
            signatory.key(person)
    return signatory


@light.command
def status(directory: Path, *, wait: WaitOption = 0.0, output: OutputOption = Output.table) -> None:
    """Ask a running light node how old its copy is, and why it is not newer.

    For example:

        tally light status light
        tally light status light --wait 30

    Parameters
    ----------
    directory
        As made by tally light init.
    """
    until = time.monotonic() + wait
    while True:
        try:
            found = ask(directory, "/status")
            if found["proven_at"] is not None or time.monotonic() >= until:
                break
        except LightError as error:
            if error.code != "LIGHT_UNREACHABLE" or time.monotonic() >= until:
                raise
        time.sleep(POLL_SECONDS)
    if output is Output.json:
        print_json(found)
        return
    print_rows("light node", ("", "value"), [(name, _text(value)) for name, value in found.items()])


def _text(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "-"
    if isinstance(value, Mapping):
        return ": ".join(map(str, value.values()))
    return "-" if value is None or value == "" else str(value)


@light.command
def show(directory: Path, what: str) -> None:
    """Print what a running light node answers: holdings, vouchers, vouchers/ID, lines, instructions,
    financings, requests, documents; as JSON.

    For example:

        tally light show light holdings
        tally light show light 'lines?limit=10'

    Parameters
    ----------
    directory
        As made by tally light init.
    what
        The path behind the address, as a program would ask for it.
    """
    print_json(ask(directory, "/" + what.removeprefix("/")))


@light.command
def upload(
    directory: Path,
    file: Path,
    *,
    check: Annotated[
        bool, Parameter(negative="", help="only say what would become of each row; sign nothing")
    ] = False,
    wait: Annotated[
        float,
        Parameter(validator=Number(gte=0, lte=3_600), help="seconds to wait for all outcomes"),
    ] = 600.0,
    output: OutputOption = Output.table,
) -> None:
    """Have a running light node execute every row of a file: .csv, .xlsx, or JSON lines (.jsonl).

    Each row has an id of its own, so uploading a file again does nothing twice. The first row of a table names its
    columns: `id`, `command`, and options as on the command line.

    For example:

        tally light upload light march.csv --check
        tally light upload light march.csv

    Parameters
    ----------
    directory
        As made by tally light init.
    file
        Its ending says what it is.
    """
    media_type, raw = _row_file(file)
    if check:
        found = ask(directory, "/bulk?check=1", raw, media_type)
    else:
        found = _followed(directory, ask(directory, "/bulk", raw, media_type), wait)
    if output is Output.json:
        print_json(found)
    else:
        print_outcome(file, found)
    bad = [row for row in found["results"] if row["state"] not in ("DONE", "CHECKED")]
    if any(row["state"] not in ("QUEUED", "PENDING") for row in bad):
        raise SystemExit(int(Exit.REFUSED))
    if bad:
        raise SystemExit(int(Exit.UNKNOWN))


def _row_file(file: Path) -> tuple[str, bytes]:
    kinds = {".csv": CSV, ".xlsx": XLSX, ".jsonl": JSON_LINES}
    media_type = kinds.get(file.suffix.lower())
    if media_type is None:
        raise UsageError("USAGE", f"{file}: its name must end with {', '.join(kinds)}")
    try:
        return media_type, file.read_bytes()
    except OSError as error:
        raise LightError("FILE_MISSING", f"{file}: {error.strerror}") from None


def _followed(directory: Path, upload: dict[str, Any], seconds: float) -> dict[str, Any]:
    """What became of an upload, with all its rows, when all have an outcome or the time is over."""
    path, until = f"/bulk/{upload['id']}", time.monotonic() + seconds
    with Progress(console=ERRORS, transient=True, disable=not ERRORS.is_terminal) as progress:
        bar = progress.add_task("rows", total=upload["rows"])
        while not upload["finished"] and time.monotonic() < until:
            upload = ask(directory, f"{path}?limit=1&wait={UPLOAD_POLL_SECONDS}")
            under_way = sum(upload["counts"].get(state, 0) for state in ("QUEUED", "PENDING"))
            progress.update(bar, completed=upload["rows"] - under_way)
    rows: list[dict[str, Any]] = []
    after: int | None = 0
    while after is not None:
        upload = ask(directory, f"{path}?after={after}")
        rows += upload["results"]
        after = upload["after"]
    return upload | {"results": rows}


def print_outcome(file: Path, found: dict[str, Any]) -> None:
    """How many rows did what, and each that needs somebody."""
    counts = ", ".join(f"{count} {state}" for state, count in found["counts"].items())
    print(f"{file}: {found['rows']} rows: {counts or 'none'}")
    bad = [row for row in found["results"] if row["state"] not in ("DONE", "CHECKED")]
    if bad:
        columns = ("row", "id", "state", "code", "message", "what_to_do")
        table = [[_harmless(_text(row[name])) for name in columns] for row in bad[:TABLE_ROWS_MAX]]
        print_rows("rows that are not done", [*columns[:-1], "what to do"], table)
    if len(bad) > TABLE_ROWS_MAX:
        print(f"and {len(bad) - TABLE_ROWS_MAX} more: --output json")


def _harmless(text: str) -> str:
    """Of a file: nothing in it is markup, or moves the terminal's cursor."""
    return escape("".join(each if each.isprintable() else "\ufffd" for each in text))


def ask(
    directory: Path, path: str, body: bytes | None = None, media_type: str = ""
) -> dict[str, Any]:
    """What the light node of a directory answers to a GET, or to a POST of a body.

    Raises:
        LightError: LIGHT_UNREACHABLE, or the code of its answer.
        ConfigError, TokenError.
    """
    config, token = load_light(directory), read_token(directory)
    line = http.client.HTTPConnection(config.http_host, config.http_port, timeout=ANSWER_SECONDS)
    headers = {"Authorization": f"Bearer {token}"}
    try:
        if body is None:
            line.request("GET", path, headers=headers)
        else:
            line.request("POST", path, body, headers | {"Content-Type": media_type})
        response = line.getresponse()
        answer = json.loads(response.read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise LightError(
            "LIGHT_UNREACHABLE", f"{config.http_host}:{config.http_port}: {error}"
        ) from None
    finally:
        line.close()
    if response.status not in (http.client.OK, http.client.ACCEPTED):
        raise LightError(answer["code"], answer["message"])
    return dict(answer)


__all__ = [
    "LightError", "ask", "command_by_words", "light", "make_light", "print_outcome",
]  # fmt: skip
