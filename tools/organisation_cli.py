"""`tally organisation register|admit|policy`, `tally key add|rotate`, `tally wallet list`.

These make keys and wallets, so they are not in the command table. A wallet exists on disk before its
keys are on the network. When a certified receipt says that the network refused, or nothing was sent,
what was made for the act is removed again. When the outcome is unknown it stays, because the keys may
be registered; when nodes refused at the door it is put aside, because that is only their word.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import msgspec
import trio
from cyclopts import App, Parameter

from tallynet import commands as c
from tallynet.client.errors import OutcomeUnknown, SubmissionRefused
from tallynet.keyfile import create_key_file, load_key_file
from tallynet.plain import from_plain, to_plain
from tallynet.records import Key, Kind, OrganisationKind, PolicyRule, Role, Size
from tools.arguments import UsageError
from tools.connect import connect, genesis_of
from tools.ledger_cli import (
    DEFAULT_NETWORK,
    AsOption,
    Common,
    NetworkOption,
    OutputOption,
    execute,
)
from tools.onboarding import admission, new_key, new_organisation, registration
from tools.output import Output, print_json, print_rows
from tools.participant import new_label
from tools.records_by_name import AddressBook, label_bytes
from tools.testnet_files import load_network
from tools.wallet import (
    WALLETS,
    Person,
    Wallet,
    WalletError,
    environment_passphrase,
    load_wallet,
    load_wallets,
    write_wallet,
)

REFUSED: Final = "wallets-refused"
"""Where wallets go whose registration nodes refused at the door; safe to delete after two minutes."""
ADMISSION_FILE: Final = "admission.json"
"""Body of the joint act that admits an institution: every bank must send the same."""
SignAsOption = Annotated[str, Parameter(name="--sign-as", help="PERSON:ROLE,... who signs")]
DryRunOption = Annotated[
    bool, Parameter(name="--dry-run", negative=(), help="ask what would happen, order nothing")
]
E = TypeVar("E", bound=IntEnum)


def one_of(enumeration: type[E], text: str) -> E:
    """An enum member by its name in lower case with hyphens. Raises UsageError."""
    name = text.upper().replace("-", "_")
    if name not in enumeration.__members__:
        known = ", ".join(m.lower().replace("_", "-") for m in enumeration.__members__)
        raise UsageError("USAGE", f"{text!r} is not one of: {known}")
    return enumeration[name]


@contextmanager
def made_for_the_act(
    undo: Callable[[], None], put_aside: Callable[[], None], *, dry_run: bool
) -> Iterator[None]:
    """Keep what was made for an act only as far as the act may have happened."""
    try:
        yield
    except OutcomeUnknown:
        raise
    except SubmissionRefused:
        put_aside()
        raise
    except (Exception, SystemExit):
        undo()
        raise
    if dry_run:
        undo()


def register(
    *,
    as_: AsOption,
    name: str,
    kind: str = "supplier",
    size: str = "small",
    tax_id: str = "",
    industry: str = "trade",
    region: str = "home",
    network: NetworkOption = DEFAULT_NETWORK,
    sign_as: SignAsOption = "",
    dry_run: DryRunOption = False,
    output: OutputOption = Output.table,
) -> None:
    """Register an enterprise as its sponsor bank; makes its wallet and keys.

    For example:

        tally organisation register --as bank-1 --name corner-parts --kind supplier --size micro

    Parameters
    ----------
    name
        Name of the new wallet: lower-case letters, digits, hyphens.
    kind
        core, supplier, distributor.
    size
        micro, small, medium, large; a micro enterprise has one person.
    tax_id
        Tax id; enters the chain as a commitment. Default: made from the name, for tests.
    industry
        Industry.
    region
        Region.
    """
    sponsor = load_wallet(network, as_)
    chosen_kind, chosen_size = one_of(OrganisationKind, kind), one_of(Size, size)
    check_name(name)
    wallet = new_organisation(network, sponsor, name, chosen_kind, chosen_size)
    directory = network / WALLETS / name

    def put_aside() -> None:
        target = network / REFUSED / f"{name}-{int(time.time())}"
        target.parent.mkdir(exist_ok=True)
        directory.rename(target)

    with made_for_the_act(lambda: shutil.rmtree(directory), put_aside, dry_run=dry_run):
        command = registration(
            network,
            genesis_of(network)[1],
            wallet,
            chosen_kind,
            chosen_size,
            tax_id=tax_id or None,
            industry=industry,
            region=region,
        )
        execute(Common(network, as_, "", sign_as, dry_run, output), command)


def check_name(name: str) -> None:
    """A wallet's name is a directory's name and a label. Raises UsageError."""
    label_bytes(name)
    if not all(ch in "abcdefghijklmnopqrstuvwxyz0123456789-" for ch in name) or name[0] == "-":
        raise UsageError("USAGE", f"{name!r}: use lower-case letters, digits and hyphens")


def admit(
    *,
    as_: AsOption,
    name: str,
    kinds: str = "",
    tax_id: str = "",
    industry: str = "finance",
    region: str = "home",
    network: NetworkOption = DEFAULT_NETWORK,
    sign_as: SignAsOption = "",
    dry_run: DryRunOption = False,
    output: OutputOption = Output.table,
) -> None:
    """Admit an institution (bank, factor, guarantor, court, ...): a joint act of the bank quorum.

    The first bank makes the wallet and the act's body, with --kinds; the others
    repeat the command without it and consent to the same body. The result shows
    consents given and needed.

    For example:

        tally organisation admit --as bank-1 --name fair-factor --kinds factor,funder

        tally organisation admit --as bank-2 --name fair-factor

    Parameters
    ----------
    name
        Name of the institution's wallet.
    kinds
        bank, factor, funder, guarantor, warehouse, clearing, oracle, court-agent, regulator,
        operator, trustee; several separated by commas.
    tax_id
        Tax id; enters the chain as a commitment. Default: made from the name, for tests.
    industry
        Industry.
    region
        Region.
    """
    check_name(name)
    directory = network / WALLETS / name
    made = not (directory / ADMISSION_FILE).exists()
    if made:
        if not kinds:
            raise UsageError("USAGE", "--kinds is missing; the first bank names them")
        make_admission(network, name, kinds, tax_id or f"test-{name}", industry, region)
    command = load_admission(directory / ADMISSION_FILE)

    def undo() -> None:
        if made:
            shutil.rmtree(directory)

    with made_for_the_act(undo, lambda: None, dry_run=dry_run):
        execute(Common(network, as_, "", sign_as, dry_run, output), command)


def make_admission(
    network: Path, name: str, kinds: str, tax_id: str, industry: str, region: str
) -> None:
    """Make the wallet and keep the body of the act for the other banks."""
    chosen = tuple(sorted({one_of(OrganisationKind, part) for part in kinds.split(",") if part}))
    command = admission(
        network,
        genesis_of(network)[1],
        name,
        chosen,
        new_label(),
        tax_id=tax_id,
        industry=industry,
        region=region,
    )
    path = network / WALLETS / name / ADMISSION_FILE
    path.write_text(json.dumps(to_plain(command), indent=1) + "\n", encoding="utf-8")


def load_admission(path: Path) -> c.OrganisationAdmit:
    """The body that the first bank made, under a label of this sender. Raises PlainError."""
    command = from_plain(c.OrganisationAdmit, read_json(path))
    return msgspec.structs.replace(command, label=new_label())


def read_json(path: Path) -> Any:
    """Content of a JSON file. Raises UsageError."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError("FILE_MISSING", f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise UsageError("FILE_INVALID", f"{path}: {error}") from None


def policy(
    *,
    as_: AsOption,
    rules: Path,
    branch: str = "",
    network: NetworkOption = DEFAULT_NETWORK,
    sign_as: SignAsOption = "",
    dry_run: DryRunOption = False,
    output: OutputOption = Output.table,
) -> None:
    """Set who must sign what in the acting organisation, or in a branch of it, from a JSON file.

    The file is a list of rules; amounts are fen, and classes that are not listed
    keep the default. A rule of a branch without roles and with 0 persons is a
    limit: from this amount on such acts are not delegated to it.

    [{"command_class": "ISSUE", "amount_from": 0,
    "roles": ["MAKER", "CHECKER"], "persons": 2}]

    For example:

        tally organisation policy --as harbour-tours --rules policy.json

    Parameters
    ----------
    rules
        The file.
    branch
        A branch of the acting organisation: wallet name or id. Default: the organisation itself.
    """
    delegated = AddressBook(network).organisation(branch) if branch else None
    found = from_plain(tuple[PolicyRule, ...], read_json(rules))
    ordered = tuple(sorted(found, key=lambda rule: (rule.command_class, rule.amount_from)))
    command = c.PolicySet(new_label(), ordered, delegated)
    execute(Common(network, as_, "", sign_as, dry_run, output), command)


def key_add(
    *,
    as_: AsOption,
    person: str,
    roles: str,
    network: NetworkOption = DEFAULT_NETWORK,
    sign_as: SignAsOption = "",
    dry_run: DryRunOption = False,
    output: OutputOption = Output.table,
) -> None:
    """Make a key for a further person of the acting organisation and register it.

    For example:

        tally key add --as harbour-tours --person deputy --roles checker,admin

    Parameters
    ----------
    person
        Name of the person in the wallet.
    roles
        maker, checker, approver, admin; several separated by commas; or api alone.
    """
    check_name(person)
    wallet = load_wallet(network, as_)
    if person in [known.name for known in wallet.people]:
        raise UsageError(
            "USAGE", f"{as_} has a person {person!r} already; replace a key with: tally key rotate"
        )
    chosen = sorted({one_of(Role, part) for part in roles.split(",") if part})
    path = network / WALLETS / wallet.name / f"{person}.key"
    added = make_person(path, person, tuple(role.name for role in chosen))

    def keep() -> None:
        people = (*wallet.people, added)
        write_wallet(network, msgspec.structs.replace(wallet, people=people))

    with made_for_the_act(path.unlink, lambda: put_key_aside(path), dry_run=dry_run):
        new = new_key(network, genesis_of(network)[1], wallet, added)
        command = c.KeyAdd(new_label(), new)
        try:
            execute(Common(network, as_, "", sign_as, dry_run, output), command)
        except (OutcomeUnknown, KeyboardInterrupt):
            keep()
            raise
    if not dry_run:
        keep()


def make_person(path: Path, name: str, roles: tuple[str, ...]) -> Person:
    public = create_key_file(path, environment_passphrase()).public_key().public_bytes_raw()
    return Person(name, roles, public.hex())


def put_key_aside(path: Path) -> None:
    path.rename(path.with_suffix(f".refused-{int(time.time())}"))


def key_rotate(
    *,
    as_: AsOption,
    person: str,
    network: NetworkOption = DEFAULT_NETWORK,
    sign_as: SignAsOption = "",
    dry_run: DryRunOption = False,
    output: OutputOption = Output.table,
) -> None:
    """Replace a person's key by a new one; the old one is revoked in the same act.

    When the outcome was unknown, repeat the command: it goes on with the same key.

    For example:

        tally key rotate --as harbour-tours --person maker

    Parameters
    ----------
    person
        Name of the person in the wallet.
    """
    wallet = load_wallet(network, as_)
    old = next((known for known in wallet.people if known.name == person), None)
    if old is None:
        names = ", ".join(known.name for known in wallet.people)
        raise UsageError("USAGE", f"{as_} has no person {person!r}; people: {names}")
    before = trio.run(registered_key, network, old.key_id)
    if before is None:
        raise WalletError("KEY_UNKNOWN", f"key {old.public_key} is not registered")
    path = network / WALLETS / wallet.name / f"{person}-next.key"
    added = next_person(path, f"{person}-next", old.roles)
    if trio.run(registered_key, network, added.key_id) is None:
        with made_for_the_act(path.unlink, lambda: put_key_aside(path), dry_run=dry_run):
            # Both keys are one person's (I10).
            new = msgspec.structs.replace(
                new_key(network, genesis_of(network)[1], wallet, added),
                person_commitment=before.person_commitment,
            )
            command = c.KeyRotate(new_label(), old.key_id, new)
            execute(Common(network, as_, "", sign_as, dry_run, output), command)
        if dry_run:
            return
    replace_key(network, wallet, old, added)


def next_person(path: Path, name: str, roles: tuple[str, ...]) -> Person:
    """A new key, or the one that an earlier rotation with unknown outcome left."""
    if not path.exists():
        return make_person(path, name, roles)
    public = load_key_file(path, environment_passphrase()).public_key().public_bytes_raw()
    return Person(name, roles, public.hex())


def replace_key(network: Path, wallet: Wallet, old: Person, added: Person) -> None:
    """Make the new key the person's own; the revoked one is kept under another name."""
    directory = network / WALLETS / wallet.name
    current = directory / f"{old.name}.key"
    current.rename(directory / f"{old.name}-{old.public_key[:8]}.revoked")
    (directory / f"{added.name}.key").rename(current)
    renewed = Person(old.name, old.roles, added.public_key)
    people = tuple(renewed if known == old else known for known in wallet.people)
    write_wallet(network, msgspec.structs.replace(wallet, people=people))


async def registered_key(network: Path, key: bytes) -> Key | None:
    """The key's record, or None when it is proven that there is none."""
    async with connect(network) as client:
        record = await client.read(Kind.KEY, key)
    return record if isinstance(record, Key) else None


wallet_app = App(name="wallet", help="Wallets of this network directory: keys and address book")


@wallet_app.command(name="list")
def list_wallets(
    *, network: NetworkOption = DEFAULT_NETWORK, output: OutputOption = Output.table
) -> None:
    """The organisations whose wallets are here, with their people's roles.

    For example:

        tally wallet list
    """
    load_network(network)
    wallets = load_wallets(network)
    if output is Output.json:
        print_json([msgspec.to_builtins(wallet) for wallet in wallets])
        return
    rows = [(w.name, ", ".join(w.kinds), w.organisation, people_text(w)) for w in wallets]
    print_rows("", ("name", "kinds", "organisation", "people"), rows)


def people_text(wallet: Wallet) -> str:
    return "\n".join(
        f"{person.name}: {', '.join(role.lower() for role in person.roles)}"
        for person in wallet.people
    )


def add_organisation_commands(app: App, nouns: dict[str, App]) -> None:
    """Add the commands of this module to the sub-apps of their nouns."""
    nouns["organisation"].command(register, name="register")
    nouns["organisation"].command(admit, name="admit")
    nouns["organisation"].command(policy, name="policy")
    nouns["key"].command(key_add, name="add")
    nouns["key"].command(key_rotate, name="rotate")
    app.command(wallet_app)


__all__ = ["add_organisation_commands", "check_name", "made_for_the_act", "one_of", "read_json"]
