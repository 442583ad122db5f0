"""The files of the trust framework, read as today's components read them."""

import hashlib
import re
from typing import Any

import pytest
import yaml

from tests.adapters.registry_world import NOW_MS, RegistryWorld, put

BASE = "/trust-framework"
SERVICES, REVOKED, NODES = (
    f"{BASE}/{name}"
    for name in (
        "trusted_services_list.yaml",
        "revoked_credential_list.yaml",
        "trusted_access_nodes_list.yaml",
    )
)


def node(name: str, address: str) -> bytes:
    """Give the body of an access node."""
    return b'{"name":"%s","dlt_address":"%s"}' % (name.encode(), address.encode())


async def load(world: RegistryWorld, path: str) -> dict[str, list[Any]]:
    """Read a file."""
    answer = await world.http.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (
        200,
        "text/plain; charset=utf-8",
    )
    loaded: dict[str, list[Any]] = yaml.safe_load(answer.text)
    return loaded


async def test_empty_lists_are_files_too(world: RegistryWorld) -> None:
    """A network in which nothing is listed serves three files with empty lists."""
    assert await load(world, SERVICES) == {"clients": []}
    assert await load(world, REVOKED) == {"revoked_credentials": []}
    assert await load(world, NODES) == {"organizations": []}


async def test_addresses_are_numbers_of_40_digits(world: RegistryWorld) -> None:
    """Desmos reads a number and pads it to 40 digits; what is no address would end it."""
    addresses = ["0x" + "0" * 38 + "aa", "0x" + "F" * 40, "0x" + "0" * 40, "0x" + "1" * 40]
    entries = [put(f"n{i}", "access-node", node(f"N{i}", a)) for i, a in enumerate(addresses)]
    wrong = [
        put(f"w{i}", "access-node", node("w", a)) for i, a in enumerate(("0x12", "x", "0xaa\\n"))
    ]
    late = put("late", "access-node", node("late", addresses[0]), (0, NOW_MS))
    await world.change("access-nodes", *entries, *wrong, late)
    text = (await world.http.get(NODES)).text
    assert text.splitlines()[:3] == [
        "organizations:",
        "- name: N0",
        f"  dlt_address: {addresses[0]}",
    ]
    organizations = (await load(world, NODES))["organizations"]
    assert [f"0x{item['dlt_address']:040x}" for item in organizations] == [
        address.lower() for address in addresses
    ]
    lines = [line for line in text.splitlines() if "dlt_address" in line]
    assert all(re.fullmatch(r"  dlt_address: 0x[0-9a-f]{40}", line) for line in lines)


@pytest.mark.parametrize(
    "name", ["yes", "0x10", "1e5", "~", "a: b", "- x", "#", "é ü", "'", '"', " x ", "\\n", "&a"]
)
async def test_any_name_comes_back_as_it_is(world: RegistryWorld, name: str) -> None:
    """Names that YAML would read as something else are quoted."""
    await world.change(
        "access-nodes", put("n", "access-node", node(name.replace('"', '\\"'), "0x" + "1" * 40))
    )
    (item,) = (await load(world, NODES))["organizations"]
    assert item["name"] == name.replace("\\n", "\n")


async def test_services_have_the_members_of_the_file_in_its_order(world: RegistryWorld) -> None:
    """What the ledger knows of a service is written, in the order of the published file."""
    body = b'{"scopes":["s","s"],"requireProofKey":false,"url":"https://p.example","clientId":"p"}'
    await world.change("services", put("p", "service", body))
    (client,) = (await load(world, SERVICES))["clients"]
    assert list(client) == ["clientId", "url", "scopes", "requireProofKey"]
    assert client["scopes"] == ["s", "s"]
    assert client["requireProofKey"] is False
    assert "&" not in (await world.http.get(SERVICES)).text


async def test_revocations_are_listed_while_they_stand(world: RegistryWorld) -> None:
    """Ids are texts in order, also those that look like numbers."""
    ids = ["10000000", "1e10", "7e57c0de-0000-4000-8000-000000000000"]
    await world.change("revoked-credentials", *(put(id_, "revocation") for id_ in reversed(ids)))
    assert await load(world, REVOKED) == {"revoked_credentials": ids}


async def test_any_text_that_the_ledger_took_can_be_written(world: RegistryWorld) -> None:
    """Control characters, what is no character, and odd types end in a file that can be read."""
    await world.change(
        "services",
        put("a", "service", b'{"clientId":"\\u0000\\uffff\\ufeff","scopes":{"a":[null,1.5]}}'),
    )
    (client,) = (await load(world, SERVICES))["clients"]
    assert client["scopes"] == {"a": [None, "1.5"]}


@pytest.mark.parametrize("path", [SERVICES, REVOKED, NODES])
async def test_a_file_is_sent_once(world: RegistryWorld, path: str) -> None:
    """The same lists give the same bytes and tag; who has the tag is told so, until it changes."""
    await world.change("access-nodes", put("n", "access-node", node("n", "0x" + "1" * 40)))
    first = await world.http.get(path)
    tag = first.headers["etag"]
    assert tag == f'"{hashlib.sha256(first.content).hexdigest()}"'
    await world.change("schemas", put("other", "schema", b"{}"))
    again = await world.http.get(path)
    assert (again.content, again.headers["etag"]) == (first.content, tag)
    for header in (tag, f"W/{tag}", f'"x", {tag}', "*"):
        known = await world.http.get(path, headers={"if-none-match": header})
        assert (known.status_code, known.content, known.headers["etag"]) == (304, b"", tag)
    for header in ('"x"', tag.strip('"'), ""):
        assert (await world.http.get(path, headers={"if-none-match": header})).status_code == 200
    kinds = {SERVICES: ("services", "service", b'{"clientId":"c"}')}
    kinds[REVOKED] = ("revoked-credentials", "revocation", b"")
    kinds[NODES] = ("access-nodes", "access-node", node("m", "0x" + "2" * 40))
    list_name, kind, body = kinds[path]
    await world.change(list_name, put("more", kind, body))
    changed = await world.http.get(path, headers={"if-none-match": tag})
    assert changed.status_code == 200
    assert changed.headers["etag"] != tag


async def test_schemas_are_served_as_they_were_registered(world: RegistryWorld) -> None:
    """A schema's file has its very bytes, under its id; another name is 404."""
    body = b'{ "type" : "object" }'
    await world.change("schemas", put("learCredentialEmployeeSchema", "schema", body))
    await world.change("schemas", put("https:%2F%2Fs.example%2Fa", "schema", body))
    path = f"{BASE}/trusted_schemas_list"
    for name in ("learCredentialEmployeeSchema.json", "https:%2F%2Fs.example%2Fa.json"):
        answer = await world.http.get(f"{path}/{name}")
        assert (answer.status_code, answer.content) == (200, body)
        assert answer.headers["content-type"] == "application/json"
        known = {"if-none-match": answer.headers["etag"]}
        assert (await world.http.get(f"{path}/{name}", headers=known)).status_code == 304
    for name in ("x.json", "", "../secret.json", "%2e%2e/x.json"):
        assert (await world.http.get(f"{path}/{name}")).status_code == 404
