"""`tally light init|run|status|show`: the light node of an enterprise."""

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

from node import logs
from node.light.config import (
    HTTP_PORT,
    LIGHT_FILE,
    LightConfig,
    load_light,
    make_token,
    read_token,
)
from node.light.submitting import ByWords
from tallynet.codec import Wire
from tallynet.errors import TallynetError
from tallynet.genesis import Genesis, genesis_hash
from tallynet.keyfile import KeyFileError
from tools.arguments import UsageError
from tools.command_table import COMMANDS, Reading
from tools.ledger_cli import DEFAULT_NETWORK, AsOption, NetworkOption, OutputOption, build
from tools.output import Output, print_json, print_rows, told
from tools.participant import Signatory
from tools.records_by_name import AddressBook
from tools.testnet_files import (
    GENESIS_FILE,
    WEB_PORTS_ABOVE,
    NetworkFile,
    load_genesis,
    load_network,
)
from tools.wallet import NAMES_FILE, WALLETS, Wallet, load_wallet, private_key

ANSWER_SECONDS: Final = 10.0
"""A light node answers in milliseconds; one that does not in ten seconds hangs."""
POLL_SECONDS: Final = 0.2
light = App(
    name="light", help="The light node of an enterprise: a verified copy, answered over HTTP"
)
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
    told(
        output,
        f"{directory}: light node of {wallet.name}; start it with: tally light run {directory}",
        directory=str(directory),
        wallet=wallet.name,
    )


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
    sign = _signatory(directory, config, genesis).envelope if config.commands else None
    # A core dump would hold the key.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.umask(0o077)
    logs.configure(config.name)
    trio.run(daemon.run, directory, config, genesis, key, sign, _by_words(directory, config))


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
        texts = value if option.many else [value]
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            shape = "a list of texts" if option.many else "a text"
            raise UsageError("USAGE", f"{name}: {shape}, as on the command line")
    reading = Reading(book, acting, given.get("currency", "CNY"))
    return build(entry, reading, label, given)


def _signatory(directory: Path, config: LightConfig, genesis: Genesis) -> Signatory:
    """Who signs; each key that it may need can be read now, rather than on the first payment."""
    place = directory / config.wallet
    signatory = Signatory(place.parent.parent, place.name, genesis_hash(genesis))
    for person in signatory.wallet.people:
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


def ask(directory: Path, path: str) -> dict[str, Any]:
    """What the light node of a directory answers.

    Raises:
        LightError: LIGHT_UNREACHABLE, or the code of its answer.
        ConfigError, TokenError.
    """
    config, token = load_light(directory), read_token(directory)
    line = http.client.HTTPConnection(config.http_host, config.http_port, timeout=ANSWER_SECONDS)
    try:
        line.request("GET", path, headers={"Authorization": f"Bearer {token}"})
        response = line.getresponse()
        answer = json.loads(response.read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise LightError(
            "LIGHT_UNREACHABLE", f"{config.http_host}:{config.http_port}: {error}"
        ) from None
    finally:
        line.close()
    if response.status != http.client.OK:
        raise LightError(answer["code"], answer["message"])
    return dict(answer)


def add_light_commands(app: App) -> None:
    """Add the commands of this module."""
    app.command(light)


__all__ = ["LightError", "add_light_commands", "ask", "command_by_words"]
