"""From draft to receipt: who must agree, that nothing happens twice, and that what is signed is what was shown."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest
import trio
import trio.testing
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from node.desk import desk as desking
from node.desk.accounts import Account, Accounts, Duty
from node.desk.case import Draft
from node.desk.chain import Chain, Trial
from node.desk.desk import Desk, DeskError, new_id, role_of_each
from node.desk.office import KeptDocument, Office, Person, Signers
from node.desk.proposals import Agreement, Proposal, Proposals, State
from node.light import following
from node.light.copy import Copy
from node.light.database import CopyError
from node.light.following import Follower
from tallynet.client import build_envelope, key_id
from tallynet.codec import Wire, decode, encode
from tallynet.commands import FinancingDraw, LotAccept
from tallynet.envelope import Envelope, Mode, open_envelope
from tallynet.errors import TallynetError
from tallynet.messages import DryRunResult
from tallynet.receipts import CommandReceipt, EnvelopeReceipt
from tallynet.records import NETWORK_ID, Kind, Network, Purpose, Role
from tests.unit.client.serving import GENESIS, GENESIS_HASH, ORGANISATION, Server, serving
from tests.unit.desk.people import account, write
from tests.unit.net.samples import STRANGER

SECONDS_MAX = 20
ROLES = {"maker": Role.MAKER, "checker": Role.CHECKER, "approver": Role.APPROVER}
KEYS = {name: Ed25519PrivateKey.from_private_bytes(name.encode().ljust(32)) for name in ROLES}
PEOPLE = {
    name: Person(name, key_id(KEYS[name].public_key().public_bytes_raw()), (role,))
    for name, role in ROLES.items()
}
MAKER = account("maker", Duty.MAKER, Duty.CHECKER)
CHECKER = account("checker", Duty.CHECKER)
APPROVER = account("approver", Duty.CHECKER)
VIEWER = account("viewer", Duty.VIEWER)
NOTHING = bytes(32)


def sign(commands: Sequence[Wire], signers: Signers, until: int) -> Envelope:
    keys = [(person.key, role, KEYS[person.name]) for person, role in signers]
    return build_envelope(GENESIS_HASH, ORGANISATION, Mode.ATOMIC, commands, until, keys)


@dataclass
class Law:
    """What the nodes say to acts that are tried out, one answer after the other; OK when there is none left."""

    answers: list[str | tuple[int, ...]] = field(default_factory=list)

    def at(self, server: Server) -> None:
        ahead = self.answers

        def say(reply: Wire) -> Wire:
            if not isinstance(reply, DryRunResult):
                return reply
            said = ahead.pop(0) if ahead else "OK"
            code, result = ("OK", said) if isinstance(said, tuple) else (said, ())
            command = CommandReceipt(code, (), 0, result)
            receipt = EnvelopeReceipt(NOTHING, "OK", (command,), NOTHING)
            return DryRunResult(reply.request, reply.height, encode(receipt), (f"said {code}",))

        server.lie = say


@dataclass
class Room:
    """A desk, and what is around it."""

    desk: Desk
    follower: Follower
    servers: list[Server]
    kept: list[tuple[str, KeptDocument]]

    def says(self, *answers: str | tuple[int, ...]) -> None:
        """What the network says next."""
        for server in self.servers:
            Law(list(answers)).at(server)

    @property
    def sent(self) -> list[Envelope]:
        """Envelopes that reached the network, each once."""
        raw = {raw for s in self.servers for part in s.submits for raw in part}
        return [open_envelope(each) for each in sorted(raw)]


@asynccontextmanager
async def room(directory: Path, *accounts: Account, servers: list[Server]) -> AsyncIterator[Room]:
    if accounts:
        write(directory, *accounts)
    copy = Copy(directory / "copy.sqlite", GENESIS_HASH, ORGANISATION)
    proposals = Proposals(directory, GENESIS_HASH, ORGANISATION)
    addresses = [server.address for server in servers]
    follower = Follower(copy, addresses, GENESIS, STRANGER, directory / "trust")

    documents: list[tuple[str, KeptDocument]] = []
    office = Office(PEOPLE, sign, lambda label, it: documents.append((label, it)))
    desk = Desk(Chain(follower, GENESIS_HASH), Accounts(directory), proposals, office)
    made = Room(desk, follower, servers, documents)
    made.says()
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(follower.run)
            nursery.start_soon(desk.run)
            with trio.fail_after(SECONDS_MAX):
                await follower.connection(None)
            yield made
            nursery.cancel_scope.cancel()
    finally:
        copy.close()
        proposals.close()


async def drafted(
    room: Room,
    account: Account = MAKER,
    command: Wire | None = None,
    document: KeptDocument | None = None,
) -> str:
    id = new_id()
    act = command or LotAccept(id.encode(), b"v" * 16, 3)
    what = Draft("CNY", 3, b"w" * 16, [act], document=document)
    proposal = await room.desk.draft(
        account, id=id, action="accept", subject=f"accept:{id}", drafted=what
    )
    return proposal.id


async def opened(room: Room) -> str:
    id = await drafted(room)
    await room.desk.propose(id, MAKER)
    return id


async def ended(room: Room, id: str) -> Proposal:
    with trio.fail_after(SECONDS_MAX):
        while (found := room.desk.proposals.get(id)).state is State.SENDING:  # noqa: ASYNC110 - other threads
            await trio.sleep(0.01)
    return found


async def test_a_second_person_agrees_and_both_sign_what_was_shown(tmp_path: Path) -> None:
    with serving() as servers:
        async with room(tmp_path, MAKER, CHECKER, servers=servers) as here:
            id = await opened(here)
            shown = here.desk.proposals.get(id)
            assert (shown.state, here.sent) == (State.OPEN, [])
            await here.desk.approve(id, CHECKER)
            done = await ended(here, id)
            [envelope] = here.sent
        assert (done.state, done.code, done.transaction) == ("DONE", "OK", envelope.transaction)
        assert [encode(c) for c in envelope.body.commands] == [raw for _, raw in shown.commands]
        signed = [(signer.key, signer.role) for signer in envelope.body.signers]
        assert signed == [(PEOPLE[n].key, ROLES[n]) for n in ("maker", "checker")]


async def test_nobody_checks_his_own_proposal_and_roles_are_kept_to(tmp_path: Path) -> None:
    with serving() as servers:
        async with room(tmp_path, MAKER, CHECKER, VIEWER, servers=servers) as here:
            with pytest.raises(DeskError, match="no such role"):
                await drafted(here, CHECKER)
            id = await drafted(here)
            for step in (here.desk.approve(id, CHECKER), here.desk.propose(id, CHECKER)):
                with pytest.raises(DeskError) as early:
                    await step
                assert early.value.code == "NOT_ALLOWED"
            await here.desk.propose(id, MAKER)
            for who, code in ((MAKER, "OWN_PROPOSAL"), (VIEWER, "NOT_ALLOWED")):
                with pytest.raises(DeskError) as refused:
                    await here.desk.approve(id, who)
                assert refused.value.code == code
                with pytest.raises(DeskError) as silent:
                    await here.desk.decline(id, who, "no")
                assert silent.value.code == code
            renamed = account("second", Duty.CHECKER, person="maker")
            with pytest.raises(DeskError) as same:
                await here.desk.approve(id, renamed)
            assert same.value.code == "OWN_PROPOSAL", "another account of the same person"
            assert (here.desk.proposals.get(id).state, here.sent) == (State.OPEN, [])


async def test_where_nobody_else_may_check_one_person_acts_alone_if_the_policy_lets_him(
    tmp_path: Path,
) -> None:
    with serving() as servers:
        async with room(tmp_path, MAKER, VIEWER, servers=servers) as here:
            id = await opened(here)
            assert (await ended(here, id)).state is State.DONE
            here.says("OK", "POLICY_UNSATISFIED")
            other = await drafted(here)
            with pytest.raises(DeskError) as alone:
                await here.desk.propose(other, MAKER)
            assert alone.value.code == "POLICY_UNSATISFIED"
            assert here.desk.proposals.get(other).state is State.DRAFT
            assert len(here.sent) == 1


async def test_a_checker_without_a_key_is_a_checker_all_the_same(tmp_path: Path) -> None:
    gone = account("gone", Duty.CHECKER, person="nobody-of-the-wallet")
    with serving() as servers:
        async with room(tmp_path, MAKER, gone, servers=servers) as here:
            id = await opened(here)
            assert here.desk.proposals.get(id).state is State.OPEN
            with pytest.raises(DeskError) as keyless:
                await here.desk.approve(id, gone)
            assert keyless.value.code == "PERSON_MISSING"
            assert here.sent == []


async def test_the_policy_on_the_chain_says_how_many_must_agree(tmp_path: Path) -> None:
    with serving() as servers:
        async with room(tmp_path, MAKER, CHECKER, APPROVER, servers=servers) as here:
            id = await opened(here)
            here.says("POLICY_UNSATISFIED", "OK")
            await here.desk.approve(id, CHECKER)
            assert (here.desk.proposals.get(id).state, here.sent) == (State.OPEN, [])
            with pytest.raises(DeskError) as again:
                await here.desk.approve(id, CHECKER)
            assert again.value.code == "AGREED_ALREADY"
            assert not here.desk.may_check(here.desk.proposals.get(id), CHECKER)
            await here.desk.approve(id, APPROVER)
            assert (await ended(here, id)).state is State.DONE
            [envelope] = here.sent
        assert [signer.role for signer in envelope.body.signers] == list(ROLES.values())


async def test_clicks_and_restarts_do_nothing_twice(tmp_path: Path) -> None:
    with serving() as servers:
        async with room(tmp_path, MAKER, CHECKER, servers=servers) as here:
            id = await drafted(here)
            async with trio.open_nursery() as nursery:
                for _ in range(3):
                    nursery.start_soon(here.desk.propose, id, MAKER)
            async with trio.open_nursery() as nursery:
                for _ in range(3):
                    nursery.start_soon(here.desk.approve, id, CHECKER)
            first = await ended(here, id)
            await here.desk.approve(id, CHECKER)
            with pytest.raises(DeskError) as late:
                await here.desk.withdraw(id, MAKER)
            assert late.value.code == "PROPOSAL_DECIDED"
        async with room(tmp_path, servers=servers) as here:
            assert here.desk.proposals.get(id) == first
            assert len(here.sent) == 1


async def test_who_decides_while_the_network_is_asked_is_told_the_truth(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is told that a proposal was declined or withdrawn which is sent all the same."""
    with serving() as servers:
        async with room(tmp_path, MAKER, CHECKER, APPROVER, servers=servers) as here:
            ask, asked = here.desk.chain.try_out, trio.Event()

            async def slowly(commands: Sequence[Wire], signers: Signers) -> Trial:
                asked.set()
                await trio.testing.wait_all_tasks_blocked()
                return await ask(commands, signers)

            for late in (
                lambda id: here.desk.decline(id, APPROVER, "no"),
                lambda id: here.desk.withdraw(id, MAKER),
            ):
                id = await opened(here)
                monkeypatch.setattr(here.desk.chain, "try_out", slowly)
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(here.desk.approve, id, CHECKER)
                    await asked.wait()
                    with pytest.raises(DeskError) as decided:
                        await late(id)
                assert decided.value.code == "PROPOSAL_DECIDED"
                assert (await ended(here, id)).state is State.DONE
                monkeypatch.setattr(here.desk.chain, "try_out", ask)
                asked = trio.Event()


async def test_what_was_agreed_goes_on_after_a_stop_with_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desking, "SETTLE_SECONDS", 0.5)
    with serving() as servers:
        for server in servers:
            server.mute = True
        async with room(tmp_path, MAKER, CHECKER, servers=servers) as here:
            id = await opened(here)
            await here.desk.approve(id, CHECKER)
            assert here.desk.proposals.get(id).state is State.SENDING
            assert len(here.sent) == 1
        for server in servers:
            server.mute = False
        async with room(tmp_path, servers=servers) as here:
            assert (await ended(here, id)).state is State.DONE
            assert len(here.sent) == 1


async def test_what_was_agreed_and_not_signed_before_a_stop_is_signed_once(tmp_path: Path) -> None:
    with serving() as servers:
        async with room(tmp_path, MAKER, CHECKER, servers=servers) as here:
            id = await opened(here)
            proposal = here.desk.proposals.get(id)
            agreed = (Agreement("checker", "checker", int(time.time())),)
            here.desk.proposals.save(
                msgspec.structs.replace(proposal, state=State.SENDING, agreed=agreed)
            )
        async with room(tmp_path, servers=servers) as here:
            assert (await ended(here, id)).state is State.DONE
            assert len(here.sent) == 1


async def agreed(room: Room, seconds: int) -> str:
    """A proposal that was agreed on and signed, for so many seconds, before a stop."""
    id = await opened(room)
    proposal = room.desk.proposals.get(id)
    until = int(time.time()) + seconds
    envelope = sign(proposal.wire, [(PEOPLE["maker"], Role.MAKER)], until)
    room.desk.proposals.save(
        msgspec.structs.replace(
            proposal,
            state=State.SENDING,
            agreed=(Agreement("checker", "checker", int(time.time())),),
            envelope=envelope.raw,
        )
    )
    return id


async def test_what_was_signed_may_still_happen_whatever_nodes_say_at_the_door(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desking, "RETRY_SECONDS", 0.05)
    with serving() as servers:
        async with room(tmp_path, MAKER, CHECKER, servers=servers) as here:
            id = await agreed(here, 120)
        for server in servers:
            server.refuse = [("EXPIRED", "valid_until passed")] * 3
        async with room(tmp_path, servers=servers) as here:
            done = await ended(here, id)
            assert (done.state, done.code) == (State.DONE, "OK")


async def test_what_f_plus_1_know_nothing_of_after_its_validity_never_happened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desking, "RETRY_SECONDS", 0.05)
    with serving() as servers:
        async with room(tmp_path, MAKER, CHECKER, servers=servers) as here:
            id = await agreed(here, -1)
        async with room(tmp_path, servers=servers) as here:
            client = here.desk.chain.client
            assert not await here.follower.never_happened(client, bytes(32), int(time.time()))
            assert here.desk.proposals.get(id).state is State.SENDING, "a block may come late"
        monkeypatch.setattr(following, "LATE_SECONDS", -3)
        async with room(tmp_path, servers=servers) as here:
            never = await ended(here, id)
            assert (never.state, never.code, here.sent) == (State.REFUSED, "EXPIRED", [])


async def test_a_full_disk_delays_the_receipt_and_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desking, "RETRY_SECONDS", 0.05)
    with serving() as servers:
        async with room(tmp_path, MAKER, CHECKER, servers=servers) as here:
            id, save, full = await opened(here), here.desk.proposals.save, [True, True]

            def saving(proposal: Proposal) -> None:
                if proposal.state is State.DONE and full:
                    full.pop()
                    raise CopyError("COPY_UNUSABLE", "database or disk is full")
                save(proposal)

            monkeypatch.setattr(here.desk.proposals, "save", saving)
            await here.desk.approve(id, CHECKER)
            assert (await ended(here, id)).state is State.DONE
            assert (full, len(here.sent)) == ([], 1)


async def test_who_lost_the_account_between_agreement_and_signature_signs_nothing(
    tmp_path: Path,
) -> None:
    with serving() as servers:
        async with room(tmp_path, MAKER, CHECKER, servers=servers) as here:
            id = await opened(here)
            ask = here.desk.chain.connected

            async def slowly() -> None:
                write(tmp_path, MAKER)
                await ask()

            here.desk.chain.connected = slowly  # type: ignore[method-assign]  # what happens meanwhile
            await here.desk.approve(id, CHECKER)
            refused = await ended(here, id)
            assert (refused.state, refused.code) == (State.REFUSED, "PROPOSER_GONE")
            assert here.sent == []


async def test_a_document_is_in_the_wallet_before_it_is_signed_and_goes_from_the_proposal_then(
    tmp_path: Path,
) -> None:
    document = KeptDocument(b"d" * 16, b"r" * 32, b"s" * 32, b"k" * 32, b"h" * 32, b"sealed")
    with serving() as servers:
        async with room(tmp_path, MAKER, CHECKER, servers=servers) as here:
            taken: list[bytes] = []

            async def put(_kind: Kind, _id: bytes, ciphertext: bytes) -> None:
                assert here.kept == [(id, document)] and not here.sent
                taken.append(ciphertext)

            here.desk.chain.client.put_ciphertext = put  # type: ignore[method-assign]  # no node stores here
            id = await drafted(here, document=document)
            await here.desk.propose(id, MAKER)
            await here.desk.approve(id, CHECKER)
            done = await ended(here, id)
            assert (done.state, done.document, taken) == (State.DONE, None, [b"sealed"])


async def test_who_lost_the_account_stands_for_nothing_any_more(tmp_path: Path) -> None:
    with serving() as servers:
        async with room(tmp_path, MAKER, CHECKER, servers=servers) as here:
            id = await opened(here)
            write(tmp_path, CHECKER)
            with pytest.raises(DeskError) as gone:
                await here.desk.approve(id, CHECKER)
            assert gone.value.code == "PROPOSER_GONE"
            await here.desk.decline(id, CHECKER, "  its maker has left  ")
            declined = here.desk.proposals.get(id)
            assert (declined.state, declined.reason) == (State.DECLINED, "its maker has left")
            assert here.sent == []


async def test_what_the_law_forbids_is_not_even_drafted(tmp_path: Path) -> None:
    with serving() as servers:
        async with room(tmp_path, MAKER, CHECKER, servers=servers) as here:
            here.says("LINE_EXCEEDED")
            with pytest.raises(DeskError) as forbidden:
                await drafted(here)
            assert (forbidden.value.code, forbidden.value.message) == (
                "LINE_EXCEEDED", "said LINE_EXCEEDED",
            )  # fmt: skip
            assert here.desk.proposals.list(*State, limit=9) == []
            id = await opened(here)
            here.says("LOT_FROZEN")
            with pytest.raises(DeskError) as meanwhile:
                await here.desk.approve(id, CHECKER)
            assert meanwhile.value.code == "LOT_FROZEN"
            assert here.desk.proposals.get(id).agreed == ()


async def test_nodes_that_disagree_are_not_believed(tmp_path: Path) -> None:
    with serving() as servers:
        async with room(tmp_path, MAKER, servers=servers) as here:
            for number, server in enumerate(servers):
                Law([(number,)]).at(server)
            with pytest.raises(TallynetError) as unsure:
                await drafted(here)
            assert unsure.value.code == "LISTS_UNCONFIRMED"


# --- prices ---------------------------------------------------------------------------------------------


def draw(id: str) -> FinancingDraw:
    return FinancingDraw(id.encode(), b"o" * 16, b"v" * 16, 0, 100, b"a" * 16, Purpose.GOODS)


async def priced(room: Room, *answers: str | tuple[int, ...]) -> str:
    """A draw that is proposed; what the network says of it first."""
    network = Network(19_700, int(time.time()) + 60, 86_400, 0, 1, 1, (), None)
    chain = room.servers[0].chain
    chain.records[(int(Kind.NETWORK), NETWORK_ID)] = encode(network)
    other = sign([LotAccept(b"other", b"v" * 16, 9)], [(PEOPLE["maker"], Role.MAKER)], 10**10)
    chain.extend([other])  # a state that has the network's record
    room.says(*answers)
    return await drafted(room, MAKER, draw(new_id()))


async def test_a_price_is_what_was_shown_or_nothing_is_signed(tmp_path: Path) -> None:
    with serving() as servers:
        async with room(tmp_path, MAKER, CHECKER, servers=servers) as here:
            id = await priced(here, (1, 99, 43_500, 90, 0), (1, 99, 43_500, 90, 0))
            await here.desk.propose(id, MAKER)
            here.says((2, 98, 43_500, 91, 0))
            with pytest.raises(DeskError) as changed:
                await here.desk.approve(id, CHECKER)
            assert changed.value.code == "PRICE_CHANGED"
            here.says((1, 99, 43_400, 89, 0), (2, 98, 43_500, 91, 0))
            await here.desk.approve(id, CHECKER)
            refused = await ended(here, id)
            assert (refused.state, refused.code) == (State.REFUSED, "PRICE_CHANGED")
            assert here.sent == [], "it had changed between the approval and the signature"


async def test_a_signature_under_a_price_ends_with_the_business_day(tmp_path: Path) -> None:
    price = (1, 99, 43_500, 90, 0)
    with serving() as servers:
        async with room(tmp_path, MAKER, CHECKER, servers=servers) as here:
            id = await priced(here, price, price, price, price)
            await here.desk.propose(id, MAKER)
            await here.desk.approve(id, CHECKER)
            assert (await ended(here, id)).state is State.DONE
            [envelope] = here.sent
        raw = servers[0].chain.records[(int(Kind.NETWORK), NETWORK_ID)]
        assert envelope.body.valid_until == decode(Network, raw).next_roll - 1


# --- roles ----------------------------------------------------------------------------------------------


def test_every_role_is_played_by_whoever_has_it() -> None:
    both = Person("both", b"b" * 16, (Role.MAKER, Role.CHECKER))
    owner = Person("owner", b"o" * 16, (Role.ADMIN,))
    checker = PEOPLE["checker"]
    assert role_of_each([both, checker]) == [(both, Role.MAKER), (checker, Role.CHECKER)]
    assert role_of_each([PEOPLE["maker"], both]) == [
        (PEOPLE["maker"], Role.MAKER), (both, Role.CHECKER),
    ]  # fmt: skip
    assert role_of_each([owner]) == [(owner, Role.ADMIN)]
