"""What each stable code means and what to do about it: for `tally explain`, error lines, pages, docs.

The Chinese is in `tools.explanations_zh`, code by code. Receipts carry codes only, so that they stay small and mean the same for ever (voucher law §20); the
sentences for people are here and may become better at any time.
"""

from __future__ import annotations

from typing import Final

from node.web.texts import Language
from tallynet.documents.errors import DOCUMENT_REMEDIES, INVOICE_REMEDIES
from tools.explanations_zh import EXPLANATIONS_ZH

LEDGER: Final[dict[str, str]] = {
    # form
    "ENVELOPE_MALFORMED": "The bytes are no envelope. Build it with the client library of this version.",
    "ENVELOPE_TOO_LARGE": "The envelope exceeds the size limit. Split its commands over several.",
    "NETWORK_MISMATCH": "It was signed for another network. Use the genesis file of this network.",
    "EXPIRED": "`valid_until` has passed in block time. If no receipt exists, sign anew.",
    "VALIDITY_TOO_LONG": "`valid_until` is too far ahead. Choose one within"
    " `envelope_lifetime_seconds`.",
    "DUPLICATE_TRANSACTION": "Exactly these bytes were executed already; the first receipt counts."
    " For a second, wanted act choose another label.",
    "COMMAND_COUNT": "An envelope holds 1 to 1000 commands.",
    "UNKNOWN_COMMAND": "This network knows no such command. See `tally rules`.",
    "SCHEMA_INVALID": "A field has the wrong form or order (lists of ids are sorted and distinct)."
    " See the reference of the command.",
    "ATOMIC_ABORTED": "Another command of the same atomic envelope failed; its index is in the"
    " result. Correct that one and sign anew.",
    # authority
    "SIGNATURE_INVALID": "A signature or proof of possession does not fit its key. Sign again with"
    " the right key file.",
    "KEY_UNKNOWN": "A signer's key is not registered for the acting organisation. Add it first"
    " (`tally key add`) or sign with another.",
    "KEY_REVOKED": "A signer's key is revoked or outside its validity. Sign with a live key.",
    "KEY_WEAK": "The public key is not canonical or of small order. Make a new key.",
    "KEY_CAP": "The amount exceeds the cap of the machine key. Let people sign.",
    "POLICY_UNSATISFIED": "The signers' roles or number do not satisfy the policy for this act and"
    " amount. Add the missing people: `--sign-as PERSON:ROLE,...`.",
    "SAME_PERSON": "Two keys belong to one person; maker and checker must be different people.",
    "NOT_AUTHORISED": "The acting organisation is not the one that may do this.",
    "NOT_SPONSOR": "Only the sponsoring bank of that organisation may do this.",
    "NOT_LICENSED": "The organisation lacks the kind (licence) that this act needs.",
    "ORGANISATION_INACTIVE": "An organisation involved is suspended or closed. Its sponsor can"
    " resume it.",
    "KYC_INSUFFICIENT": "The organisation's KYC level is too low. Its sponsor can raise it"
    " (`tally organisation kyc`).",
    "CONSENT_NOT_OPEN": "There is no open joint act with that hash, or no consent of yours in it.",
    "CONSENT_REPEATED": "This organisation has already consented; the others have to act now.",
    # value
    "AMOUNT_RANGE": "An amount is zero, negative or too large, or parts do not sum up.",
    "DATE_RANGE": "A date is outside its range, or an interval ends before it begins.",
    "CURRENCY_MISMATCH": "Two records involved are in different currencies, or the currency is not"
    " in the parameter `currencies`.",
    "RECORD_NOT_FOUND": "A record that the command names does not exist. Check owner and label, or"
    " the id.",
    "ID_IN_USE": "This organisation has used the label for such a record already. Choose another.",
    "STATE_CONFLICT": "The record is in a state that does not allow this. Look at it with"
    " `tally show`.",
    "BATCH_LIMIT": "Too many items at once, or too many kept for one organisation. Use fewer.",
    # governance
    "PARAMETER_UNKNOWN": "There is no parameter of this name.",
    "PARAMETER_BOUNDS": "The value is outside the bounds of the parameter.",
    "PARAMETER_DATE": "A parameter can only change from a later business date on.",
    "CALENDAR_PAST_DAY": "Only days after the business date can be declared.",
    "VALIDATOR_SET_SIZE": "The network needs at least four validators, and takes a hundred.",
    # identity
    "ORGANISATION_DUPLICATE": "An organisation with this tax id is registered already.",
    "SPONSOR_REQUIRED": "Cores, suppliers and distributors are registered by a bank; institutions"
    " are admitted by the banks together.",
    "BRANCH_DEPTH": "Branches may not be nested that deep.",
    "BRANCH_CLOSED": "The branch is closed: it can neither issue nor draw.",
    "POLICY_TOO_WEAK": "The policy is below the network's floor for this class of acts; or too few"
    " people would be left who can change keys.",
    "RECOVERY_TIMELOCK": "A recovery runs and its time lock has not passed; or it has, and it is too"
    " late to cancel.",
    "ACCOUNT_DUPLICATE": "This account is bound already.",
    "ACCOUNT_UNVERIFIED": "The account is not verified. Its bank has to confirm it first"
    " (`tally account verify`).",
    # limit
    "PROGRAMME_RULE": "The programme's rules, or the network's bounds for such rules, forbid this.",
    "PROGRAMME_NOT_MEMBER": "The organisation is no member of the programme"
    " (`tally programme join`).",
    "LINE_KIND": "This kind of line cannot be granted so, or a line of another kind is needed.",
    "LINE_EXCEEDED": "The credit line has no room for this. Lower the amount, or ask the grantor.",
    "LINE_INACTIVE": "The credit line is suspended, or today is outside its validity.",
    "LINE_SEALED": "Limit and use of this line are sealed: only its grantor uses it, and commits to the"
    " new state in the same envelope. As a supplier, ask the bank for a quote"
    " (`tally financing request`); as the bank, use `tally`, which does it.",
    "ALLOCATION_EXCEEDED": "The allocations exceed the lines of the core.",
    "FEE_INVALID": "The fee schedule or waiver begins in the past, or its numbers do not fit its kind.",
    "WAIVER_OVERLAP": "A waiver of the same scope covers some of these days. Revoke it first.",
    "FUND_INSUFFICIENT": "The fund has not enough uncommitted money.",
    # document
    "DOCUMENT_DUPLICATE": "This invoice is registered already, by others. No two banks can finance"
    " it twice.",
    "DOCUMENT_CONFLICT": "The same invoice is registered with other content. Seller and buyer must"
    " share salt and key.",
    "DOCUMENT_STATE": "The document is void.",
    "DOCUMENT_VOID": "A document behind the voucher is void; no new financing.",
    "DOCUMENT_PARTY": "The parties of the document do not fit: its debtor must issue, its creditor"
    " be the payee.",
    "DOCUMENT_OVERUSED": "More would be promised on the document than its total, or it backs"
    " another voucher exclusively.",
    "DOCUMENT_REQUIRED": "The programme wants a trade document of the sender's own with each piece.",
    "ORACLE_REQUIRED": "Only an attestor, bank or counterparty may attest this.",
    "READER_KEY": "No such key was granted to the reader, or one of that epoch is there already.",
    "FLOW_OVERLAP": "The period overlaps an earlier anchor.",
    "FLOW_COLLAPSED": "The debtor's business flow has collapsed; this offer is stopped meanwhile.",
    # voucher
    "ISSUER_BLOCKED": "The debtor may not issue: it is overdue, or was blocked.",
    "TENOR_EXCEEDED": "The maturity is too far ahead for network or programme.",
    "PAYMENT_TERM_EXCEEDED": "A small supplier must be paid sooner after delivery.",
    "PROMISE_MISSING": "The promise must waive set-off and defences and consent to notice by"
    " transfer.",
    "NOT_PAYEE": "Only the first payee may claim or reject the voucher, with explicit consent.",
    "CLAIM_EXPIRED": "The claim deadline has passed; the debtor has to issue again.",
    "VOUCHER_STATE": "The voucher's status does not allow this. See `tally voucher show`.",
    "VOUCHER_SUSPENDED": "A regulator or court suspended the voucher; only payment goes on.",
    "HOLDER_CONSENT_MISSING": "Every holder must consent.",
    # lot
    "NOT_HOLDER": "The acting organisation does not hold this lot. See `tally voucher show`.",
    "LOT_STATE": "The lot's state does not allow this. See `tally voucher show`.",
    "LOT_LOCKED": "A financing in progress locks the lot.",
    "LOT_FROZEN": "A court or regulator froze the lot.",
    "LOT_DISPUTED": "The lot is disputed.",
    "LOT_ENCUMBERED": "The lot is pledged or otherwise encumbered.",
    "LOT_LIMIT": "The voucher would have too many lots.",
    "HOP_LIMIT": "The lot has been passed on as often as the voucher allows.",
    "PIECE_TOO_SMALL": "A piece is smaller than the programme's minimum.",
    "TRANSFER_BARRED": "The voucher's parties agreed that it is not passed on.",
    "RECEIVER_NOT_ELIGIBLE": "The receiver is unknown, inactive, the sender itself or the debtor,"
    " no member, or its KYC level is too low.",
    "NOT_MERGEABLE": "Only adjacent and otherwise equal lots can be merged.",
    # financing
    "NO_OFFER": "No open offer fits this draw.",
    "OFFER_SCOPE": "The offer does not cover this debtor, programme, currency or day, or is closed.",
    "OFFER_CAP": "The amount is outside what the offer allows per draw, organisation or in total.",
    "TENOR_BAND": "The offer's grid has no rate for so many days.",
    "QUOTE_EXPIRED": "The quote has expired.",
    "SELF_DEALING": "Funder, drawer and debtor must be different organisations here.",
    "PURPOSE_REQUIRED": "The use of proceeds must be given.",
    "PAYEE_NOT_ALLOWED": "Money goes to a verified account of the drawer only.",
    "NET_NOT_POSITIVE": "Nothing would be left after the discount. Draw more.",
    "REVIEW_REQUIRED": "The tenor is long; the financing bank has to review the voucher first.",
    "REGISTRATION_REQUIRED": "The funder's bank pays out after registration only.",
    "RECEIPT_REUSED": "This bank receipt number has been used. One receipt proves one payment.",
    "AMOUNT_MISMATCH": "The amount confirmed is not the amount of the instruction.",
    "OVERPAYMENT": "More would be paid than is owed.",
    "NO_RECOURSE": "There is no recourse for this lot.",
    "BACKSTOP_NOT_TRIGGERED": "The backstop is not open.",
    "BACKSTOP_CAP": "The backstop has no room for this.",
    # settlement and legal
    "FUNDS_EXCEEDED": "More money is reported than the debtor still owes.",
    "FUNDS_SHORT": "The debtor's money does not cover this payment yet. Report funds first"
    " (`tally settlement funds-received`).",
    "SETTLEMENT_REPLAY": "This instruction is closed; the holder was paid already.",
    "NET_MISMATCH": "What is netted is not due on one day in one currency, or somebody would be richer or"
    " poorer. Name other legs or amounts.",
    "GUARANTEE_CAP": "The guarantee does not cover so much.",
    "GUARANTEE_NOT_CALLED": "The guarantee was not called.",
    "NOT_FROZEN": "Only frozen lots allow this.",
    # goods and pools
    "PAYEE_FIXED": "The payee of this loan is fixed.",
    "RECEIPT_PLEDGED": "The warehouse receipt is pledged.",
    "QUANTITY_EXCEEDED": "More goods are named than the receipt holds.",
    "LOAN_TO_VALUE": "The loan would exceed its share of the goods' value; a call is refused as long as it does not.",
    "POOL_INELIGIBLE": "This cannot enter the pool.",
    "POOL_MEMBER": "The organisation is no member of the pool.",
}
"""Codes of receipts (voucher law §20)."""

CLIENT: Final[dict[str, str]] = {
    "OUTCOME_UNKNOWN": "There is no receipt yet: neither done nor failed. Ask again with"
    " `tally transaction ID`; the same act can take effect only once.",
    "NOT_CONNECTED": "No node answered. Start the network (`tally testnet up`) or check addresses"
    " in network.json.",
    "CONNECTION_LOST": "The connection ended. The same request can be repeated.",
    "STATE_WENT_BACK": "The nodes show an older state than this client has seen. Ask other nodes.",
    "STATE_TOO_OLD": "The newest state shown is too old to be believed. Ask other nodes.",
    "HEADS_UNCONFIRMED": "Validators of too few organisations say which block is the newest, so it is not known"
    " whether somebody withholds blocks. Name more nodes.",
    "ANCHOR_TOO_OLD": "What is known of the network is older than the trust period, in which its validators may"
    " have been replaced and their keys sold. Name nodes of f + 1 organisations with their keys, or take the"
    " trust directory of somebody whom you believe.",
    "FORK_SEEN": "Two quorums certified what contradicts each other: more validators are faulty than the network"
    " bears. Believe nothing of it; show the evidence file to the banks (`tally forensics`).",
    "OLD_SET": "A node showed another chain under validators that were replaced: somebody has their old keys.",
    "RECEIPT_OUT_OF_TIME": "A node showed a receipt of a time in which the envelope could not take effect:"
    " somebody has the keys of validators that were replaced. Another node is asked.",
    "BAD_CERTIFICATE": "A node showed a block that no quorum has signed like this. Another node is asked.",
    "BAD_PROOF": "A node showed something that is not in the block. Another node is asked.",
    "EVENTS_MISSING": "A node left out a part of the log. Another node is asked.",
    "TRUST_STORE_CORRUPT": "What was kept of earlier runs cannot be read. Restore a copy, or remove the file to"
    " begin at the genesis again.",
    "TRUST_STORE_OTHER_NETWORK": "The trust directory belongs to another network. Name another directory.",
    "TRUST_STORE_UNUSABLE": "The trust directory cannot be read or written. Check its owner and mode.",
    "LISTS_UNCONFIRMED": "Too few nodes of different organisations answered to be sure that a list is whole, or that a"
    " record is not shown. Name more nodes, or wait until they are back.",
    "CLIENT_BUSY": "Too many envelopes wait for receipts. Wait for some.",
    "CLIENT_CLOSED": "The program closed its connection while something was under way.",
    "CLIENT_UNKNOWN": "The node does not serve this key. Register it, or ask the node's operator.",
    "PEER_WRONG_KEY": "The server is not who it should be. Compare network.json with the genesis.",
    "NO_SUCH_BLOCK": "There is no block of that height.",
    "BAD_ANSWER": "What the node shows does not fit together. Another node is asked.",
    "BAD_CURSOR": "This page does not follow from that question. Ask from the start.",
    "HISTORY_GONE": "What you ask about may lie in blocks that this node does not hold any more. Ask another"
    " node, or from a later block on.",
    "NO_BLOCK": "The network has no block yet, so nothing can be proven. The first act makes one.",
    "VALIDATORS_CHANGED": "The network's validators changed. Connect to a node to learn how.",
    "BAD_HANDOVER": "A node showed a change of validators that the set before did not sign.",
    "NODE_EXISTS": "The network has a node of this name already. Choose another name.",
    "NODE_RETIRED": "The node has just ceased to be a validator and takes no transactions before it observes."
    " Use another node.",
    "POOL_FULL": "The node's pool is full, or your organisation's share of it. Try again shortly.",
    "BUSY": "The node has too many connections. Try again, or another node.",
    "TOO_MANY_WAITING": "Too many requests wait on this connection.",
    "CIPHERTEXT_ON_ITS_WAY": "The node fetches the ciphertext from other nodes. Ask again in a moment.",
    "CIPHERTEXT_MISSING": "No node that was asked has the ciphertext. Ask its owner to put it again"
    " (`tally document upload`).",
    "CIPHERTEXT_QUOTA": "The organisation's share of the node's room for ciphertexts is used up, or the"
    " node's own. Use another node, or ask its operator.",
    "CIPHERTEXT_SIZE": "More came of a ciphertext than was announced, or another size than before.",
    "CIPHERTEXT_HASH": "The bytes have not the hash that the chain names. Bring, or fetch, them again.",
    "CIPHERTEXT_BUSY": "The node's disk is busy with other ciphertexts. Ask again in a moment.",
    "CIPHERTEXT_STUCK": "No node takes more of the ciphertext, though each says that it would. Try again.",
    "CIPHERTEXT_DISK": "The node could not read or write the ciphertext. Try another node.",
}
"""Codes of the client library and of nodes at the door."""

PROOF: Final[dict[str, str]] = {
    "PROOF_TOO_LARGE": "The file is larger than proof files may be. Ask for several smaller ones.",
    "PROOF_FORMAT": "This is no proof file. `tally proof` makes them.",
    "PROOF_VERSION": "The file is of another version of the format. Use a verifier of that version.",
    "PROOF_MALFORMED": "The file is damaged or was changed: it is not the one encoding of anything. Ask for it"
    " again.",
    "PROOF_OTHER_NETWORK": "The proof is about another network. Take the genesis file of that one, from a source"
    " that you trust.",
    "PROOF_SURPLUS": "The file holds more signatures or hand-overs than its proof needs. It was changed, or made"
    " by other software; it is not believed.",
    "PROOF_INCOMPLETE": "Something was left out: lots, receipts, events, blocks or a hand-over. It proves"
    " nothing.",
    "PROOF_CONTRADICTION": "What the file says and what it shows differ. It proves nothing.",
    "BAD_CERTIFICATE": "The block is not signed by a quorum of the validators of its epoch. It proves nothing.",
    "BAD_PROOF": "The values do not lead to what the validators signed: they were changed, or are of another"
    " block.",
    "BAD_DISCLOSURE": "A field is not one of the document that was registered, or was changed.",
    "PROOF_MUTATED": "The verifier accepted a changed proof file. Keep both files and report it.",
}
"""Codes of `tally verify`, beside BAD_HANDOVER."""

LOCAL: Final[dict[str, str]] = {
    "USAGE": "The command line cannot be understood. The text shows the expected form;"
    " `--help` shows examples.",
    "CONTEXT_MISSING": "There is no context of this name. `tally context list` shows the known ones;"
    " TALLY_CONTEXT may name one that was removed.",
    "CONTEXT_INVALID": "contexts.json cannot be read, or the name is none: small letters, digits and hyphens."
    " Correct the file, or remove it.",
    "WALLET_EXISTS": "A wallet of this name exists. Choose another name; keys are never overwritten.",
    "WALLET_MISSING": "There is no wallet of this name. `tally wallet list` shows the known ones.",
    "RECOVERY_MISSING": "No recovery of this organisation was started from this network directory"
    " (`tally recovery start`).",
    "RECOVERY_PENDING": "The new keys are not in force: the time lock has not passed, or the recovery was"
    " cancelled.",
    "WALLET_INVALID": "wallet.json cannot be read. Restore it from a copy.",
    "SIGNERS_MISSING": "The wallet has not enough people for the roles needed."
    " Add one (`tally key add`).",
    "KEY_FILE_MISSING": "The key file does not exist. Restore it from a copy; without it the key"
    " must be revoked and replaced.",
    "KEY_FILE_INVALID": "The file holds no Ed25519 private key.",
    "KEY_FILE_EXISTS": "The key file exists already; keys are never overwritten.",
    "KEY_FILE_PASSPHRASE": "The passphrase is missing or wrong.",
    "KEY_FILE_UNSAFE": "Others may read the key file. `chmod 600` it, and replace the key if others"
    " had access.",
    "KEY_FILE_UNUSABLE": "The key file cannot be read or written.",
    "GENESIS_MISSING": "genesis.json does not exist. Name the right network directory"
    " (`--network`), or make one with `tally testnet init`.",
    "GENESIS_INVALID": "genesis.json cannot be read. Copy it from another member of the network.",
    "NETWORK_MISSING": "network.json does not exist. Name the right network directory"
    " (`--network`), or make one with `tally testnet init`.",
    "NETWORK_INVALID": "network.json cannot be read. The text says where.",
    "NETWORK_EXISTS": "The directory holds a network. Choose another, or remove it first.",
    "LIGHT_EXISTS": "The directory is a light node already. Name another, or remove it first.",
    "LIGHT_UNREACHABLE": "The light node does not run, or not at the address in light.toml. Start it"
    " (`tally light run DIR`); its log says why it stopped.",
    "LIGHT_OTHER_WALLET": "The wallet named in light.toml is of another organisation, or has no key. Correct `wallet`.",
    "TOKEN_UNUSABLE": "The token file of the light node is missing, too short, or others may read it. `chmod 600` it,"
    " or write 64 random hexadecimal digits into it.",
    "TOKEN_WRONG": "The request shows no token, or a wrong one. Send `Authorization: Bearer` and what the file `token`"
    " of the light node holds.",
    "COPY_CORRUPT": "A file of the light node cannot be read. Remove copy.sqlite; it is filled again. Do not remove"
    " commands.sqlite: without it an act may be signed for twice; restore a copy of it.",
    "COPY_OTHER": "The copy is of another network, organisation or version. Name another directory, or remove"
    " copy.sqlite.",
    "COPY_FULL": "The copy would hold too many records. Remove copy.sqlite to fill it with what is open, or run an"
    " observer.",
    "COPY_UNUSABLE": "The copy cannot be read or written: a full disk, a wrong mode, or a second light node at work"
    " over the same file.",
    "COPY_EMPTY": "The light node has not filled its copy yet. `tally light status DIR` says why.",
    "QUERY_INVALID": "A parameter of the request cannot be read. The text says which form it must have.",
    "COMMAND_INVALID": "It is no command: the text says what is missing or wrong. Nothing was signed.",
    "COMMAND_ID_USED": "Another command was sent under this id. Give each act an id of its own.",
    "ACCOUNT_EXISTS": "Somebody signs in under this name. Choose another, or change the account (`tally light person role`).",
    "ACCOUNT_MISSING": "Nobody signs in under this name. `tally light person list DIR` shows who does.",
    "ACCOUNT_INVALID": "The account would not fit: its name, its roles, or its person of the wallet. The text says which.",
    "ACCOUNTS_UNUSABLE": "people.json of the light node cannot be read or written, so nobody gets in. The text says why.",
    "PASSWORD_WEAK": "Choose a longer password: three or four words that do not belong together.",
    "NOT_ALLOWED": "Your account may not do this. Its roles are changed with `tally light person role`.",
    "OWN_PROPOSAL": "Whoever proposes never checks it himself. Have somebody else with the role checker do it.",
    "ALREADY_PROPOSED": "Wait until it is decided, or have it withdrawn, and look at what is left then.",
    "AGREED_ALREADY": "You have agreed. The organisation's policy asks for one more person.",
    "PROPOSAL_DECIDED": "It was decided meanwhile. Look at it again; what is still wanted can be proposed anew.",
    "PROPOSAL_MISSING": "There is no such proposal; a draft that nobody proposed is kept for a day.",
    "PROPOSALS_FULL": "Too many drafts and proposals wait. Decide or withdraw some.",
    "PROPOSER_GONE": "Somebody who stood for it lost the account or the role. Decline it and propose it anew.",
    "PERSON_MISSING": "The account's person is none of the wallet that the light node was started with. Correct it with"
    " `tally light person role --person`, or start the light node again.",
    "REASON_MISSING": "Write why you decline.",
    "PRICE_CHANGED": "The money would be another than was shown: the business day, the fee or the offer changed. Propose"
    " it anew to see today's price.",
    "DAY_ENDS": "The business day ends in seconds, and with it the price. It is looked at again on the next day.",
    "COMMANDS_OFF": "The light node only answers. Write `commands = true` into light.toml to have it sign for programs"
    " that hold the token.",
    "CURSOR_TOO_OLD": "The copy does not have all events behind this cursor: it keeps the newest 100,000, and none of"
    " before it was filled. Note `events.cursor` of /status, read the lists anew, then go on behind that cursor.",
    "BODY_TOO_LARGE": "The body is longer than such a request may be. Send less at once.",
    "UPLOAD_TYPE": "The Content-Type says no kind of file that is read: JSON lines, CSV, or an Excel workbook (.xlsx).",
    "UPLOAD_UNREADABLE": "The file is not what its Content-Type says, or its first row does not name the columns. The"
    " text says where.",
    "UPLOAD_TOO_LARGE": "The file has too many rows, or unpacks to too much. Split it; rows keep their ids.",
    "UPLOAD_OVER": "There was no connection for an hour after the upload, so the row was not signed. Upload the file"
    " again: what was executed stays as it is.",
    "CELL_FORMULA": "A cell begins as a formula does (`=`, `+`, `-`, `@`). Formulas are not evaluated: put the value"
    " itself there. The other rows were taken.",
    "SECRET_UNUSABLE": "The secret of a webhook is missing, too short, or others may read it. Write `whsec_` and BASE64"
    " of 32 random bytes into it, mode 0600.",
    "NO_SUCH_PATH": "The light node answers no such path. GET /openapi.json lists them.",
    "METHOD_NOT_ALLOWED": "The path is answered with another method: the header Allow names it.",
    "FAULT": "The light node itself is wrong; please report what its log says.",
    "VALIDATORS": "A testnet has 4 to 16 validators, or 1 for development.",
    "OBSERVERS": "A testnet has 16 observers at most.",
    "HOSTS": "Give one host, or one for each validator.",
    "PORT": "Choose ports from 1024 on.",
    "FILE_INVALID": "A file does not have the expected shape. The text names the place.",
    "FILE_EXISTS": "The file is there already, and is not overwritten. Name another one.",
    "ACCOUNT_DIFFERS": "An account number is not the one whose commitment the ledger has, or too long for"
    " the file. Ask the payee; nothing was written.",
    "NO_DEBIT_ACCOUNT": "Say from which account payments in this currency are made: --debit CUR:ACCOUNT.",
    "TOO_MANY_PARTS": "999 part payments of one instruction were written. Pay and confirm the rest by hand.",
    "ROWS_UNMATCHED": "Rows of the file were not confirmed; each says why. The others were. Mend the cause"
    " and read the file again: what was confirmed stays as it is.",
    "STATEMENT_DIFFERS": "The statement and the ledger do not say the same; each difference is listed.",
    "FILE_MISSING": "The file does not exist or cannot be read.",
    "FILE_UNUSABLE": "A file or directory cannot be read or written. Check its owner and mode.",
    "NODE_RUNNING": "The node runs already.",
    "NODE_NOT_RUNNING": "The node does not run. `tally testnet up` starts it.",
    "NODE_FAILED": "The node did not start. The end of its log is shown; `node.log` has the rest.",
    "CONFIG_INVALID": "node.toml has a wrong or missing setting. The text names it.",
    "CONFIG_MISSING": "node.toml does not exist. Name the node's own directory.",
    "CONFIG_SYNTAX": "node.toml is no TOML. The text says where.",
    "RESTART_NEEDED": "A setting was changed that no running node takes over; nothing was taken over. Restart the node, or put"
    " the settings back that the log names, and reload.",
    "NO_QUORUM": "The node sees fewer validators than a quorum: no blocks until more are back. `tally doctor` says who is"
    " missing.",
    "NOBODY_REACHED": "The observer reaches none of the nodes that it follows. `tally doctor` says why.",
    "BEHIND": "The node is more than ten blocks behind the others. It catches up by itself.",
    "FETCHING_STATE": "The node is too far behind for blocks and fetches the state; the text says how far it is.",
    "DISK_FULL": "The disk is nearly full, and a node whose write fails stops. Make room.",
    "MAP_FULL": "The database map is nearly full. Raise map_gib in node.toml and restart.",
    "DIVERGED": "The node has stopped: its results differ from the network's, or a quorum is on another chain. Keep its directory"
    " and its log; docs/operate/logs.md says how to go on.",
    "RETIRED": "The node belongs to no validator set any more, and observes as soon as it has seen the others go on.",
    "KEY_NOT_VALIDATOR": "The node's key is in no validator set. Use the key named in the genesis, or set in node.toml"
    ' join = true, until the banks add it, or role = "observer".',
    "KEY_VALIDATES": "An observer was given a validator's key, on whose vote the others count. Give it a key of its"
    " own; a validator that lost its disk observes by itself when it is started as usual.",
    "NOTHING_TO_FOLLOW": "An observer lists no node in node.toml. Add a [[peers]] entry.",
    "STORE_MISSING": "The directory holds no data of a node. Name a node's directory that has run.",
    "STORE_CORRUPT": "The node's data failed its checks. It stays out rather than answer wrongly;"
    " see the operator's guide.",
    "STORE_UNREADABLE": "The node's data could not be read to the end, which says nothing about the data. The text says"
    " what stood in the way: often too little memory, or another program's file in that place.",
    "EVIDENCE_INVALID": "The file is not one of `tally evidence save`. The text says where.",
    "EVIDENCE_OTHER_NETWORK": "The evidence is about another network. Name the right network directory"
    " (`--network`).",
    "DIRECTORY_EXISTS": "A chaos run breaks only a network that it makes itself. Name a directory that"
    " does not exist.",
    "FAKETIME_MISSING": "Wrong clocks need libfaketime. On Debian: apt-get install faketime.",
    "HELPER_FAILED": "A process of the chaos run itself ended or hung; nothing is said about the"
    " network. Its last words stand above.",
    "NO_PROGRESS": "The healthy network of a chaos run commits nothing. Is this machine overloaded?",
    "STILL_RUNS": "A node that was expected to end runs on; the kept directory holds its log.",
    "PACKAGES_MISSING": "Debian packages of `debian-packages.txt` are missing. Install them as root.",
    "MODEL_UNFINISHED": "The search of the model did not end. The text says why; nothing is proved.",
    "READING_KEY_MISSING": "The reader has no reading key yet. It makes one with `tally key reading`.",
    "DISCLOSURE_FALSE": "The disclosed fields are not those of the document on the chain. Do not rely on"
    " them.",
    "DOCUMENT_KEPT": "A document with this label is kept in the wallet already. Choose another label.",
    "PLAN_UNREADABLE": "The file holds no plan of a simulated run, or one of another version of the"
    " simulator. `tally simulate --seed N` needs no file.",
    "PLANT_UNKNOWN": "There is no planted bug of this name; docs/reference/planted-bugs.md lists them.",
    "PLANT_STALE": "The code has changed where a bug is to be planted, or the changed program does not"
    " start. Write the edit anew in tools/simulator/planted.",
    "SIMULATE_CHILD": "A process of the simulation ended by itself. Look at its message and at the"
    " memory of the machine, then run the same seeds again.",
}
"""Codes of this program's own files, processes and arguments."""

EXPLANATIONS: Final[dict[str, str]] = (
    {"OK": "Done, certified by a quorum of the banks."}
    | LEDGER
    | CLIENT
    | PROOF
    | LOCAL
    | {code: _text[0].upper() + _text[1:] + "." for code, _text in INVOICE_REMEDIES.items()}
    | {code: _text[0].upper() + _text[1:] + "." for code, _text in DOCUMENT_REMEDIES.items()}
)
"""Every code that users meet, with what it means and what to do."""


def explain(code: str, language: Language = Language.EN) -> str:
    """What a code means and what to do; empty for one that is not known."""
    table = EXPLANATIONS_ZH if language is Language.ZH else EXPLANATIONS
    return table.get(code, "")
