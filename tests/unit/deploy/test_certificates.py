"""The head's own certificates."""

import datetime as dt
import ipaddress
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from deploy import certificates
from deploy.certificates import (
    authority_der,
    authority_pem,
    client_identity,
    member_identity,
    server_files,
)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("APEXMANIA_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def authority() -> x509.Certificate:
    return x509.load_pem_x509_certificate(authority_pem().encode())


def test_the_server_is_named_by_every_address_that_clients_use(home: Path) -> None:
    certificate = x509.load_pem_x509_certificate(
        server_files("192.168.1.5").certificate.read_bytes()
    )
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    addresses = {
        str(ipaddress.ip_address(name)) for name in names.get_values_for_type(x509.IPAddress)
    }
    assert addresses == {"192.168.1.5", "127.0.0.1"}
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    certificate.verify_directly_issued_by(authority())
    assert authority_der() == authority().public_bytes(certificates.serialization.Encoding.DER)
    ten_years = dt.timedelta(days=3650)
    assert authority().not_valid_after_utc > dt.datetime.now(dt.UTC) + ten_years
    for file in (home / "head" / "tls").iterdir():
        assert file.stat().st_mode & 0o077 == 0
    assert home.stat().st_mode & 0o077 == 0


def test_a_good_certificate_is_kept_and_any_other_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    files = server_files("192.168.1.5")
    first = files.certificate.read_bytes()
    assert server_files("fd00::5").certificate != files.certificate, "one for each address"
    assert server_files("192.168.1.5").certificate.read_bytes() == first
    other = server_files("10.0.0.1")
    files.certificate.write_bytes(other.certificate.read_bytes())
    assert server_files("192.168.1.5").certificate.read_bytes() not in {
        first,
        other.certificate.read_bytes(),
    }, "that named another address"
    kept = files.certificate.read_bytes()
    files.key.write_bytes(other.key.read_bytes())
    assert server_files("192.168.1.5").certificate.read_bytes() != kept, "whose key was another's"
    files.certificate.write_bytes(b"torn")
    server_files("192.168.1.5")
    kept = files.certificate.read_bytes()
    assert kept != b"torn"
    monkeypatch.setattr(certificates, "_RENEW_BEFORE", dt.timedelta(days=400))
    assert server_files("192.168.1.5").certificate.read_bytes() != kept, "near its end"


def test_a_client_gets_a_certificate_of_its_own_that_lasts_as_long_as_the_authority() -> None:
    one, two = client_identity("gaming-pc"), client_identity("gaming-pc")
    assert one != two
    certificate = x509.load_pem_x509_certificate(one.encode())
    certificate.verify_directly_issued_by(authority())
    (name,) = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    assert name.value == "gaming-pc"
    ends = certificate.not_valid_after_utc
    assert abs(ends - authority().not_valid_after_utc) < dt.timedelta(seconds=5)
    assert member_identity() == member_identity()
