"""The web page and its API: FastAPI, Jinja2 and plain JavaScript over a search.

Uses the search house; `ddsim serve` starts it. Needs the extra ``web``, so nothing is imported here: the application is
``ddsim.web.app``.
"""
