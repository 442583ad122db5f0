"""What a gateway says of validators after they have changed."""

from msgspec.structs import replace

from ledger.core.block import block_id
from ledger.core.execute import execute_block
from ledger.core.ids import NodeIndex
from ledger.core.trust.operations import (
    CONTENT_TYPE,
    GOVERNANCE_TOPIC,
    Propose,
    SetValidators,
    operation_codec,
)
from ledger.core.validators import Validator, ValidatorSet
from tests.ledger.sample_network import (
    ALICE,
    BOB,
    GENESIS,
    START_MS,
    block_after,
    certificate_of,
    entry,
)
from tests.pubsub.gateway_world import Chain, World

JOINER = Validator(
    name="joiner",
    did="did:web:joiner.example",
    key=ALICE.public_key,
    peer_key=BOB.public_key,
    address="127.0.0.1:7009",
)
MEMBERS = (*reversed(GENESIS.validators), JOINER)


def change(chain: Chain) -> None:
    """Have the governor set other members, end the epoch, and have the joiner's block follow."""
    operation = Propose(SetValidators(MEMBERS), START_MS + 3_600_000)
    data = operation_codec.encode(operation)
    chain.extend([entry(0, topic=GOVERNANCE_TOPIC, content_type=CONTENT_TYPE, data=data)])
    epoch = chain.store.genesis.validator_set()
    for fields in (
        {"next_set_hash": ValidatorSet(MEMBERS).hash},
        {"epoch": 1, "author": NodeIndex(len(epoch))},
    ):
        with chain.store.write() as writer:
            _, plain = block_after(writer.root, writer.reader.head().block_id, ())
            block = replace(plain, **fields)
            id_ = block_id(block)
            result = execute_block(writer, id_, block, lambda _: False)
            writer.apply(result, certificate_of(id_, block.height))


async def test_the_validators_are_those_of_the_last_epoch(world: World) -> None:
    """A change shows as soon as the epoch of the new set has begun."""
    before = (await world.get("/v1/validators")).json()
    assert (before["epoch"], len(before["validators"])) == (0, 4)
    change(world.chain)
    after = (await world.get("/v1/validators")).json()
    assert [member["name"] for member in after["validators"]] == [one.name for one in MEMBERS]
    assert (after["epoch"], after["set_hash"]) == (1, ValidatorSet(MEMBERS).hash.hex())


async def test_names_in_a_block_are_of_its_own_epoch(world: World) -> None:
    """An index stands for another member in each epoch, or for one whom genesis does not know."""
    change(world.chain)
    last, first = [(await world.get(f"/v1/blocks/{height}")).json() for height in (2, 3)]
    assert (last["epoch"], last["author"]) == (0, "node-2")
    assert last["signers"] == ["node-0", "node-1", "node-2"]
    assert (first["epoch"], first["author"]) == (1, "joiner")
    assert first["signers"] == ["node-3", "node-2", "node-1"]
