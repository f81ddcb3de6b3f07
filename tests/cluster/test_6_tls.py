"""The TLS proxy of docker-compose.tls.yaml, with a self-signed certificate."""

from __future__ import annotations

import os
import ssl
import subprocess

import driver
import pytest
import requests

from fanfold.cluster import rolling
from fanfold.cluster.compose import Compose

NGINX = 101


@pytest.fixture(scope="module")
def proxy(cluster, tmp_path_factory):
    """A session that trusts the certificate, and the port of the proxy."""
    folder = tmp_path_factory.mktemp("tls")
    key, cert = folder / "key.pem", folder / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(cert)]
    subprocess.run(command, check=True, capture_output=True)
    for path in (folder, key, cert):
        os.chown(path, NGINX, NGINX)
    port = driver.free_port()
    plain = cluster.compose
    overrides = {
        **plain.overrides,
        "COMPOSE_FILE": "docker-compose.yaml:docker-compose.tls.yaml",
        "TLS_FOLDER": str(folder),
        "TLS_BIND": "127.0.0.1",
        "TLS_PORT": str(port),
        "FANFOLD_URL": f"https://localhost:{port}",
    }
    tls = Compose(plain.folder, plain.env_file, overrides)
    for service in ("airflow-apiserver", "tls"):
        rolling.start(tls, service=service)
    with requests.Session() as session:
        session.verify = str(cert)
        yield session, port


def test_api_and_login_use_https_and_secure_cookies(cluster, proxy):
    session, port = proxy
    url = f"https://localhost:{port}"
    password = cluster.compose.variables["AIRFLOW_ADMIN_PASSWORD"]
    account = {"username": "admin", "password": password}
    answer = session.post(f"{url}/auth/token", json=account, timeout=30)
    assert answer.json()["access_token"]
    assert answer.headers["Strict-Transport-Security"]
    login = session.get(f"{url}/auth/login/", timeout=30)
    assert login.status_code == 200
    assert login.cookies
    assert all(cookie.secure for cookie in login.cookies)
    redirect = session.get(f"{url}/api/v2/auth/login", timeout=30, allow_redirects=False)
    assert redirect.status_code in {302, 307}
    assert not redirect.headers["Location"].startswith("http://")


def test_plain_http_and_old_protocols_are_refused(proxy):
    session, port = proxy
    assert session.get(f"http://127.0.0.1:{port}", timeout=30).status_code == 400
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-tls1_1"]
    old = subprocess.run(command, input=b"", capture_output=True, check=False)
    assert old.returncode != 0
    pem = ssl.get_server_certificate(("127.0.0.1", port))
    assert pem.startswith("-----BEGIN CERTIFICATE")
