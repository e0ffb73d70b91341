"""The words of the trade and of the network, in both languages: docs/reference/glossary.md is made of this table.

What the web pages say is said by their own tables (`node.web.texts`, `node.web.words`); the glossary takes the words from there, so
that both always agree. Words of its own are those that no page needs. A voucher is never called 票据, which is another
thing in law.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from node.web.texts import TEXTS
from node.web.words import ACTS, WORDS
from tallynet.records import (
    FinancingKind,
    InstructionPurpose,
    Kind,
    LineKind,
    OrganisationKind,
    Role,
    VoucherStatus,
)

__all__ = ["GLOSSARY", "Entry"]

Words = tuple[str, str]
"""(Chinese, English)."""


@dataclass(frozen=True, slots=True)
class Entry:
    words: Words
    sentence: str
    page: str
    """Where it is explained, below docs/."""


def shown(key: str) -> Words:
    """What a page calls it, in the middle of a sentence."""
    chinese, english = TEXTS[key]
    return chinese, english[0].lower() + english[1:]


def coded(value: IntEnum) -> Words:
    """What the pages call a status, kind or role."""
    return WORDS[type(value)][value.name]


def acted(name: str) -> Words:
    """What the pages call a command."""
    return ACTS[name]


VOUCHERS: Final = "concepts/vouchers.md"
FINANCING: Final = "concepts/financing.md"
SETTLEMENT: Final = "concepts/settlement.md"
LEGAL: Final = "concepts/legal.md"
GOODS: Final = "concepts/goods.md"
LIMITS: Final = "concepts/limits-and-fees.md"
IDENTITY: Final = "concepts/identity.md"
DOCUMENTS: Final = "concepts/documents.md"
PENETRATION: Final = "concepts/penetration.md"
CONSENSUS: Final = "concepts/consensus.md"
STATE: Final = "concepts/state.md"
CLIENT: Final = "concepts/light-client.md"
PRIVACY: Final = "concepts/privacy.md"

GLOSSARY: Final[dict[str, tuple[Entry, ...]]] = {
    "Vouchers": (
        Entry(
            coded(Kind.VOUCHER),
            "A debtor's electronic promise to pay a face amount on a day, tied to a trade.",
            VOUCHERS,
        ),
        Entry(
            ("付款承诺", "payment promise"),
            "The debtor's signed, unconditional and irrevocable undertaking inside a voucher.",
            VOUCHERS,
        ),
        Entry(
            coded(Kind.LOT), "A range of a voucher's face that one organisation holds.", VOUCHERS
        ),
        Entry(
            shown("field_face"),
            "What a voucher promises in all, in the smallest unit of its currency.",
            VOUCHERS,
        ),
        Entry(acted("voucher.issue"), "The debtor signs a voucher for its first payee.", VOUCHERS),
        Entry(
            acted("voucher.claim"), "The payee accepts a voucher; only then can it move.", VOUCHERS
        ),
        Entry(acted("voucher.reject"), "The payee refuses a voucher.", VOUCHERS),
        Entry(acted("voucher.withdraw"), "The debtor takes an unclaimed voucher back.", VOUCHERS),
        Entry(("拆分", "split"), "A range is cut in two; nothing is lost or made by it.", VOUCHERS),
        Entry(
            acted("lot.transfer"),
            "A holder gives a part of what it holds to another organisation.",
            VOUCHERS,
        ),
        Entry(acted("lot.accept"), "Whoever was given a lot takes it.", VOUCHERS),
        Entry(acted("lot.merge"), "Neighbouring lots of one holder become one again.", VOUCHERS),
        Entry(
            shown("field_holder"),
            "To whom a lot belongs, and who is paid for it at maturity.",
            VOUCHERS,
        ),
        Entry(shown("field_hops"), "How often a lot has been passed on since the issue.", VOUCHERS),
        Entry(
            acted("voucher.extend"),
            "Maturity is moved, with the consent of everybody who has a right in the voucher.",
            VOUCHERS,
        ),
        Entry(coded(Kind.PROGRAMME), "A core enterprise's rules for its own chain.", LIMITS),
    ),
    "Who takes part": (
        Entry(
            coded(OrganisationKind.CORE),
            "The debtor at the head of a chain, and owner of a programme.",
            IDENTITY,
        ),
        Entry(
            ("链属企业", "chain enterprise"),
            "Any other member of a core enterprise's chain.",
            IDENTITY,
        ),
        Entry(
            coded(OrganisationKind.SUPPLIER),
            "Sells to the core or to another supplier, and holds vouchers for it.",
            IDENTITY,
        ),
        Entry(
            coded(OrganisationKind.DISTRIBUTOR), "Buys from a maker, with goods as security.", GOODS
        ),
        Entry(coded(OrganisationKind.FACTOR), "Buys receivables for a living.", FINANCING),
        Entry(coded(OrganisationKind.FUNDER), "Gives money for lots and is no bank.", FINANCING),
        Entry(
            shown("field_sponsor"),
            "The bank that brought an organisation onto the network and knows it.",
            IDENTITY,
        ),
        Entry(
            shown("field_clearing_bank"),
            "Receives the debtor's money at maturity and pays the holders.",
            SETTLEMENT,
        ),
        Entry(coded(Role.MAKER), "The person who prepares an act.", IDENTITY),
        Entry(coded(Role.CHECKER), "Another person, who checks it.", IDENTITY),
        Entry(coded(Role.APPROVER), "A third person, who approves large acts.", IDENTITY),
        Entry(
            coded(Kind.POLICY), "Which roles must sign what, and from which amount on.", IDENTITY
        ),
        Entry(
            coded(Kind.CONSENT),
            "An act that needs several organisations counts once all have sent it.",
            IDENTITY,
        ),
    ),
    "Documents": (
        Entry(
            shown("documents"),
            "The invoices, orders and receipts of goods behind a voucher.",
            DOCUMENTS,
        ),
        Entry(
            coded(Kind.FLOW_ANCHOR),
            "Anchored totals of an enterprise's business records; their collapse is an alarm.",
            DOCUMENTS,
        ),
        Entry(
            ("承诺值", "commitment"),
            "A hash that binds its maker to a value without showing it.",
            PRIVACY,
        ),
        Entry(
            ("中登网登记", "registration"),
            "A bank's entry in the national registry of movable property is noted.",
            FINANCING,
        ),
    ),
    "Money": (
        Entry(
            coded(FinancingKind.SALE),
            "A funder buys a lot and bears the debtor's risk alone. The everyday word is 贴现; it is not bill discounting.",
            FINANCING,
        ),
        Entry(
            coded(FinancingKind.LOAN_RECOURSE),
            "A loan that its borrower repays if the debtor does not.",
            FINANCING,
        ),
        Entry(
            coded(FinancingKind.LOAN_PLEDGE),
            "A lot secures a loan and stays its holder's.",
            FINANCING,
        ),
        Entry(
            coded(FinancingKind.REDISCOUNT),
            "A bank sells what it bought to another bank.",
            FINANCING,
        ),
        Entry(
            coded(Kind.OFFER),
            "Terms at which a funder is ready to finance whoever fits them.",
            FINANCING,
        ),
        Entry(
            coded(Kind.FINANCING_REQUEST),
            "A holder asks several funders for their price.",
            FINANCING,
        ),
        Entry(
            acted("financing.draw"), "A holder takes up an offer with a part of a lot.", FINANCING
        ),
        Entry(
            coded(InstructionPurpose.PAYOUT), "The funder's money leaves for the payee.", FINANCING
        ),
        Entry(
            ("受托支付", "controlled payee"),
            "The bank pays the named payee and not the borrower.",
            FINANCING,
        ),
        Entry(
            ("回款锁定", "locked account"),
            "The account to which repayment must go is fixed.",
            FINANCING,
        ),
        Entry(
            coded(Kind.INSTRUCTION),
            "What a bank has to pay, to whom and why; the network itself moves no money.",
            SETTLEMENT,
        ),
        Entry(
            coded(Kind.CREDIT_LINE),
            "How much one organisation may owe another, or a bank may bear.",
            LIMITS,
        ),
        Entry(("签发额度", "issue line"), "How much a core may promise in all.", LIMITS),
        Entry(
            coded(LineKind.DEBTOR_EXPOSURE), "How much of a debtor's risk a funder bears.", LIMITS
        ),
        Entry(
            coded(LineKind.ALLOCATION),
            "The part of a core's line that is given to a named supplier.",
            LIMITS,
        ),
        Entry(coded(Kind.WAIVER), "A fee is exempted, reduced or deferred (免、减、缓).", LIMITS),
        Entry(
            ("算头不算尾", "head counted, tail not"),
            "Interest counts the first day and not the last.",
            LIMITS,
        ),
    ),
    "Maturity, and when it goes wrong": (
        Entry(shown("field_maturity"), "The day on which the debtor pays.", SETTLEMENT),
        Entry(
            acted("settlement.paid"),
            "The debtor's money has reached the holder of a lot.",
            SETTLEMENT,
        ),
        Entry(
            coded(InstructionPurpose.SETTLEMENT),
            "The clearing bank pays the holders out of what the debtor paid in.",
            SETTLEMENT,
        ),
        Entry(("宽限期", "grace"), "Days after maturity in which no penalty runs.", SETTLEMENT),
        Entry(
            coded(VoucherStatus.OVERDUE),
            "Not all paid when the grace was over: recourse and guarantees may be called.",
            SETTLEMENT,
        ),
        Entry(
            coded(VoucherStatus.DEFAULTED),
            "Overdue for thirty days: holders may write it off.",
            SETTLEMENT,
        ),
        Entry(
            acted("settlement.net"),
            "Debts that run in a circle are cancelled against each other.",
            SETTLEMENT,
        ),
        Entry(
            coded(Kind.GUARANTEE),
            "A third party answers for a voucher, a debtor or a programme.",
            SETTLEMENT,
        ),
        Entry(
            ("代偿", "payment by a guarantor"),
            "A guarantor pays in the debtor's place.",
            SETTLEMENT,
        ),
        Entry(
            acted("financing.recourse.claim"),
            "The funder of a recourse loan asks its borrower for the money.",
            FINANCING,
        ),
        Entry(
            coded(Kind.BACKSTOP),
            "Banks have agreed beforehand to lend to holders in distress.",
            FINANCING,
        ),
        Entry(
            coded(Kind.DISTRESS_EVENT),
            "Trouble of a debtor, a region or an industry, declared so that help is allowed.",
            FINANCING,
        ),
        Entry(coded(Kind.FREEZE), "A court or regulator stops every move of a range.", LEGAL),
        Entry(
            acted("settlement.escrow"),
            "Money that nobody may take yet is kept by the clearing bank.",
            LEGAL,
        ),
        Entry(acted("freeze.force_transfer"), "A court gives a range to another holder.", LEGAL),
        Entry(
            coded(Kind.DISPUTE),
            "Two parties disagree about a range; until they agree it does not move.",
            LEGAL,
        ),
    ),
    "Goods": (
        Entry(
            coded(Kind.WAREHOUSE_RECEIPT),
            "A warehouse's word that it keeps certain goods for somebody.",
            GOODS,
        ),
        Entry(("1+N", "1+N"), "Finance for one maker and the many who sell its goods.", GOODS),
        Entry(coded(Kind.PREPAYMENT), "Money for a maker before it ships.", GOODS),
        Entry(coded(Kind.MARGIN), "What a borrower has to add when the goods lose value.", GOODS),
        Entry(
            coded(InstructionPurpose.BUYBACK),
            "The maker takes the goods back and pays the loan.",
            GOODS,
        ),
    ),
    "The network": (
        Entry(
            shown("validators"),
            "The nodes of the banks, which order and execute every act and vote on it.",
            CONSENSUS,
        ),
        Entry(
            ("观察节点", "observer"),
            "A node that follows the chain, checks every block, and does not vote.",
            "operate/observers.md",
        ),
        Entry(
            ("轻节点", "light node"),
            "An enterprise's daemon: a proven copy of what concerns it, answered over HTTP.",
            "operate/light-node.md",
        ),
        Entry(
            ("信封", "envelope"),
            "Commands of one organisation under one set of signatures.",
            CONSENSUS,
        ),
        Entry(shown("field_command"), "One act that is asked for.", "reference/commands.md"),
        Entry(shown("receipt"), "The certified result of an envelope.", CLIENT),
        Entry(shown("block"), "What is executed together, and certified.", CONSENSUS),
        Entry(shown("field_height"), "The number of a block.", CONSENSUS),
        Entry(
            shown("field_view"),
            "Whose turn it is to lead; it changes when a leader fails.",
            CONSENSUS,
        ),
        Entry(shown("field_epoch"), "A span of blocks with one set of validators.", CONSENSUS),
        Entry(shown("field_leader"), "The validator that proposes blocks in this view.", CONSENSUS),
        Entry(
            ("法定数", "quorum"),
            "So many validators that any two such groups share a correct one: three of four.",
            CONSENSUS,
        ),
        Entry(
            shown("certificate"),
            "The votes of a quorum on one block and its results: final, and proof to anybody.",
            CONSENSUS,
        ),
        Entry(
            shown("field_state_root"),
            "One hash that stands for all records; proofs lead to it.",
            STATE,
        ),
        Entry(("证明", "proof"), "The path from a value to a certificate.", "concepts/proofs.md"),
        Entry(
            ("创世文件", "genesis file"),
            "What a network begins with; its hash is the network's identity.",
            "operate/configuration.md",
        ),
        Entry(
            ("业务日期", "business date"),
            "The day by which the voucher law counts; a block begins it.",
            SETTLEMENT,
        ),
        Entry(
            ("穿透", "penetration"),
            "A proven trace up to debtor and funders, and down to the holders.",
            PENETRATION,
        ),
        Entry(
            ("违规证据", "evidence"),
            "Two statements signed by one validator that no correct one signs.",
            "operate/logs.md",
        ),
    ),
}
"""By chapter. Every entry names a page that says more."""
