"""A wallet as the desk of a light node is handed it (`node.desk`): whose signatures it has, and where documents go."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from node.desk.office import KeptDocument, Office, Person, Signers
from tallynet.codec import Wire
from tallynet.durable import sync_directory
from tallynet.envelope import Envelope
from tools.kept_documents import Secret, directory_of, write_kept
from tools.participant import Signatory
from tools.wallet import WalletError

__all__ = ["office_of"]


def office_of(signatory: Signatory) -> Office:
    wallet = signatory.wallet
    people = {person.name: person for person in wallet.people}

    def sign(commands: Sequence[Wire], signers: Signers, valid_until: int) -> Envelope:
        chosen = [(people[person.name], role) for person, role in signers]
        return signatory.envelope(commands, signers=chosen, valid_until=valid_until)

    def keep(label: str, document: KeptDocument) -> None:
        directory = directory_of(signatory.network, wallet, label)
        try:
            _keep(directory, document)
        except OSError as error:
            raise WalletError("FILE_UNUSABLE", f"{directory}: {error.strerror}") from None

    known = {name: Person(name, person.key_id, person.role_set) for name, person in people.items()}
    return Office(known, sign, keep)


def _keep(directory: Path, document: KeptDocument) -> None:
    if directory.exists():
        return
    secret = Secret(
        document=document.document.hex(),
        root=document.root.hex(),
        key=document.key.hex(),
        salt=document.salt.hex(),
        hint_key=document.hint_key.hex(),
    )
    # Whole or not at all: what is there already is not written again.
    ahead = directory.with_name(f"{directory.name}.new")
    for left in ahead.glob("*"):
        left.unlink()
    write_kept(ahead, secret, document.ciphertext)
    ahead.rename(directory)
    sync_directory(directory.parent)
