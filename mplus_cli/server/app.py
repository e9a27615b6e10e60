"""The web application: routes, failures, the two pages, and the guard before all of it."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import lru_cache
from importlib.resources import files

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from mplus_cli import __version__
from mplus_cli.errors import MplusError, UsageError
from mplus_cli.server import openai_api, responses_api, rest
from mplus_cli.server.guards import Guard, Policy
from mplus_cli.server.replies import error_response, error_value
from mplus_cli.server.service import Service

PUBLIC = frozenset({"/", "/docs", "/openapi.json"})
"""What needs no token: nothing of the user's is in it."""
_ABOUT = """\
Memories of books, asked and searched. `/v1` is OpenAI's API: each memory is a model. `/api` is all of
mplus: memories, their text, reading documents, questions with sources, passages. A failure is an object
with `error.message`.
"""


def make_app(service: Service, policy: Policy) -> Guard:
    """The application.

    Args:
        service: what answers.
        policy: who may ask.
    """
    app = FastAPI(
        title="mplus", version=__version__, description=_ABOUT, docs_url=None, redoc_url=None
    )
    strict = service.mplus.settings.strict
    app.include_router(openai_api.routes(service, strict), tags=["OpenAI"])
    app.include_router(responses_api.routes(service, strict), tags=["OpenAI"])
    app.include_router(rest.routes(service, strict), tags=["mplus"])
    app.add_api_route("/", lambda: page("index.html"), include_in_schema=False)
    app.add_api_route("/docs", lambda: page("api.html"), include_in_schema=False)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(ClientDisconnect, _gone)
    for kind in (MplusError, Exception):
        app.add_exception_handler(kind, _failed)
    return Guard(app, policy)


async def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return error_response(UsageError("the body is not valid JSON: see /docs"))
    where = ".".join(str(part) for part in first["loc"][1:]) or "the request"
    return error_response(UsageError(f"{where}: {first['msg'].lower()}: see /docs"))


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    value = error_value(UsageError(f"{error.detail}: see /docs"))
    return JSONResponse(value, error.status_code, headers=dict(error.headers or {}))


async def _gone(_: Request, __: Exception) -> Response:
    return Response(status_code=499)


async def _failed(_: Request, error: Exception) -> Response:
    return error_response(error)


@lru_cache
def _page(name: str) -> tuple[str, str]:
    """A page of this package and the policy that allows its own script and style, and nothing else."""
    text = files("mplus_cli.server").joinpath(name).read_text(encoding="utf-8")
    rules = ["default-src 'none'", "connect-src 'self'", "img-src data:", "base-uri 'none'"]
    rules += ["form-action 'none'", "frame-ancestors 'none'"]
    for kind in ("script", "style"):
        parts = re.findall(rf"<{kind}>(.*?)</{kind}>", text, flags=re.DOTALL)
        digests = [base64.b64encode(hashlib.sha256(part.encode()).digest()) for part in parts]
        rules.append(f"{kind}-src " + " ".join(f"'sha256-{d.decode()}'" for d in digests))
    return text, "; ".join(rules)


def page(name: str) -> Response:
    """One of the two pages."""
    text, policy = _page(name)
    return HTMLResponse(text, headers={"content-security-policy": policy})
