"""Certificates of the head: an authority of its own, the server's certificate, one for each client."""

import datetime as dt
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from common.machine_home import create_private, machine_home, write_private

_AUTHORITY = "ApexMania"
_AUTHORITY_LIFE = dt.timedelta(days=3653)
_SERVER_LIFE = dt.timedelta(days=397)
_RENEW_BEFORE = dt.timedelta(days=30)
_CLOCKS_DIFFER = dt.timedelta(days=1)
_ALWAYS = ("127.0.0.1", "localhost")
_OTHER_USES = (
    *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment"),
    *("key_agreement", "encipher_only", "decipher_only"),
)


@dataclass(frozen=True, slots=True)
class ServerFiles:
    """What the server's configuration names, all in the machine's home.

    Attributes:
        authority: certificate that clients are checked against.
        certificate: the server's own.
        key: its private key.
    """

    authority: Path
    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class _Signer:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def server_files(host: str) -> ServerFiles:
    """Returns the server's certificate for an address, made anew where it is missing, wrong or near its end.

    Args:
        host: IP address that it listens on beside loopback.
    """
    folder = _folder()
    signer = _authority()
    stem = f"server-{host.replace(':', '_')}"
    files = ServerFiles(folder / "ca.pem", folder / f"{stem}.pem", folder / f"{stem}-key.pem")
    hosts = tuple(dict.fromkeys((host, *_ALWAYS)))
    if not _serves(files, hosts, signer):
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([_alternative(name) for name in hosts])
        certificate = (
            _builder(host, key.public_key(), signer, _SERVER_LIFE)
            .add_extension(names, critical=False)
            .add_extension(_usage(ExtendedKeyUsageOID.SERVER_AUTH), critical=False)
            .sign(signer.key, hashes.SHA256())
        )
        write_private(files.key, _key_pem(key))
        write_private(files.certificate, _pem(certificate))
    return files


def authority_pem() -> str:
    """Returns the authority's certificate as PEM, which clients trust alone; it is no secret."""
    return _pem(_authority().certificate).decode("ascii")


def authority_der() -> bytes:
    """Returns the authority's certificate as DER, which is shorter."""
    return _authority().certificate.public_bytes(serialization.Encoding.DER)


def client_identity(name: str) -> str:
    """Returns a new certificate and its key for a client, as PEM one after the other; nothing is kept.

    It lasts as long as the authority: what ends a client's access is its user on Redis.

    Args:
        name: of the client, shown in the certificate.
    """
    signer = _authority()
    key = ec.generate_private_key(ec.SECP256R1())
    left = signer.certificate.not_valid_after_utc - dt.datetime.now(dt.UTC)
    certificate = (
        _builder(name, key.public_key(), signer, left)
        .add_extension(_usage(ExtendedKeyUsageOID.CLIENT_AUTH), critical=False)
        .sign(signer.key, hashes.SHA256())
    )
    return (_pem(certificate) + _key_pem(key)).decode("ascii")


def member_identity() -> str:
    """Returns the certificate and key that the run's own processes show, kept in the machine's home."""
    file = _folder() / "member.pem"
    if not _issued(file, _authority()):
        write_private(file, client_identity("member"))
    return file.read_text(encoding="ascii")


def _folder() -> Path:
    return machine_home() / "head" / "tls"


def _authority() -> _Signer:
    """Returns the authority, made at the first call."""
    key_file, certificate_file = _folder() / "ca-key.pem", _folder() / "ca.pem"
    if not key_file.exists():
        create_private(key_file, _key_pem(ec.generate_private_key(ec.SECP256R1())))
    key = _read_key(key_file)
    if not certificate_file.exists():
        usage = x509.KeyUsage(
            **dict.fromkeys(_OTHER_USES, False), key_cert_sign=True, crl_sign=True
        )
        certificate = (
            _builder(_AUTHORITY, key.public_key(), None, _AUTHORITY_LIFE)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .sign(key, hashes.SHA256())
        )
        create_private(certificate_file, _pem(certificate))
    return _Signer(x509.load_pem_x509_certificate(certificate_file.read_bytes()), key)


def _serves(files: ServerFiles, hosts: tuple[str, ...], signer: _Signer) -> bool:
    """Returns whether the server's files are whole, name these hosts, and last for a while."""
    if not files.key.exists() or not _issued(files.certificate, signer):
        return False
    certificate = x509.load_pem_x509_certificate(files.certificate.read_bytes())
    named = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return set(named) == {_alternative(host) for host in hosts} and (
        certificate.public_key() == _read_key(files.key).public_key()
    )


def _issued(file: Path, signer: _Signer) -> bool:
    """Returns whether a file holds a certificate of this authority that lasts for a while."""
    try:
        certificate = x509.load_pem_x509_certificate(file.read_bytes())
        certificate.verify_directly_issued_by(signer.certificate)
    except (OSError, ValueError, TypeError, InvalidSignature):
        return False
    soon = dt.datetime.now(dt.UTC) + _RENEW_BEFORE
    return certificate.not_valid_after_utc > soon


def _builder(
    name: str,
    key: ec.EllipticCurvePublicKey,
    signer: _Signer | None,
    life: dt.timedelta,
) -> x509.CertificateBuilder:
    """Returns an unsigned certificate; without a signer it is the authority's own."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuing_key = key if signer is None else signer.key.public_key()
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if signer is None else signer.certificate.subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCKS_DIFFER)
        .not_valid_after(now + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuing_key), critical=False
        )
    )


def _usage(purpose: x509.ObjectIdentifier) -> x509.ExtendedKeyUsage:
    return x509.ExtendedKeyUsage([purpose])


def _alternative(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _read_key(file: Path) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(file.read_bytes(), password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey), f"{file} holds a key of another kind"
    return key


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
