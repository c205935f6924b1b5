"""A certificate that no client should trust: of another name, signed by nobody."""

from __future__ import annotations

import datetime
import ssl
import tempfile
from pathlib import Path

from toolkit.errors import SetupError
from toolkit.records import now

WRONG_NAME = "somebody-else.invalid"


def wrong_certificate() -> ssl.SSLContext:
    """A server's TLS context with a fresh certificate for another name. Raises SetupError without `cryptography`."""
    try:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec
    except ImportError as error:
        raise SetupError("a listener with a wrong certificate needs the package cryptography; install it") from error
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, WRONG_NAME)])
    today = now()
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - datetime.timedelta(days=1))
        .not_valid_after(today + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(WRONG_NAME)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "wrong.pem"
        path.touch(mode=0o600)
        path.write_bytes(private + made.public_bytes(pem))
        context.load_cert_chain(path)
    return context
