"""The contracts that EBSI's clients call: functions, their scopes, and their call data.

The signatures are those of EBSI's own contracts, so that what a client signs here means the same
as there. A contract's address is bound to the network and to the gateway's member: what was signed
for one can be sent to no other.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError, EncodingError

from adapters.ebsi.arguments import Value, check_argument, read_argument
from adapters.ebsi.ethereum import ADDRESS_BYTES, keccak256
from adapters.ebsi.refusals import RpcRefused

__all__ = ["CONTRACTS", "Call", "Contract", "Field", "Function"]

_SELECTOR_BYTES: Final = 4
_FROM: Final = "from"


class Field(NamedTuple):
    """One argument.

    Attributes:
        name: of the parameter in JSON.
        type: in the ABI.
        default: what it is when it is not given; None when it must be.
    """

    name: str
    type: str
    default: Value | None = None


class Function(NamedTuple):
    """One function of a contract.

    Attributes:
        scopes: of the access token; one of them is needed.
        struct: the ABI has one tuple of all arguments.
        group: the JSON parameter that holds the arguments, when they do not lie open.
    """

    name: str
    scopes: tuple[str, ...]
    fields: tuple[Field, ...]
    struct: bool = False
    group: str | None = None

    @property
    def types(self) -> list[str]:
        """Give the types of the ABI's arguments."""
        types = [field.type for field in self.fields]
        return [f"({','.join(types)})"] if self.struct else types

    @property
    def signature(self) -> str:
        """Give the text whose hash selects the function."""
        return f"{self.name}({','.join(self.types)})"

    @property
    def selector(self) -> bytes:
        """Give what call data begin with."""
        return keccak256(self.signature.encode())[:_SELECTOR_BYTES]

    def fits(self, given: Mapping[str, object]) -> bool:
        """Say whether the parameters have every name that is needed, and none else."""
        names = {field.name for field in self.fields}
        needed = {field.name for field in self.fields if field.default is None}
        return needed <= set(given) <= names


class Call(NamedTuple):
    """A function and its arguments by name."""

    function: Function
    arguments: dict[str, Value]

    def data(self) -> bytes:
        """Give the call data."""
        values = tuple(self.arguments[field.name] for field in self.function.fields)
        try:
            arguments = [values] if self.function.struct else list(values)
            return self.function.selector + encode(self.function.types, arguments)
        except (EncodingError, ValueError, TypeError) as error:
            raise RpcRefused(f"invalid params: {error}") from None

    def text(self, name: str) -> str:
        """Give an argument that is text."""
        value = self.arguments[name]
        assert isinstance(value, str), "its field says so"
        return value

    def raw(self, name: str) -> bytes:
        """Give an argument that is bytes."""
        value = self.arguments[name]
        assert isinstance(value, bytes), "its field says so"
        return value

    def number(self, name: str) -> int:
        """Give an argument that is a number, or a truth."""
        value = self.arguments[name]
        assert isinstance(value, int), "its field says so"
        return value

    def numbers(self, name: str) -> list[int]:
        """Give an argument that is a list of numbers."""
        return [value for value in self._items(name) if isinstance(value, int)]

    def raws(self, name: str) -> list[bytes]:
        """Give an argument that is a list of bytes."""
        return [value for value in self._items(name) if isinstance(value, bytes)]

    def _items(self, name: str) -> Sequence[int | bytes]:
        value = self.arguments[name]
        assert isinstance(value, tuple), "its field says so"
        return value


class Contract(NamedTuple):
    """The functions of one version of an interface."""

    name: str
    functions: tuple[Function, ...]

    def address(self, chain: str, member: str) -> bytes:
        """Give the contract's address for one network and one member."""
        text = f"concordat ebsi contract\0{chain}\0{member}\0{self.name}"
        return keccak256(text.encode())[-ADDRESS_BYTES:]

    def named(self, name: str) -> list[Function]:
        """Give the functions of one name; several have the same when arguments may lack."""
        return [function for function in self.functions if function.name == name]

    def read_json(self, method: str, parameters: Mapping[str, object]) -> Call:
        """Read a call from JSON parameters. Raises RpcRefused."""
        given = {name: value for name, value in parameters.items() if name != _FROM}
        functions = self.named(method)
        group = functions[0].group
        if group is not None:
            inner = given.get(group)
            given = inner if isinstance(inner, dict) else {}
        function = next((item for item in functions if item.fits(given)), None)
        if function is None:
            expected = ", ".join(field.name for field in functions[0].fields)
            raise RpcRefused(f"invalid params: '{method}' takes from, {expected}")
        arguments = {
            field.name: read_argument(field.name, field.type, given[field.name])
            if field.name in given
            else field.default
            for field in function.fields
        }
        return Call(
            function, {name: value for name, value in arguments.items() if value is not None}
        )

    def read_data(self, data: bytes) -> Call:
        """Read a call from call data, which must be exactly what it encodes to.

        Raises:
            RpcRefused: it calls none of the functions, or with other arguments.
        """
        selector = data[:_SELECTOR_BYTES]
        function = next((item for item in self.functions if item.selector == selector), None)
        if function is None:
            raise RpcRefused("Invalid unsignedTransaction.data")
        try:
            values = decode(function.types, data[_SELECTOR_BYTES:])
        except (DecodingError, ValueError, OverflowError):
            raise RpcRefused("Invalid unsignedTransaction.data") from None
        if function.struct:
            values = values[0]
        arguments = {
            field.name: check_argument(field.name, value)
            for field, value in zip(function.fields, values, strict=True)
        }
        call = Call(function, arguments)
        if call.data() != data:
            raise RpcRefused("Invalid unsignedTransaction.data")
        return call

    def abi(self) -> list[dict[str, object]]:
        """Give the contract's description as Solidity's tools want it."""
        return [
            {
                "type": "function",
                "name": function.name,
                "inputs": _inputs(function),
                "outputs": [],
                "stateMutability": "nonpayable",
            }
            for function in self.functions
        ]


def _inputs(function: Function) -> list[dict[str, object]]:
    fields: list[dict[str, object]] = [
        {"name": field.name, "type": field.type} for field in function.fields
    ]
    return [{"name": "args", "type": "tuple", "components": fields}] if function.struct else fields


_TIR, _TSR, _DIDR, _STAMP = ("tir_write",), ("tsr_write",), ("didr_write",), ("timestamp_write",)
_DID, _ZERO = Field("did", "string"), bytes(32)
_ATTRIBUTE, _PROXY = Field("attributeId", "bytes32"), Field("proxyData", "string")
_ACCREDITED = (
    Field("issuerType", "uint8"),
    Field("taoDid", "string"),
    Field("taoAttributeId", "bytes32"),
)
_ISSUERS: Final = (
    Function("setAttributeMetadata", _TIR, (_DID, _ATTRIBUTE, *_ACCREDITED)),
    Function(
        "setAttributeData",
        ("tir_invite", "tir_write"),
        (_DID, _ATTRIBUTE, Field("attributeData", "bytes")),
    ),
    Function("addIssuerProxy", _TIR, (_DID, _PROXY)),
    Function("updateIssuerProxy", _TIR, (_DID, Field("proxyId", "bytes32"), _PROXY)),
)
_ISSUERS_BEFORE: Final = (
    Function("insertIssuer", _TIR, (_DID, Field("attributeData", "bytes"), *_ACCREDITED)),
    Function(
        "updateIssuer",
        _TIR,
        (
            _DID,
            Field("attributeData", "bytes"),
            *_ACCREDITED,
            Field("prevAttributeHash", "bytes32", _ZERO),
        ),
    ),
)
_SCHEMA, _METADATA = Field("schemaId", "bytes"), Field("metadata", "bytes")
_SCHEMAS: Final = (
    Function("insertSchema", _TSR, (_SCHEMA, Field("schema", "bytes"), _METADATA)),
    Function("updateSchema", _TSR, (_SCHEMA, Field("schema", "bytes"), _METADATA)),
    Function("updateMetadata", _TSR, (_SCHEMA, Field("schemaRevisionId", "bytes32"), _METADATA)),
)
_BASE, _METHOD = Field("baseDocument", "string"), Field("vMethodId", "string")
_KEY = (Field("publicKey", "bytes"), Field("isSecp256k1", "bool"))
_PERIOD = (Field("notBefore", "uint256"), Field("notAfter", "uint256"))
_DID_DOCUMENTS: Final = (
    Function(
        "insertDidDocument",
        ("didr_invite", "didr_write"),
        (_DID, _BASE, _METHOD, *_KEY, *_PERIOD),
    ),
    Function("updateBaseDocument", _DIDR, (_DID, _BASE)),
    Function("addController", _DIDR, (_DID, Field("controller", "string"))),
    Function("revokeController", _DIDR, (_DID, Field("controller", "string"))),
    Function("addVerificationMethod", _DIDR, (_DID, _METHOD, *_KEY)),
    Function(
        "addVerificationRelationship", _DIDR, (_DID, Field("name", "string"), _METHOD, *_PERIOD)
    ),
    Function("revokeVerificationMethod", _DIDR, (_DID, _METHOD, Field("notAfter", "uint256"))),
    Function("expireVerificationMethod", _DIDR, (_DID, _METHOD, Field("notAfter", "uint256"))),
    Function(
        "rollVerificationMethod",
        _DIDR,
        (
            *(_DID, _METHOD, *_KEY, *_PERIOD),
            *(Field("oldVMethodId", "string"), Field("duration", "uint256")),
        ),
        struct=True,
    ),
)
_HASHES = (
    Field("hashAlgorithmIds", "uint256[]"),
    Field("hashValues", "bytes[]"),
    Field("timestampData", "bytes[]", ()),
)
_RECORD, _VERSION = Field("recordId", "bytes32"), Field("versionId", "uint256")
_INFO, _OWNER = Field("versionInfo", "bytes", b""), Field("ownerId", "string")
_TIMESTAMPS: Final = (
    Function("timestampHashes", _STAMP, _HASHES),
    Function("timestampRecordHashes", _STAMP, (*_HASHES, _INFO)),
    Function("timestampVersionHashes", _STAMP, (Field("versionHash", "bytes"), *_HASHES, _INFO)),
    Function("timestampRecordVersionHashes", _STAMP, (_RECORD, *_HASHES, _INFO)),
    Function("appendRecordVersionHashes", _STAMP, (_RECORD, _VERSION, *_HASHES, _INFO)),
    Function("detachRecordVersionHash", _STAMP, (_RECORD, _VERSION, Field("hashValue", "bytes"))),
    Function("insertRecordVersionInfo", _STAMP, (_RECORD, _VERSION, Field("versionInfo", "bytes"))),
    Function("insertRecordOwner", _STAMP, (_RECORD, _OWNER, *_PERIOD)),
    Function("revokeRecordOwner", _STAMP, (_RECORD, _OWNER)),
)
_DOCUMENT = Field("documentHash", "bytes32")
_EVENT = (
    Field("externalHash", "string"),
    Field("sender", "bytes"),
    Field("origin", "string"),
    Field("metadata", "string"),
)
_DOCUMENTS: Final = (
    Function(
        "createDocument",
        ("tnt_create",),
        (_DOCUMENT, Field("documentMetadata", "string"), Field("didEbsiCreator", "string")),
    ),
    Function("writeEvent", ("tnt_write",), (_DOCUMENT, *_EVENT), struct=True, group="eventParams"),
    Function(
        "writeEvent",
        ("tnt_write",),
        (_DOCUMENT, Field("eventHash", "bytes32"), *_EVENT),
        struct=True,
        group="eventParams",
    ),
)

CONTRACTS: Final[dict[str, Contract]] = {
    f"{registry}/{version}": Contract(f"{registry}/{version}", functions)
    for registry, version, functions in (
        ("trusted-issuers-registry", "v3", (*_ISSUERS, *_ISSUERS_BEFORE)),
        ("trusted-issuers-registry", "v4", (*_ISSUERS, *_ISSUERS_BEFORE)),
        ("trusted-issuers-registry", "v5", _ISSUERS),
        ("trusted-schemas-registry", "v2", _SCHEMAS),
        ("trusted-schemas-registry", "v3", _SCHEMAS),
        ("did-registry", "v4", _DID_DOCUMENTS),
        ("did-registry", "v5", _DID_DOCUMENTS),
        ("timestamp", "v3", _TIMESTAMPS),
        ("timestamp", "v4", _TIMESTAMPS),
        ("track-and-trace", "v1", _DOCUMENTS),
    )
}
"""Interface and version -> its contract."""
