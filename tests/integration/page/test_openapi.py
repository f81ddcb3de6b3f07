"""The API describes itself whole, and its page needs nothing from elsewhere."""

from __future__ import annotations

import re
from urllib.parse import urljoin, urlsplit

import pytest

METHODS = ("get", "put", "post", "delete", "patch")
OTHER_THAN_JSON = {
    "download_failures": "application/x-ndjson",
    "get_report": "text/html",
}


@pytest.fixture
def document(site):
    answer = site["viewer"].get("/fanfold/openapi.json")
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.fixture
def operations(document):
    """The operations of the document by path and method."""
    return {
        f"{method.upper()} {path}": operations[method]
        for path, operations in document["paths"].items()
        for method in METHODS
        if method in operations
    }


def test_the_document_has_every_route_of_the_api(operations):
    from fanfold.airflow.page.app import create_app

    routes = {
        f"{method} {route.path}"
        for route in create_app().routes
        for method in route.methods
        if route.path.startswith("/api/")
    }
    assert set(operations) == routes


def test_every_operation_has_a_summary_and_a_unique_id(operations):
    for where, operation in operations.items():
        assert operation["summary"], where
        assert operation["description"].endswith("."), where
        assert re.fullmatch("[a-z]+(_[a-z]+)*", operation["operationId"]), where
    names = [operation["operationId"] for operation in operations.values()]
    assert len(set(names)) == len(names)


def test_every_answer_has_a_type(document, operations):
    """A redirection has no content, and a report is described by its content type."""
    for where, operation in operations.items():
        if operation["operationId"] == "download_file":
            assert "307" in operation["responses"]
            assert "200" not in operation["responses"]
            continue
        content = operation["responses"]["200"]["content"]
        kind = OTHER_THAN_JSON.get(operation["operationId"], "application/json")
        assert list(content) == [kind], where
        if kind == "application/json":
            name = content[kind]["schema"]["$ref"].rsplit("/", 1)[-1]
            assert document["components"]["schemas"][name]["properties"], where


def test_every_operation_documents_its_errors(document, operations):
    """Whoever is not logged in or has no right gets a problem like any other."""
    problem = {"$ref": "#/components/schemas/ApiError"}
    for where, operation in operations.items():
        refused = {
            status: answer
            for status, answer in operation["responses"].items()
            if status.startswith(("4", "5"))
        }
        assert {"401", "403"} <= set(refused), where
        for status, answer in refused.items():
            schema = answer["content"]["application/json"]["schema"]
            assert schema == problem, f"{where}: {status}"
    assert set(document["components"]["schemas"]["ApiError"]["required"]) == {"code", "detail"}


def test_every_operation_requires_a_login(document, operations):
    known = document["components"]["securitySchemes"]
    for where, operation in operations.items():
        assert operation["security"], where
        assert {name for way in operation["security"] for name in way} <= set(known), where


def test_every_parameter_is_described(operations):
    """Of the ids in the path the name says it all."""
    for where, operation in operations.items():
        for parameter in operation.get("parameters", []):
            assert parameter["in"] in {"path", "query"}, where
            if parameter["name"] not in {"dag_id", "run_id", "offset", "limit"}:
                assert parameter["description"], f"{where}: {parameter['name']}"


def test_the_document_names_its_server(document, site):
    [server] = document["servers"]
    assert server["url"] == "/fanfold"
    answer = site["viewer"].get(f"{server['url']}/api/pipelines")
    assert answer.status_code == 200


def test_the_docs_page_loads_no_external_resource(site, address):
    docs = f"{address}/fanfold/docs"
    page = site["viewer"].get("/fanfold/docs").text
    loaded = re.findall(r"""(?:src|href)=["']([^"']+)""", page)
    files = [urljoin(docs, name) for name in loaded if not name.startswith("data:")]
    assert {name.rsplit("/", 1)[-1] for name in files} == {
        "swagger-ui.css",
        "swagger-ui-bundle.js",
        "docs.js",
    }
    for file in files:
        assert file.startswith(f"{address}/fanfold/static/"), file
        answer = site["viewer"].get(urlsplit(file).path)
        assert (answer.status_code, bool(answer.content)) == (200, True), file
    [own] = [file for file in files if file.endswith("/docs.js")]
    script = site["viewer"].get(urlsplit(own).path).text
    assert "//" not in re.sub(r"^//.*$", "", script, flags=re.MULTILINE), "an address of elsewhere"
    assert 'url: "openapi.json"' in script
