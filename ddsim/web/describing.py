"""The API's description for people, made from its OpenAPI document.

The usual viewers of such documents come from elsewhere or need inline scripts, which the page's policy forbids; this
one is plain HTML.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Response
from fastapi.responses import HTMLResponse
from jinja2 import Environment, StrictUndefined

_TEMPLATE = """\
<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <meta name="color-scheme" content="light dark">
  <title>API · {{ title }}</title>
  <link rel="icon" href="{{ icon }}">
  <link rel="stylesheet" href="static/app.css">
</head>
<body class="docs">
<main>
  <p><a href="./">To the page</a></p>
  <h1>API</h1>
  <p>{{ description }} The same for programs: <a href="openapi.json">openapi.json</a>.</p>
  <pre><code>curl -F picture=@photo.jpg -F k=5 {{ address }}api/search</code></pre>
  {% for call in calls %}
  <section>
    <h2><code>{{ call.method }} {{ call.path }}</code></h2>
    <p>{{ call.summary }}</p>
    {% if call.fields %}
    <dl>{% for field in call.fields %}<dt><code>{{ field.name }}</code></dt><dd>{{ field.about }}</dd>{% endfor %}</dl>
    {% endif %}
    {% if call.answer %}<p>Answers <a href="#{{ call.answer }}">{{ call.answer }}</a>.</p>{% endif %}
  </section>
  {% endfor %}
  <h2>Answers</h2>
  {% for answer in answers %}
  <section id="{{ answer.name }}">
    <h3><code>{{ answer.name }}</code></h3>
    <p>{{ answer.about }}</p>
    <dl>{% for field in answer.fields %}<dt><code>{{ field.name }}</code> {{ field.kind }}</dt>
      <dd>{{ field.about }}</dd>{% endfor %}</dl>
  </section>
  {% endfor %}
</main>
</body>
</html>
"""


def describe(app: FastAPI, address: str, icon: str) -> Response:
    """The page.

    Args:
        app: what is described.
        address: where it is, for the example.
        icon: address of the page's mark.
    """
    document = app.openapi()
    calls = [
        _call(method, path, operation)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    ]
    ours = [name for name in document["components"]["schemas"] if not name.endswith("ValidationError")]
    answers = [_answer(name, document["components"]["schemas"][name]) for name in ours]
    template = Environment(autoescape=True, undefined=StrictUndefined).from_string(_TEMPLATE)
    about = document["info"]
    return HTMLResponse(
        template.render(
            title=about["title"],
            description=about["description"],
            address=address,
            icon=icon,
            calls=calls,
            answers=answers,
        )
    )


def _call(method: str, path: str, operation: dict[str, Any]) -> dict[str, Any]:
    schema = operation.get("requestBody", {}).get("content", {}).get("multipart/form-data", {}).get("schema", {})
    answer = operation["responses"].get("200", {}).get("content", {}).get("application/json", {}).get("schema", {})
    return {
        "method": method.upper(),
        "path": path,
        "summary": operation.get("description", ""),
        "fields": _fields(schema),
        "answer": _name(answer),
    }


def _answer(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "about": schema.get("description", ""), "fields": _fields(schema)}


def _fields(schema: dict[str, Any]) -> list[dict[str, str]]:
    return [
        {"name": name, "kind": _kind(field), "about": field.get("description", "")}
        for name, field in schema.get("properties", {}).items()
    ]


def _kind(field: dict[str, Any]) -> str:
    kinds = [_name(one) or one.get("type", "") for one in field.get("anyOf", [field])]
    items = _name(field.get("items", {})) if isinstance(field.get("items"), dict) else ""
    return " or ".join(kinds) + (f" of {items}" if items else "")


def _name(schema: dict[str, Any]) -> str:
    reference: str = schema.get("$ref", "")
    return reference.rpartition("/")[2]
