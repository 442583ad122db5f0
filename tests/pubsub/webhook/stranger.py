"""A hostile server: whatever it is asked, it writes the bytes that a test gives it."""

import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.tls import TLSListener
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Script = Callable[[], AsyncGenerator[bytes, None]]
_BROKEN = (anyio.BrokenResourceError, anyio.ClosedResourceError)


@dataclass
class Stranger:
    """A listening server.

    Attributes:
        script: gives what is written after a request's head; the connection is closed at its end.
        heads: the heads of the requests so far.
        connections: how many there were.
    """

    port: int
    script: Script
    heads: list[str] = field(default_factory=list)
    connections: int = 0

    async def serve(self, stream: ByteStream) -> None:
        """Serve one connection."""
        self.connections += 1
        with suppress(ssl.SSLError, anyio.EndOfStream, *_BROKEN):
            async with stream:
                head = b""
                while b"\r\n\r\n" not in head:
                    head += await stream.receive()
                self.heads.append(head.decode("latin-1"))
                async with aclosing(self.script()) as pieces:
                    async for piece in pieces:
                        await stream.send(piece)


@asynccontextmanager
async def listening(
    script: Script, context: ssl.SSLContext | None = None
) -> AsyncIterator[Stranger]:
    """Listen on a loopback port while the block runs, with TLS where a context is given."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    stranger = Stranger(listener.extra(SocketAttribute.local_port), script)  # noqa: S610 - no Django
    served = listener if context is None else TLSListener(listener, context)
    async with listener, anyio.create_task_group() as group:
        group.start_soon(served.serve, stranger.serve)
        yield stranger
        group.cancel_scope.cancel()


def certified(directory: Path, name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Give the contexts of a server that is called ``name``, and of a client that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    chain, secret = directory / f"{name}.pem", directory / f"{name}.key"
    chain.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(chain, secret)
    return server, ssl.create_default_context(cafile=str(chain))
