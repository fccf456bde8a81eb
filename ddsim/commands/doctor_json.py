"""What `ddsim doctor --json` prints."""

from __future__ import annotations

from ddsim.config import Settings
from ddsim.doctor import Conformance, Diagnosis
from ddsim.errors import DDSimError


def lost_as_json(error: DDSimError, settings: Settings) -> dict[str, object]:
    """What takes its place where one of several servers cannot be asked."""
    return {"server": {"url": settings.server.url}, "unreachable": str(error), "failed": True}


def as_json(found: Diagnosis, settings: Settings) -> dict[str, object]:
    """A diagnosis as plain values."""
    info, capabilities = found.info, found.info.capabilities
    return {
        "server": {
            "url": settings.server.url,
            "version": info.version,
            "commit": info.commit,
            "caffe": capabilities.caffe,
            "torch": capabilities.torch,
            "similarity_engine": capabilities.similarity_engine,
            "compile_flags": info.compile_flags.split(),
            "services": [
                {"name": one.name, "mllib": one.mllib, "type": one.type, "repository": one.repository}
                for one in info.services
            ],
        },
        "traps": [
            {
                "name": trap.name,
                "harm": trap.harm,
                "meaning": trap.meaning,
                "workaround": trap.workaround,
                "on": trap.on(found.facts),
                "proven": trap.proven,
                "source": trap.source,
            }
            for trap in found.traps
        ],
        "checks": [
            {"name": one.name, "status": one.status, "message": one.message, "hint": one.hint} for one in found.checks
        ],
        "conformance": None if found.conformance is None else _conformance_as_json(found.conformance),
        "failed": found.failed,
    }


def _conformance_as_json(found: Conformance) -> list[dict[str, object]]:
    return [
        {
            "name": one.name,
            "source": one.source,
            "expected": {"status": one.expected.status, "dd_code": one.expected.dd_code},
            "got": None if one.got is None else {"status": one.got.status, "dd_code": one.got.dd_code},
            "difference": one.difference,
            "untried": one.untried,
        }
        for one in found.outcomes
    ]
