"""The webhook over TLS: to a certificate that is trusted, past a proxy, and never to one that is not."""

import contextlib
import ipaddress
import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta

import pytest

from agent_fuse import Limit, doctor
from test_webhook import SECRET, Receiver, guard, receiver, refuse  # noqa: F401  fixtures

x509 = pytest.importorskip("cryptography.x509", reason="pip install cryptography")
from cryptography.hazmat.primitives import hashes, serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ec  # noqa: E402


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A file with a fresh certificate of 127.0.0.1 that nobody has signed but its own key, and that key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "receiver")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "receiver.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + secret)
    return path


@pytest.fixture
def secure(receiver: Receiver, certificate) -> str:  # noqa: F811
    """The receiver's address, over TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    receiver.server.socket = context.wrap_socket(receiver.server.socket, server_side=True)
    return receiver.url.replace("http:", "https:")


def test_a_trusted_receiver_is_posted_to(guard, receiver, secure, certificate, monkeypatch) -> None:  # noqa: F811
    """Whom the system trusts, or whoever runs it by SSL_CERT_FILE, gets the message, under its very path."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    guard(limits=[Limit(usd="0.01")], webhook=secure)
    refuse()
    (one,) = receiver.until(len)
    assert one["kind"] == "budget"
    assert receiver.heads[0]["path"] == f"/services/{SECRET}?token={SECRET}"


def test_a_receiver_that_nobody_trusts_gets_nothing(guard, receiver, secure, caplog) -> None:  # noqa: F811
    """Its certificate is not signed by anybody: no byte of the message reaches it, and the log and `doctor` say why."""
    guard(limits=[Limit(usd="0.01")], webhook=secure)
    refuse()
    for one in [one for one in threading.enumerate() if one.name == "agent_fuse webhook"]:
        one.join(20)
    assert receiver.got == []
    assert "failed: SSLCertVerificationError" in caplog.text
    assert secure not in caplog.text
    assert any("SSLCertVerificationError" in str(fact) for fact in doctor())


def test_it_goes_by_the_proxy_of_the_environment(guard, receiver, secure, certificate, monkeypatch) -> None:  # noqa: F811
    """The proxy hears which host is meant and passes sealed bytes on; it learns neither path nor message."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=_tunnel, args=(listening, heard), daemon=True).start()
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{listening.getsockname()[1]}")
        guard(limits=[Limit(usd="0.01")], webhook=secure)
        refuse()
        receiver.until(len)
    assert heard[0].startswith(f"CONNECT 127.0.0.1:{receiver.port} ".encode())
    assert b"secret" not in b"".join(heard)
    assert b"budget" not in b"".join(heard)


def _tunnel(listening: socket.socket, heard: list[bytes]) -> None:
    """A proxy for one connection."""
    inside, _ = listening.accept()
    asked = inside.recv(65_536)
    heard.append(asked)
    host, port = asked.split()[1].decode().split(":")
    with inside, socket.create_connection((host, int(port))) as outside:
        inside.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")

        def forth() -> None:
            with contextlib.suppress(OSError):  # the other end is gone
                while data := inside.recv(65_536):
                    heard.append(data)
                    outside.sendall(data)
                outside.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=forth, daemon=True)
        sender.start()
        with contextlib.suppress(OSError):
            while data := outside.recv(65_536):
                inside.sendall(data)
            inside.shutdown(socket.SHUT_RDWR)  # not closed before the other thread has left it
        sender.join()
