"""The commands, each a thin file: it parses, calls the library and prints.

The only house that prints and exits; nothing imports it but ``python -m ddsim`` and ``python -m ddsim.index``.
"""
