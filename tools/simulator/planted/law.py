"""Bugs in what the network carries out and tells its clients (voucher law, reliability D, I1 to I16)."""

from __future__ import annotations

from typing import Final

from tools.simulator.planted.plant import Plant

_EXECUTE: Final = "node/ledger/execute.py"
_RANGES: Final = "node/ledger/ranges.py"
_SERVICE: Final = "node/service.py"
_TRUST: Final = "tallynet/client/trust.py"
_VALIDATORS: Final = "tallynet/validators.py"

LAW: Final = (
    Plant(
        "refused-command-keeps-its-effects", "I10", _EXECUTE,
        "    except LedgerError:\n        state.rollback()\n        raise\n",
        "    except LedgerError:\n        state.accept()\n        raise\n",
    ),
    Plant(
        "aborted-envelope-keeps-its-effects", "I10", _EXECUTE,
        "                state.rollback()\n                return _aborted",
        "                state.accept()\n                return _aborted",
    ),
    Plant(
        "executed-ids-not-remembered", "D9", _EXECUTE,
        "        remembered.remember(state, envelope)\n",
        "",
    ),
    Plant(
        "executed-ids-forgotten-too-early", "D9, INV-14", "node/ledger/prologue.py",
        "    remembered.forget(state, time)\n",
        "    remembered.forget(state, time + 3_600)\n",
    ),
    Plant(
        "client-signatures-unchecked", "oracle 2", _EXECUTE,
        "    check_signatures(envelope, acting, genesis, verify)\n",
        "",
    ),
    Plant(
        "order-of-a-set", "D1", "node/executor.py",
        "        envelopes = tuple(self._require(hash) for hash in request.envelopes)\n",
        "        envelopes = tuple(self._require(hash) for hash in set(request.envelopes))\n",
    ),
    Plant(
        "batch-in-the-order-of-a-set", "D1", "consensus/pool.py",
        "        return tuple(batch)\n",
        "        return tuple(set(batch))\n",
    ),
    Plant(
        "carve-one-fen-short", "I1", _RANGES,
        "    cut = lot.end - amount\n",
        "    cut = lot.end - amount + 1\n",
    ),
    Plant(
        "carve-overlaps-by-one-fen", "I1", _RANGES,
        "    _put(context, voucher_id, msgspec.structs.replace(lot, end=cut, covered=kept), lot)\n",
        "    _put(context, voucher_id, msgspec.structs.replace(lot, end=cut + 1, covered=kept), lot)\n",
    ),
    Plant(
        "lots-of-two-holders-joined", "I9", _RANGES,
        "        and a.holder == b.holder\n",
        "",
    ),
    Plant(
        "join-loses-a-fen", "I1", _RANGES,
        "        end=right.end,\n",
        "        end=right.end - 1,\n",
    ),
    Plant(
        "lot-of-somebody-else-transferred", "I9", "node/ledger/lots.py",
        "    if lot.holder != context.acting:\n        raise refuse(\"NOT_HOLDER\", \"the lot is held by another organisation\")\n    require_free(lot)\n",
        "    require_free(lot)\n",
    ),
    Plant(
        "bank-receipt-used-twice", "I8", "node/ledger/bank_receipts.py",
        "    if context.find(BankReceipt, id) is not None:\n",
        "    if context.find(BankReceipt, used_by) is not None:\n",
        "market",
    ),
    Plant(
        "line-not-used-at-issue", "I3", "node/ledger/vouchers.py",
        "    lines.use_reserved(context, voucher.issue_line, voucher.face)\n",
        "",
    ),
    Plant(
        "document-not-occupied", "I2", "node/ledger/documents.py",
        "document.occupied + ",
        "0 * document.occupied + ",
    ),
    Plant(
        "receipt-proof-one-leaf-off", "C7", _SERVICE,
        "        part.append(ProvenReceipt(receipt, result.tree.prove(index + 1)))\n",
        "        part.append(ProvenReceipt(receipt, result.tree.prove(index)))\n",
    ),
    Plant(
        "stored-receipt-proof-one-leaf-off", "C7", _SERVICE,
        "tree.prove(index + 1))\n        session",
        "tree.prove(index))\n        session",
    ),
    Plant(
        "client-believes-without-certificate", "B6, E9", _VALIDATORS,
        "        commit = self.committed(certificate)\n",
        "        commit = decode(Commit, certificate.vote)\n",
        "swindlers",
    ),
    Plant(
        "client-believes-without-proof", "C7, E9", _TRUST,
        "        if not verify_list_proof(block.commit.receipts_root, proven.receipt, proven.proof):\n",
        "        if proven.proof.count < 1:\n",
        "swindlers",
    ),
    Plant(
        "client-believes-another-header", "E9", _VALIDATORS,
        "        if commit.block != block_hash(header_bytes):\n",
        "        if not commit.block:\n",
        "swindlers",
    ),
)  # fmt: skip
