"""The gateway's operation for who looks at what was administered."""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from ledger.core.limits import INT_MAX
from pubsub.core.audit_documents import AuditDocument
from pubsub.core.limits import AUDIT_PAGE_RECORDS, AUDIT_PAGE_RECORDS_MAX, AUDIT_RECORDS_MAX
from pubsub.core.openapi import Answer, Operation, Parameter, reference
from pubsub.core.parameters import Parameters
from pubsub.core.problems import HttpCode
from pubsub.core.rights import Scope
from pubsub.io.answers import json_response
from pubsub.io.endpoint import Endpoint
from pubsub.io.state import Gateway

__all__ = ["AUDIT_ENDPOINTS", "get_audit"]


async def get_audit(gateway: Gateway, request: Request) -> Response:
    """Answer with a page of the audit trail."""
    parameters = Parameters(request.query_params.multi_items(), ("before", "limit"))
    before = parameters.integer("before", 0, INT_MAX)
    limit = parameters.integer("limit", 1, AUDIT_PAGE_RECORDS_MAX) or AUDIT_PAGE_RECORDS
    return json_response(gateway.audit.page(before, limit), headers={"cache-control": "no-store"})


_AUDIT = Operation(
    "GET",
    "/v1/audit",
    "listAudit",
    "Operations",
    "See what was administered here, by whom and when",
    "Gives administrative acts of this gateway, the newest first: tokens added and revoked, "
    "consumers and webhooks made, changed and deleted, dead letters replayed, the configuration of "
    f"access loaded. The newest {AUDIT_RECORDS_MAX:,} are kept; each is a line of the log, too.",
    (Answer(200, "A page of records.", {"application/json": reference(AuditDocument)}),),
    (HttpCode.INVALID_PARAMETER, HttpCode.INTERNAL_ERROR),
    (
        Parameter(
            "before",
            "query",
            "Only records whose number is below this: `next` of the page before.",
            {"type": "integer", "minimum": 0, "maximum": INT_MAX},
        ),
        Parameter(
            "limit",
            "query",
            "At most so many records.",
            {
                "type": "integer",
                "minimum": 1,
                "maximum": AUDIT_PAGE_RECORDS_MAX,
                "default": AUDIT_PAGE_RECORDS,
            },
        ),
    ),
)

AUDIT_ENDPOINTS: Final = (Endpoint(_AUDIT, get_audit, Scope.OPERATE),)
