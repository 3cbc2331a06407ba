"""A server over TLS: whom a worker trusts and who it is to the server; what fails is one line without a secret."""

import ipaddress
import logging
import os
import socket
import threading
import traceback
from datetime import UTC, datetime, timedelta

import pytest

from agent_fuse import cli
from agent_fuse.ledgers import open_ledger
from agent_fuse.ledgers.base import LedgerError
from ledgers.samples import reserve, usd
from postgres_server import NoServer, PostgresServer

pytest.importorskip("psycopg")
x509 = pytest.importorskip("cryptography.x509", reason="pip install cryptography")
from cryptography.hazmat.primitives import hashes, serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ec  # noqa: E402

PASSWORD = "canary-5711"
HOURS = timedelta(hours=1)


class Authority:
    """Signs certificates, into files of a folder."""

    def __init__(self, folder, name):
        self.folder = folder
        self._key, self._name = ec.generate_private_key(ec.SECP256R1()), _named(name)
        self.file = self._write(name, self._sign(self._key, self._name, self._name, authority=True))

    def certificate(self, name, *, address=None, until=HOURS):
        """The files of a certificate and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        made = self._sign(key, _named(name), self._name, address=address, until=until)
        secret = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        kept = self.folder / f"{name}.key"
        kept.write_bytes(secret)
        kept.chmod(0o600)
        return self._write(name, made), kept

    def _write(self, name, made):
        path = self.folder / f"{name}.crt"
        path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        return path

    def _sign(self, key, name, issuer, *, address=None, until=HOURS, authority=False):
        now = datetime.now(UTC)
        made = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 24 * HOURS)
            .not_valid_after(now + until)
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        )
        if address:
            of = x509.IPAddress(ipaddress.ip_address(address))
            made = made.add_extension(x509.SubjectAlternativeName([of]), critical=False)
        return made.sign(self._key, hashes.SHA256())


def _named(name):
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])


class Secure:
    """A server that speaks TLS alone, to bob with his password and to ann with her certificate."""

    def __init__(self, folder):
        self.ours, self.theirs = Authority(folder, "ours"), Authority(folder, "theirs")
        self.server = PostgresServer()
        self.name = self.server.url("").partition("?")[0]
        self.serve(address="127.0.0.1")
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        data = self.server.folder / "data"
        with (data / "postgresql.conf").open("a") as written:
            written.write(f"ssl = on\nssl_ca_file = 'ours.crt'\nport = {self.port}\n")
        (data / "pg_hba.conf").write_text(
            "local all agent trust\nhostssl all ann all cert\nhostssl all bob all scram-sha-256\n"
        )
        self.server.listens = "127.0.0.1"
        self.restart()

    def serve(self, **of):
        """With a certificate, from the next start on."""
        data = self.server.folder / "data"
        certificate, key = self.ours.certificate("server", **of)
        for path, name in ((certificate, "server.crt"), (key, "server.key"), (self.ours.file, "ours.crt")):
            (data / name).write_bytes(path.read_bytes())
            os.chown(data / name, data.stat().st_uid, data.stat().st_gid)
            (data / name).chmod(0o600)

    def restart(self):
        """It."""
        self.server.stop("fast")
        self.server.start()


@pytest.fixture(scope="module")
def secure(tmp_path_factory):
    """It, for the tests here."""
    try:
        made = Secure(tmp_path_factory.mktemp("tls"))
    except NoServer as why:
        pytest.skip(str(why))
    admin = f"postgresql://agent@/postgres?host={made.server.folder}&port={made.port}"
    import psycopg

    with psycopg.connect(admin, autocommit=True) as db:
        db.execute(f"CREATE USER bob SUPERUSER PASSWORD '{PASSWORD}'")
        db.execute("CREATE USER ann SUPERUSER")
        db.execute("CREATE DATABASE books")
    yield made
    made.server.remove()


@pytest.fixture
def url(secure):
    """The URL of the books, as somebody at some host, with these options."""

    def made(user="bob", host="127.0.0.1", **options):
        told = "&".join(f"{name}={value}" for name, value in options.items())
        return f"postgresql://{user}@{host}:{secure.port}/books?{told}"

    return made


@pytest.fixture(autouse=True)
def _nothing_from_home(tmp_path, monkeypatch):
    """What libpq finds in a home folder and the environment is the tests' own."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in [one for one in os.environ if one.startswith("PG")]:
        monkeypatch.delenv(name)


def works(url):
    """It is a ledger."""
    ledger = open_ledger(url)
    held = usd(ledger)[1]
    assert reserve(ledger, "c", 1)
    ledger.release("c", now=0)
    assert usd(ledger)[1] == held
    ledger.close()


def refused(url, why, *fix):
    """Refused for that reason, with that advice, in one line."""
    with pytest.raises(LedgerError) as caught:
        open_ledger(url)
    said = str(caught.value)
    assert why in said
    for one in fix:
        assert one in said
    assert "\n" not in said
    assert PASSWORD not in "".join(traceback.format_exception(caught.value))


def test_whom_it_trusts(secure, url, monkeypatch):
    """`require` takes any certificate, `verify-ca` one that is signed by whom it was told of, `verify-full` its host's as well."""
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    ours, theirs = secure.ours.file, secure.theirs.file
    works(url(sslmode="require"))
    works(url(sslmode="verify-ca", sslrootcert=ours))
    works(url(sslmode="verify-full", sslrootcert=ours))
    works(url(host="localhost", sslmode="verify-ca", sslrootcert=ours))
    refused(url(sslmode="disable"), "no encryption")
    for mode in ("verify-ca", "verify-full"):
        refused(
            url(sslmode=mode, sslrootcert=theirs), "no safe connection: ", "certificate verify failed", "sslrootcert"
        )
        refused(url(sslmode=mode), "no safe connection: ", "root.crt", "does not exist", "sslrootcert")
    refused(
        url(host="localhost", sslmode="verify-full", sslrootcert=ours),
        "no safe connection: ",
        'server certificate for "127.0.0.1"',
        'does not match host name "localhost"',
    )
    refused(url(sslmode="nonsense"), 'no safe connection: invalid sslmode value: "nonsense"')


def test_who_it_is(secure, url):
    """A client certificate in place of a password: its own name, signed by whom the server trusts, its key kept to itself."""
    trusting = {"sslmode": "verify-full", "sslrootcert": secure.ours.file}
    certificate, key = secure.ours.certificate("ann")
    works(url("ann", **trusting, sslcert=certificate, sslkey=key))
    refused(url("ann", **trusting), "the server refuses: connection requires a valid client certificate")
    other, of_other = secure.ours.certificate("eve")
    refused(url("ann", **trusting, sslcert=other, sslkey=of_other), 'certificate authentication failed for user "ann"')
    refused(url("ann", **trusting, sslcert=certificate, sslkey=of_other), "no safe connection: ", "key values mismatch")
    forged, of_forged = secure.theirs.certificate("ann")
    refused(url("ann", **trusting, sslcert=forged, sslkey=of_forged), "no safe connection: ", "unknown ca")
    of_forged.chmod(0o644)
    refused(url("ann", **trusting, sslcert=forged, sslkey=of_forged), "no safe connection: ", "0600")


def test_where_the_password_is(secure, url, tmp_path, monkeypatch):
    """Over TLS too it may come from a file, the environment or a service; a wrong one is shown by nothing."""
    trusting = {"sslmode": "verify-full", "sslrootcert": secure.ours.file}
    refused(url(**trusting), "the server asks for a password: ", "no password supplied", "PGPASSWORD")
    kept = tmp_path / "passwords"
    kept.write_text(f"127.0.0.1:{secure.port}:books:bob:{PASSWORD}\n")
    kept.chmod(0o600)
    with monkeypatch.context() as patch:
        patch.setenv("PGPASSFILE", str(kept))
        works(url(**trusting))
    services = tmp_path / "services"
    told = {
        "host": "127.0.0.1",
        "port": secure.port,
        "dbname": "books",
        "user": "bob",
        "password": PASSWORD,
        **trusting,
    }
    services.write_text("[books]\n" + "".join(f"{name}={value}\n" for name, value in told.items()))
    monkeypatch.setenv("PGSERVICEFILE", str(services))
    works("postgresql://?service=books")
    monkeypatch.setenv("PGSSLMODE", "verify-full")
    monkeypatch.setenv("PGSSLROOTCERT", str(secure.theirs.file))
    refused(url(f"bob:{PASSWORD}"), "no safe connection: ", "certificate verify failed")


@pytest.mark.parametrize("command", ["status", "calls", "limits"])
def test_a_command_shows_no_secret(secure, url, command, capfd, caplog):
    """One line of why, whatever was wrong: neither the password nor that of a key."""
    wrong = url(f"bob:{PASSWORD}", sslmode="verify-full", sslrootcert=secure.theirs.file, sslpassword="canary-5712")
    with caplog.at_level(logging.DEBUG), pytest.raises(SystemExit):
        cli.main([command, "--db", wrong])
    told = [*capfd.readouterr(), caplog.text]
    assert any("no safe connection: " in one for one in told)
    assert not any("Traceback" in one or "canary" in one for one in told)


@pytest.mark.parametrize(("of", "why"), [
    ({"address": "127.0.0.1", "until": -HOURS}, "certificate verify failed"),
    ({"address": "127.0.0.2"}, 'server certificate for "127.0.0.2" does not match host name "127.0.0.1"'),
])  # fmt: skip
def test_a_certificate_that_changed(secure, url, monkeypatch, of, why):
    """One that ran out, or is another host's, from the server's next start on: a ledger that was open says so, and works again."""
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    ledger = open_ledger(url(sslmode="verify-full", sslrootcert=secure.ours.file))
    secure.serve(**of)
    secure.restart()
    with pytest.raises(LedgerError, match="no safe connection: ") as caught:
        reserve(ledger, "c", 1)
    assert why in str(caught.value)
    secure.serve(address="127.0.0.1")
    secure.restart()
    assert reserve(ledger, "c", 1)
    ledger.release("c", now=0)
    ledger.close()


def test_a_server_without_tls():
    """It is told nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer():
            there, _ = listening.accept()
            with there:
                there.recv(8)
                there.sendall(b"N")
                heard.append(there.recv(100))

        heard = []
        answering = threading.Thread(target=answer)
        answering.start()
        address = f"postgresql://bob:{PASSWORD}@127.0.0.1:{listening.getsockname()[1]}/books?sslmode=require"
        refused(address, "no safe connection: server does not support SSL, but SSL was required")
        answering.join()
    assert heard == [b""]
