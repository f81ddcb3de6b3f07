"""The example of a proxy with TLS, with a certificate of its own."""

from __future__ import annotations

import http.client
import json
import os
import socket
import ssl
import subprocess

import pytest

from fanfold.cluster.compose import Compose

NGINX = 101


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    key, cert = folder / "key.pem", folder / "cert.pem"
    names = "subjectAltName=DNS:localhost"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=localhost", "-addext", names, "-keyout", str(key), "-out", str(cert)]
    subprocess.run(command, check=True, capture_output=True)
    for path in (folder, key, cert):
        os.chown(path, NGINX, NGINX)
    # The folders above are this test's own alone; Docker mounts below them.
    return cert


@pytest.fixture(scope="module")
def port(cluster, certificate):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    plain = cluster.compose
    changed = {
        **plain.changed,
        "TLS_FOLDER": str(certificate.parent),
        "TLS_BIND": "127.0.0.1",
        "TLS_PORT": str(port),
        "FANFOLD_URL": f"https://localhost:{port}",
    }
    tls = Compose(plain.folder, plain.env_file, ("docker-compose.tls.yaml",), changed)
    tls.run("up", "--detach", "--no-deps", "--no-build", "airflow-apiserver", "tls")
    cluster.well("airflow-apiserver", "tls")
    return port


@pytest.fixture
def trusting(certificate):
    return ssl.create_default_context(cafile=certificate)


def test_the_api_answers_over_tls(cluster, port, trusting):
    connection = http.client.HTTPSConnection("localhost", port, context=trusting, timeout=30)
    account = json.dumps(cluster.api._account)
    connection.request("POST", "/auth/token", account, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    assert json.loads(answer.read())["access_token"]
    assert answer.headers["Strict-Transport-Security"]
    connection.close()


def test_browsers_are_sent_to_the_login_over_tls_with_a_cookie_that_stays_there(port, trusting):
    connection = http.client.HTTPSConnection("localhost", port, context=trusting, timeout=30)
    connection.request("GET", "/auth/login/")
    answer = connection.getresponse()
    cookies = answer.headers.get_all("Set-Cookie") or []
    answer.read()
    assert answer.status == 200
    assert cookies
    assert all("secure" in cookie.lower() for cookie in cookies)
    connection.request("GET", "/api/v2/auth/login")
    answer = connection.getresponse()
    answer.read()
    assert answer.status in {302, 307}
    assert not answer.headers["Location"].startswith("http://")
    connection.close()


def test_an_unknown_certificate_an_old_protocol_and_plain_http_are_refused(port, trusting):
    with pytest.raises(ssl.SSLCertVerificationError):
        ssl.create_default_context().wrap_socket(
            socket.create_connection(("127.0.0.1", port)), server_hostname="localhost"
        )
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", "/")
    assert connection.getresponse().status == 400
    connection.close()
    found = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-tls1_1"],
        input=b"",
        capture_output=True,
        check=False,
    )
    assert found.returncode != 0
    with trusting.wrap_socket(
        socket.create_connection(("127.0.0.1", port)), server_hostname="localhost"
    ) as secured:
        assert secured.version() == "TLSv1.3"
