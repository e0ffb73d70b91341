"""Wire values in readable form, and back."""

import pytest

from tallynet.genesis import Genesis, GenesisKey, GenesisOrganisation
from tallynet.plain import PlainError, from_plain, to_plain
from tallynet.records import Algorithm, OrganisationKind, Role, Size, Validator

H = bytes(range(32))
GENESIS = Genesis(
    1, "demo", 1_800_000_000_000, 20_000, 86_400, 4, 1000,
    (Validator(bytes(16), H, "bank-1"),),
    (
        GenesisOrganisation(
            bytes(16), (OrganisationKind.BANK,), Size.LARGE, "banking", "home", H, H, H,
            (GenesisKey(H, (Role.MAKER, Role.ADMIN), Algorithm.ED25519, H, 0, 2**40, 0),),
        ),
    ),
    (),
)  # fmt: skip


def test_there_and_back() -> None:
    assert from_plain(Genesis, to_plain(GENESIS)) == GENESIS


def test_an_unknown_field_is_named() -> None:
    plain = to_plain(GENESIS) | {"colour": "blue"}
    with pytest.raises(PlainError, match="colour"):
        from_plain(Genesis, plain)


def test_a_wrong_value_is_named_with_its_place() -> None:
    plain = to_plain(GENESIS)
    plain["validators"][0]["public_key"] = "zz"
    with pytest.raises(PlainError, match=r"validators\[0\].public_key"):
        from_plain(Genesis, plain)


def test_a_value_out_of_range_is_refused() -> None:
    plain = to_plain(GENESIS) | {"day_seconds": 86_401}
    with pytest.raises(PlainError, match="86400"):
        from_plain(Genesis, plain)
