"""The web page: FastAPI, Jinja2 and plain JavaScript over a search. Needs the extra ``web``."""
