"""Today's readers and writers of trusted lists, as far as they are known, over plain HTTP.

Written from the facts about the components; nothing of the facades is used here.
"""

import json
import re
from base64 import b64decode
from hashlib import sha256
from typing import Any

import httpx
import yaml

__all__ = ["Desmos", "In2Issuer", "In2Verifier", "VcVerifier"]


class In2Verifier:
    """Asks ``{url}{did}`` and compares the types of a credential with what the issuer may issue."""

    def __init__(self, http: httpx.AsyncClient, url: str) -> None:
        self._http = http
        self._url = url

    async def trusts(self, issuer: str, mandator: str, types: list[str]) -> bool:
        """Say whether issuer and mandator are listed for one of the types."""
        for did in (issuer, f"did:elsi:{mandator}"):
            allowed = await self._allowed(did)
            if not any(type_ in allowed for type_ in types):
                return False
        return True

    async def _allowed(self, did: str) -> list[str]:
        answer = await self._http.get(self._url + did)
        if answer.status_code == 404:
            return []
        assert answer.status_code == 200
        bodies = [b64decode(item["body"], validate=True) for item in answer.json()["attributes"]]
        return [json.loads(body)["credentialsType"] for body in bodies]


class VcVerifier:
    """Tries version 4 of the interface, then version 3 on any answer but 200."""

    def __init__(self, http: httpx.AsyncClient, base: str) -> None:
        self._http = http
        self._base = base
        self.asked: list[str] = []

    async def is_participant(self, did: str) -> bool:
        """Say whether the registry of participants knows a DID."""
        return await self._issuer(did) is not None

    async def may_issue(self, did: str, type_: str, claim: str, value: object) -> bool:
        """Say whether an issuer may attest a value of a claim."""
        issuer = await self._issuer(did)
        for item in [] if issuer is None else issuer["attributes"]:
            body = b64decode(item["body"], validate=True)
            assert b64decode(item["hash"], validate=True) == sha256(body).digest()
            credential = json.loads(body)
            if credential["credentialsType"] == type_:
                claims = {one["name"]: one["allowedValues"] for one in credential.get("claims", [])}
                return claim not in claims or value in claims[claim]
        return False

    async def _issuer(self, did: str) -> dict[str, Any] | None:
        for version in ("v4", "v3"):
            path = f"{self._base}/{version}/issuers/{did}"
            self.asked.append(path)
            answer = await self._http.get(path)
            if answer.status_code == 200:
                issuer: dict[str, Any] = answer.json()
                assert issuer["did"] == did
                return issuer
        return None


class In2Issuer:
    """Registers an issuer and is content when somebody was quicker."""

    def __init__(self, http: httpx.AsyncClient, base: str) -> None:
        self._http = http
        self._base = base

    async def register(self, organization: str) -> int:
        """Register ``did:elsi:<organization>``; give the status, which must be one of two."""
        body = {"did": f"did:elsi:{organization}"}
        answer = await self._http.post(f"{self._base}/issuer", json=body)
        if answer.status_code not in (201, 409):
            raise RuntimeError(f"registration failed with {answer.status_code}")
        return answer.status_code


class Desmos:
    """Reads addresses of access nodes: a YAML number, in hexadecimal, padded to 40 digits."""

    def __init__(self, http: httpx.AsyncClient, url: str) -> None:
        self._http = http
        self._url = url

    async def is_known(self, address: str) -> bool:
        """Say whether an address of a notification is one of an access node."""
        answer = await self._http.get(self._url, headers={"accept": "application/json"})
        known = set()
        for node in yaml.safe_load(answer.text)["organizations"]:
            if not isinstance(node["dlt_address"], int):
                raise TypeError("the address is no number: the application ends")
            known.add(f"0x{node['dlt_address']:x}".replace("0x", "").zfill(40))
        assert all(re.fullmatch("[0-9a-f]{40}", item) for item in known)
        return address.lower().removeprefix("0x") in known
