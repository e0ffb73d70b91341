"""The state that the first block stands on: validators, founding institutions, parameters."""

from __future__ import annotations

from typing import Final

from node.ledger.parameters import parameter_id
from node.state.view import Index, StateView
from tallynet.genesis import Genesis, GenesisOrganisation
from tallynet.hashing import record_id
from tallynet.records import (
    NETWORK_ID,
    BranchStatus,
    Key,
    Kind,
    Network,
    Organisation,
    OrganisationStatus,
    Parameter,
    ParameterValue,
)

DAY_SECONDS: Final = 86_400
_UTC8: Final = 8 * 3600
KYC_ENHANCED: Final = 3


def load(state: StateView, genesis: Genesis, genesis_hash: bytes) -> None:
    """Write the genesis state into an empty state."""
    for given in genesis.parameters:
        record = Parameter(given.name, (ParameterValue(0, given.value),))
        state.put(Kind.PARAMETER, parameter_id(given.name), record)
    state.put(
        Kind.NETWORK,
        NETWORK_ID,
        Network(
            genesis.business_date,
            _first_roll(genesis),
            genesis.day_seconds,
            0,
            0,
            genesis.epoch_length,
            genesis.validators,
            None,
        ),
    )
    for organisation in genesis.organisations:
        _load_organisation(state, organisation)


def _first_roll(genesis: Genesis) -> int:
    """End of the first business day: the next midnight UTC+8 plus `day_roll_offset`, or one short
    testnet day after the genesis time."""
    time = genesis.time_ms // 1000
    if genesis.day_seconds != DAY_SECONDS:
        return time + genesis.day_seconds
    offset = next((p.value for p in genesis.parameters if p.name == "day_roll_offset"), 0)
    return (genesis.business_date + 1) * DAY_SECONDS - _UTC8 + offset


def _load_organisation(state: StateView, given: GenesisOrganisation) -> None:
    state.put(
        Kind.ORGANISATION,
        given.id,
        Organisation(
            given.kinds, OrganisationStatus.ACTIVE, KYC_ENHANCED, given.size, None, given.industry,
            given.region, given.name_commitment, given.tax_id_commitment, given.uniqueness_tag,
            False, False, 0, None, BranchStatus.OPEN, False, 0,
        ),
    )  # fmt: skip
    state.index_add(Index.ORGANISATIONS, given.id)
    state.index_add(Index.UNIQUENESS_TAGS, given.uniqueness_tag + given.id)
    for key in given.keys:
        key_id = record_id(Kind.KEY, b"", key.public_key)
        state.put(
            Kind.KEY,
            key_id,
            Key(
                given.id, key.person_commitment, key.roles, key.algorithm, key.public_key,
                key.valid_from, key.valid_to, False, key.cap,
            ),
        )  # fmt: skip
        state.index_add(Index.ORGANISATION_KEYS, given.id + key_id)
