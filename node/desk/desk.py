"""From draft to receipt: somebody proposes, others agree, then it is signed with the keys of all of them and sent.

How many must agree, and who, is the policy of the organisation on the chain: the network is asked what it would do to
an act that these people sign. Beside that, whoever proposes never agrees to his own proposal, and where somebody else
may check, somebody else must.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from typing import Any, Final, final

import msgspec
import structlog
import trio

from node.desk.accounts import Account, Accounts, Duty
from node.desk.case import Draft
from node.desk.chain import POLICY_CODES, VALID_SECONDS, Chain, ChainError, Trial
from node.desk.office import Office, Person
from node.desk.proposals import Agreement, Price, Proposal, Proposals, State
from node.light.sending import NeverHappened
from node.web.texts import Language, text
from tallynet.client import OutcomeUnknown, Receipt
from tallynet.codec import Wire, decode, encode
from tallynet.commands import FinancingAccept, FinancingDraw, command_name
from tallynet.envelope import SIGNERS_MAX, open_envelope
from tallynet.errors import TallynetError
from tallynet.receipts import Created, EnvelopeReceipt
from tallynet.records import Kind, Role

__all__ = ["Desk", "DeskError", "new_id"]

REASON_CHARACTERS_MAX: Final = 500
SETTLE_SECONDS: Final = 3.0
"""How long whoever agreed last waits for the receipt, which takes a second when all is well; then the page follows."""
RETRY_SECONDS: Final = 2.0
DAY_END_SECONDS: Final = 3.0
"""Too little to be ordered in before the business day ends."""
_ORDER: Final = (Role.MAKER, Role.CHECKER, Role.APPROVER)


class DeskError(TallynetError):
    """NOT_ALLOWED: the account may not do that; OWN_PROPOSAL, ALREADY_PROPOSED, AGREED_ALREADY, PROPOSAL_DECIDED, PROPOSER_GONE,
    REASON_MISSING, PERSON_MISSING: why it is not done; PRICE_CHANGED. Also a code of the law, as the network would
    refuse the act now.

    `about` is what the code is about, to be said in another language: a name, or nothing."""

    def __init__(self, code: str, message: str, about: str = "") -> None:
        super().__init__(code, message)
        self.about: Final = about


def _not_done(code: str, about: str = "") -> DeskError:
    return DeskError(code, text(f"desk_{code}", Language.EN, what=about), about)


def new_id() -> str:
    """Of a proposal; also the label of what it makes."""
    return secrets.token_hex(16)


def role_of_each(people: Sequence[Person]) -> list[tuple[Person, Role]]:
    """As what each signs: whoever proposes first; every role of a policy once, if somebody has it."""
    free, chosen = list(people), list[tuple[Person, Role]]()
    for role in _ORDER:
        found = next((person for person in free if role in person.roles), None)
        if found is not None:
            free.remove(found)
            chosen.append((found, role))
    return chosen + [(person, person.roles[0]) for person in free]


@final
class Desk:
    """Of one organisation."""

    def __init__(
        self,
        chain: Chain,
        accounts: Accounts,
        proposals: Proposals,
        office: Office,
    ) -> None:
        self.chain: Final = chain
        self.accounts: Final = accounts
        self.proposals: Final = proposals
        self.office: Final = office
        self._nursery: trio.Nursery | None = None
        self._under_way: Final[dict[str, trio.Event]] = {}
        """Proposals that are being sent -> set when that ends."""
        self._troubles: Final[dict[str, TallynetError]] = {}
        """Of those, why there is no receipt yet."""
        self._deciding: Final = trio.Lock()
        """One decision at a time: each looks at what it decides about, and asks the network meanwhile."""

    async def run(self) -> None:
        """Send what is agreed, also what a stop has left, until cancelled."""
        async with trio.open_nursery() as self._nursery:
            for proposal in self.proposals.list(State.SENDING, limit=1_000):
                self._start(proposal.id)
            await trio.sleep_forever()

    # --- proposing ----------------------------------------------------------------------------------------

    async def draft(
        self,
        account: Account,
        *,
        id: str,
        action: str,
        subject: str,
        drafted: Draft,
    ) -> Proposal:
        """Keep what is to be shown, if the network would do it now.

        Raises:
            DeskError: NOT_ALLOWED, PERSON_MISSING, ALREADY_PROPOSED, or the code of the law that is in the way.
            ChainError, StaleAnswer, ProposalError, CopyError.
        """
        maker = self._agreement(account, Duty.MAKER)
        self._require_new(subject)
        # What no node could read is found here, and not when it is signed.
        wire = [decode(type(command), encode(command)) for command in drafted.commands]
        trial = await self._try_out(wire, [maker, *self._possible(maker)])
        if trial.code != "OK":
            raise DeskError(trial.code, trial.reason)
        proposal = Proposal(
            id=id,
            action=action,
            subject=subject,
            currency=drafted.currency,
            amount=drafted.amount,
            with_whom=drafted.with_whom,
            commands=tuple((command_name(each), encode(each)) for each in wire),
            notes=tuple(drafted.notes),
            document=drafted.document,
            price=_price(wire, trial),
            maker=maker,
        )
        self.proposals.save(proposal)
        return proposal

    async def propose(self, id: str, account: Account) -> None:
        """Have it checked; or signed at once, where nobody else may check and the policy asks for nobody else. Once
        more does nothing.

        Raises:
            DeskError: NOT_ALLOWED, PERSON_MISSING, ALREADY_PROPOSED, PRICE_CHANGED, or a code of the law.
            ChainError, StaleAnswer, ProposalError, CopyError.
        """
        async with self._deciding:
            proposal = self._own(id, account)
            if proposal.state is not State.DRAFT:
                return
            self._require_new(proposal.subject)
            await self._advance(proposal)
        await self._settled(id)

    async def withdraw(self, id: str, account: Account) -> None:
        """By its maker, before it is sent. Raises DeskError NOT_ALLOWED, PROPOSAL_DECIDED; ProposalError."""
        async with self._deciding:
            proposal = self._own(id, account)
            if proposal.state is State.WITHDRAWN:
                return
            _require(proposal, State.DRAFT, State.OPEN)
            self._decide(proposal, State.WITHDRAWN, account)

    # --- checking -----------------------------------------------------------------------------------------

    async def approve(self, id: str, account: Account) -> None:
        """Agree to a proposal of somebody else; the last who is needed has it signed and sent. Once more does
        nothing.

        Raises:
            DeskError: NOT_ALLOWED, OWN_PROPOSAL, PROPOSAL_DECIDED, PROPOSER_GONE, PERSON_MISSING, PRICE_CHANGED, or a
                code of the law.
            ChainError, StaleAnswer, ProposalError, CopyError.
        """
        async with self._deciding:
            proposal = self.proposals.get(id)
            agreement = self._checks(proposal, account)
            if any(each.account == account.name for each in proposal.agreed):
                if proposal.state is State.OPEN:
                    raise _not_done("AGREED_ALREADY")
                return
            _require(proposal, State.OPEN)
            agreed = (*proposal.agreed, agreement)
            await self._advance(msgspec.structs.replace(proposal, agreed=agreed))
        await self._settled(id)

    async def decline(self, id: str, account: Account, reason: str) -> None:
        """Refuse a proposal of somebody else. Raises DeskError NOT_ALLOWED, OWN_PROPOSAL, PROPOSAL_DECIDED,
        REASON_MISSING; ProposalError."""
        async with self._deciding:
            proposal = self.proposals.get(id)
            self._checks(proposal, account)
            if proposal.state is State.DECLINED and proposal.decided_by == account.name:
                return
            _require(proposal, State.OPEN)
            if not reason.strip():
                raise _not_done("REASON_MISSING")
            self._decide(proposal, State.DECLINED, account, reason.strip()[:REASON_CHARACTERS_MAX])

    def may_check(self, proposal: Proposal, account: Account) -> bool:
        """Whether the account can agree to it, or decline it, now."""
        return (
            proposal.state is State.OPEN
            and account.may(Duty.CHECKER)
            and account.person != proposal.maker.person
            and all(each.person != account.person for each in proposal.agreed)
        )

    def trouble(self, id: str) -> TallynetError | None:
        """Why a proposal that is being sent has no receipt yet; None: nothing is known to be wrong."""
        return self._troubles.get(id)

    def created(self, id: str) -> list[Created]:
        """What a proposal has made, by its receipt."""
        raw = self.proposals.get(id).receipt
        commands = decode(EnvelopeReceipt, raw).commands if raw else ()
        return [made for each in commands for made in each.created]

    # --- who stands for it --------------------------------------------------------------------------------

    def _require_new(self, subject: str) -> None:
        if subject in self.proposals.under_way():
            raise _not_done("ALREADY_PROPOSED")

    def _agreement(self, account: Account, duty: Duty) -> Agreement:
        if not account.may(duty):
            raise _not_done("NOT_ALLOWED", account.name)
        if account.person not in self.office.people:
            raise _not_done("PERSON_MISSING", account.person)
        return Agreement(account.name, account.person, int(time.time()))

    def _checks(self, proposal: Proposal, account: Account) -> Agreement:
        agreement = self._agreement(account, Duty.CHECKER)
        if account.person == proposal.maker.person or account.name == proposal.maker.account:
            raise _not_done("OWN_PROPOSAL")
        if proposal.state is State.DRAFT:
            raise _not_done("NOT_ALLOWED", account.name)
        return agreement

    def _own(self, id: str, account: Account) -> Proposal:
        proposal = self.proposals.get(id)
        if proposal.maker.account != account.name or proposal.maker.person != account.person:
            raise _not_done("NOT_ALLOWED", account.name)
        self._agreement(account, Duty.MAKER)
        return proposal

    def _others(self, maker: Agreement) -> list[Account]:
        """Who might check what this one makes."""
        return [
            account
            for account in self.accounts.all().values()
            if account.may(Duty.CHECKER) and account.person != maker.person
        ]

    def _possible(self, maker: Agreement) -> list[Agreement]:
        """Those of them who have a key, as many as an envelope takes."""
        found = [
            Agreement(account.name, account.person, maker.at)
            for account in self._others(maker)
            if account.person in self.office.people
        ]
        return found[: SIGNERS_MAX - 1]

    def _require_standing(self, proposal: Proposal) -> None:
        """Everybody who stood for it still may: an account that was taken away signs nothing more."""
        duties = [(proposal.maker, Duty.MAKER), *((each, Duty.CHECKER) for each in proposal.agreed)]
        for agreement, duty in duties:
            account = self.accounts.get(agreement.account)
            if account is None or not account.may(duty) or account.person != agreement.person:
                raise _not_done("PROPOSER_GONE", agreement.account)

    def _signers(self, agreements: Sequence[Agreement]) -> list[tuple[Person, Role]]:
        missing = [each.person for each in agreements if each.person not in self.office.people]
        if missing:
            raise _not_done("PERSON_MISSING", missing[0])
        return role_of_each([self.office.people[each.person] for each in agreements])

    async def _try_out(self, commands: Sequence[Wire], agreements: Sequence[Agreement]) -> Trial:
        return await self.chain.try_out(commands, self._signers(agreements))

    async def _advance(self, proposal: Proposal) -> None:
        """Keep who agreed; send it when they are enough."""
        self._require_standing(proposal)
        all_of_them = [proposal.maker, *proposal.agreed]
        trial = await self._try_out(proposal.wire, all_of_them)
        alone = not proposal.agreed and not self._others(proposal.maker)
        enough = trial.code not in POLICY_CODES and (bool(proposal.agreed) or alone)
        if trial.code in POLICY_CODES:
            stand = {each.person for each in all_of_them}
            more = [each for each in self._possible(proposal.maker) if each.person not in stand]
            if not more:
                raise DeskError(trial.code, trial.reason)
            # What else is in the way shows only to those who may.
            trial = await self._try_out(proposal.wire, [*all_of_them, *more][:SIGNERS_MAX])
        self._check(proposal, trial)
        state = State.SENDING if enough else State.OPEN
        self.proposals.save(msgspec.structs.replace(proposal, state=state))
        if enough:
            self._start(proposal.id)

    def _check(self, proposal: Proposal, trial: Trial) -> None:
        """Raises DeskError, unless the network would do what was shown."""
        if trial.code != "OK":
            raise DeskError(trial.code, trial.reason)
        price = _price(proposal.wire, trial)
        if proposal.price is not None and (
            price is None or not proposal.price.is_as_good_as(price)
        ):
            raise _not_done("PRICE_CHANGED")

    def _decide(self, proposal: Proposal, state: State, account: Account, reason: str = "") -> None:
        now = int(time.time())
        decided = msgspec.structs.replace(
            proposal,
            state=state,
            decided_by=account.name,
            decided_at=now,
            reason=reason,
            document=None,
        )
        self.proposals.save(decided)

    # --- sending ------------------------------------------------------------------------------------------

    def _start(self, id: str) -> None:
        if self._nursery is not None and id not in self._under_way:
            self._under_way[id] = trio.Event()
            self._nursery.start_soon(self._carry_out, id)

    async def _settled(self, id: str) -> None:
        """Wait a little for the receipt of what is being sent."""
        under_way = self._under_way.get(id)
        if under_way is not None:
            with trio.move_on_after(SETTLE_SECONDS):
                await under_way.wait()

    async def _carry_out(self, id: str) -> None:
        """Until there is a receipt, or there can be none any more."""
        try:
            while not await self._turn(id):  # noqa: ASYNC110 - the network is asked anew
                await trio.sleep(RETRY_SECONDS)
        finally:
            self._troubles.pop(id, None)
            self._under_way.pop(id).set()

    async def _turn(self, id: str) -> bool:
        """One attempt; whether it was the last."""
        try:
            try:
                receipt = await self._submit(self.proposals.get(id))
            except (DeskError, NeverHappened) as never:
                before = self._troubles.get(id)
                reason = never.message + (f"; before that, {before}" if before else "")
                self._end(id, State.REFUSED, code=never.code, reason=reason)
            else:
                self._take_in(id, receipt)
        except OutcomeUnknown:
            return False
        except TallynetError as error:  # the next connection, or a mended disk, may bring it
            log = structlog.get_logger("desk")
            log.warning("no receipt yet", proposal=id, code=error.code, message=error.message)
            self._troubles[id] = error
            return False
        return True

    def _take_in(self, id: str, receipt: Receipt) -> None:
        codes = [receipt.code, *(each.code for each in receipt.receipt.commands)]
        self._end(
            id,
            State.DONE if receipt.ok else State.REFUSED,
            code=next((code for code in codes if code not in ("OK", "ATOMIC_ABORTED")), "OK"),
            receipt=encode(receipt.receipt),
            transaction=receipt.transaction,
            height=receipt.height,
        )

    async def _submit(self, proposal: Proposal) -> Receipt:
        """Sign it, unless that was done before, and send it: always the same bytes, which the network executes once.

        Raises:
            DeskError, NeverHappened: it is not signed, or has expired.
            OutcomeUnknown, SubmissionRefused, and whatever else keeps it from being sent.
        """
        await self.chain.connected()
        if not proposal.envelope:
            agreements = [proposal.maker, *proposal.agreed]
            until = await self._prepare(proposal, agreements)
            # Last of all: nothing is waited for between this and the signature.
            self._require_standing(proposal)
            envelope = self.office.sign(proposal.wire, self._signers(agreements), until)
            proposal = msgspec.structs.replace(proposal, envelope=envelope.raw)
            self.proposals.save(proposal)
        return await self.chain.attempt(open_envelope(proposal.envelope))

    async def _prepare(self, proposal: Proposal, agreements: Sequence[Agreement]) -> int:
        """What must be there before it is signed; until when the signature may count."""
        if proposal.document is not None:
            kept = proposal.document
            self.office.keep(proposal.id, kept)
            await self.chain.client.put_ciphertext(Kind.DOCUMENT, kept.document, kept.ciphertext)
        until = int(time.time()) + VALID_SECONDS
        if proposal.price is None:
            return until
        network = await self.chain.network()
        self._check(proposal, await self._try_out(proposal.wire, agreements))
        if network.next_roll <= time.time() + DAY_END_SECONDS:
            raise ChainError("DAY_ENDS", "the business day ends; it is looked at again on the next")
        # The price is one of this business day: the signature ends with it.
        return min(until, network.next_roll - 1)

    def _end(self, id: str, state: State, **changes: Any) -> None:
        now = int(time.time())
        # A document of megabytes is in the wallet by now; lists read whole proposals.
        ended = msgspec.structs.replace(
            self.proposals.get(id), state=state, decided_at=now, document=None, **changes
        )
        self.proposals.save(ended)


def _require(proposal: Proposal, *states: State) -> None:
    if proposal.state not in states:
        raise _not_done("PROPOSAL_DECIDED")


def _price(commands: Sequence[Wire], trial: Trial) -> Price | None:
    """Of the draw among them, if it is one with a price: one that becomes a request has none yet."""
    for command, result in zip(commands, trial.results, strict=True):
        if isinstance(command, FinancingDraw | FinancingAccept) and len(result) == 5:
            discount, net, rate_ppm, days, fee = result
            return Price(discount, net, rate_ppm, days, fee)
    return None
