"""What people see at an address where there is nothing; programs get the refusal as JSON."""

from __future__ import annotations

from fastapi import Request, Response
from fastapi.responses import HTMLResponse
from jinja2 import Environment, StrictUndefined

from ddsim.web.answers import refused
from ddsim.web.appearance import Appearance
from ddsim.web.refusals import NOT_FOUND
from ddsim.web.texts import Texts

# Its links begin at the server's root: from such an address a relative one may lead anywhere.
_TEMPLATE = """\
<!doctype html>
<html lang="{{ t.language }}">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <meta name="color-scheme" content="light dark">
  <title>{{ title }}</title>
  <link rel="icon" href="{{ root }}/{{ icon }}">
  <link rel="stylesheet" href="{{ root }}/static/app.css">
  {% if accent %}<link rel="stylesheet" href="{{ root }}/accent.css">{% endif %}
</head>
<body class="docs">
<main>
  <h1>{{ words.message }}</h1>
  <p><a class="button" href="{{ root }}/">{{ t("start") }}</a></p>
</main>
</body>
</html>
"""
_PAGE = Environment(autoescape=True, undefined=StrictUndefined).from_string(_TEMPLATE)


def missing(request: Request, appearance: Appearance, texts: Texts) -> Response:
    """The answer where there is no such page."""
    if "text/html" not in request.headers.get("accept", ""):
        return refused(NOT_FOUND)
    html = _PAGE.render(
        t=texts,
        title=appearance.title,
        icon=appearance.logo,
        accent=appearance.accent,
        root=request.scope.get("root_path", ""),
        words=texts.error(NOT_FOUND),
    )
    return HTMLResponse(html, NOT_FOUND.status)
