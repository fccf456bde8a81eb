"""A lease on an index: who works on it, where, since when and until when, told to whoever comes from anywhere.

A lease lives on the server, which all who share an index share, as a service without a network beside the index's own.
It costs the server a name and a few hundred bytes, touches no file of the index, and its description says who holds it.
The description of the index's own service cannot hold it: DeepDetect changes no service that is there, and making that
one anew would lose what is added and not built.

The name ends in a number, and every change of a lease is the creation of the next number: to renew it, or to take over
one whose holder is gone. Of several creations of one name at once a server carries out one
(recordings/wire/14-create-race), so there is never more than one successor, and a holder that was taken for gone learns
of it at its next renewal. A server that ends forgets leases with all other services; its users notice that and take
theirs again.

A server without Caffe takes no service without a network, so it holds no leases; that is said in the log, and its users
have to agree among themselves.

A holder is gone when it ended on this machine, when its folder is the very one whose lock the caller has, or when the
time is past until which it holds the lease. That time is by the holder's clock and is read by others': clocks may
differ by five minutes. Where they differ by more, a lease may be taken over from somebody who works on; that run ends
at its next renewal, two minutes later at most.
"""

from __future__ import annotations

import logging
import os
import secrets
import shlex
import socket
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any

import orjson

from ddsim.deepdetect.client import Client
from ddsim.deepdetect.specs import ServiceSpec
from ddsim.errors import BadParameter, DDSimError, ManifestBusy, ServiceExists, ServiceNotFound, UnknownLibrary

_log = logging.getLogger(__name__)

_MARK = "ddsim lease "
_WORD = ".lease-"
#: Seconds for which a lease holds, after which it is renewed, and by which clocks may differ.
LASTS, RENEWED, APART = 600.0, 120.0, 300.0
_TRIES = 4
_COMMAND_CHARS = 200
_KINDS: dict[str, type[Any]] = {"pid": int, "since": float, "until": float}


@dataclass(frozen=True)
class Holder:
    """Who holds a lease.

    Attributes:
        owner: for whom: a configuration, and where its state is.
        folder: of the manifest that is worked on.
        host: the machine's name.
        machine: what tells it, and a container on it, from others of that name.
        pid: the process there.
        command: what it was started as.
        since, until: seconds since 1970, by the holder's clock.
        word: drawn for this lease.
        places: see :func:`places_of`; empty where they cannot be told, or an older version holds the lease.
    """

    owner: str
    folder: str
    host: str
    machine: str
    pid: int
    command: str
    since: float
    until: float
    word: str
    places: str = ""

    def error(self) -> ManifestBusy:
        """What whoever comes second is told."""
        return ManifestBusy(
            f"{self.folder} ({self.owner})",
            pid=self.pid,
            host=self.host,
            since=self.since,
            until=self.until,
            command=self.command,
        )

    def is_gone(self, folder: str, now: float) -> bool:
        """Whether nobody holds it any more.

        Args:
            folder: of the manifest that the caller holds the locks of.
            now: seconds since 1970.
        """
        if now > self.until + APART:
            return True
        if folder and _are_nested(self.places.split(), places_of(Path(folder)).split()):
            return True
        if (self.host, self.machine) != here():
            return False
        # On one machine the manifest's own lock, which the caller holds, says more than any number of a process. Who
        # works on a manifest within another's folder holds the lock of that one, too.
        nested = Path(self.folder).is_relative_to(folder) or Path(folder).is_relative_to(self.folder)
        return (bool(folder) and nested) or not _lives(self.pid)


def here() -> tuple[str, str]:
    """This machine's name, and what tells it from others of that name: its start, and the container on it."""
    try:
        return socket.gethostname(), f"{started()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return socket.gethostname(), f"{sys.platform} {uuid.getnode():x}"


def started() -> str:
    """What tells this start of this machine from all others; all containers on it have the same.

    Raises:
        OSError: the system does not tell.
    """
    return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()


def places_of(folder: Path) -> str:
    """A folder and the one around it, as all containers on this machine know them; empty where that cannot be told.

    Each is this start of the machine and the numbers that it gave file system and folder, whatever the path. Only on
    one machine does a lock that one has keep others out for certain: some network file systems do not pass theirs on.
    """
    try:
        found = [os.stat(one) for one in (folder, folder.parent)]
        return " ".join(f"{started()}/{one.st_dev}/{one.st_ino}" for one in found)
    except OSError:
        return ""


def _are_nested(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether of two folders, each with the one around it, both are the same or one is within the other."""
    return bool(one and other) and (one[0] in other or other[0] in one)


class Lease:
    """The lease of one index, for one who works on it. Safe to use from one thread at a time.

    Args:
        client: the server.
        service: the index's own; the lease is called after it.
        owner, folder: see :class:`Holder`.
        clock: seconds since 1970.

    Attributes:
        repository: a folder of the index on the server, to be given before anything else; nothing but a file
            ``config.json`` is written there.
    """

    def __init__(
        self,
        client: Client,
        service: str,
        *,
        owner: str,
        folder: Path,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._client = client
        self.service = service
        self.repository = ""
        self._clock = clock
        self._number: int | None = None
        self._offered = True
        self._renewed = 0.0
        host, machine = here()
        self._me = Holder(
            _plain(owner),
            _plain(str(folder.absolute())),
            _plain(host),
            machine,
            os.getpid(),
            _plain(shlex.join(sys.argv))[:_COMMAND_CHARS],
            clock(),
            0.0,
            secrets.token_hex(8),
            places_of(folder),
        )

    def take(self) -> None:
        """Have it, also where a server forgot that one had it.

        Raises:
            ManifestBusy: somebody else has it; says who, where and since when.
        """
        for _ in range(_TRIES):
            found = self.check()
            self._number = max((number for number, one in found.items() if one.word == self._me.word), default=None)
            if self._number is None and not self._put(max(found, default=0) + 1):
                continue  # somebody was faster
            if not self._offered:
                return
            # Whoever saw no lease began to count anew, and may not have seen one that was being renewed.
            found = self.check()
            for number in found.keys() - {self._number}:
                self._drop(number)
            return
        raise self._taken()

    def hold(self) -> None:
        """Make sure that one has it still; asks the server where that was long ago.

        Raises:
            ManifestBusy: somebody else has it now.
        """
        if not self._offered or abs(self._clock() - self._renewed) < RENEWED:
            return
        before = self._number
        if before is None or not self._put(before + 1):
            self.take()
        elif not self._drop(before):
            self.take()  # the server was restarted since, and somebody else may have come

    def check(self) -> dict[int, Holder]:
        """All numbers of the lease that there are, none of them a living other's.

        Raises:
            ManifestBusy: somebody else has it; what one had oneself is let go.
        """
        found = holders(self._client, self.service)
        now = self._clock()
        for one in found.values():
            if one.word != self._me.word and not one.is_gone(self._me.folder, now):
                self.release()
                raise one.error()
        return found

    def release(self) -> None:
        """Let go of it. What fails is only logged: the lease ends by itself."""
        number, self._number = self._number, None
        self._renewed = 0.0
        if number is not None:
            try:
                self._drop(number)
            except DDSimError as error:
                _log.info("the lease of %s could not be given back: %s", self.service, error)

    def _put(self, number: int) -> bool:
        """Create this number; False where somebody else did."""
        now = self._clock()
        said = asdict(self._me) | {"until": now + LASTS}
        spec = ServiceSpec(
            name=f"{self.service}{_WORD}{number}",
            description=_MARK + orjson.dumps(said).decode(),
            repository=self.repository,
            create_repository=True,
            nclasses=1,
        )
        try:
            self._client.create_service(spec)
        except ServiceExists:
            return False
        except (UnknownLibrary, BadParameter) as error:
            _log.warning(
                "a run of somebody else on %s is not kept away: the server holds no leases (%s)", self.service, error
            )
            self._offered = False
            return True
        self._number, self._renewed = number, now
        return True

    def _drop(self, number: int) -> bool:
        """Delete this number; False where it was gone."""
        try:
            self._client.delete_service(f"{self.service}{_WORD}{number}")
        except ServiceNotFound:
            return False
        return True

    def _taken(self) -> ManifestBusy:
        found = holders(self._client, self.service)
        return found[max(found)].error() if found else ManifestBusy(self._me.folder)


def holders(client: Client, service: str) -> dict[int, Holder]:
    """Who holds, or held, the lease of this service: number -> holder."""
    found: dict[int, Holder] = {}
    for one in client.info().services:
        name, _, number = one.name.rpartition(_WORD)
        holder = holder_of(one.description)
        if holder is not None and name == service.lower() and number.isdecimal():
            found[int(number)] = holder
    return found


def holder_of(description: str) -> Holder | None:
    """The holder that a description names; None where it is of something else."""
    if not is_lease(description):
        return None
    try:
        said = orjson.loads(description.removeprefix(_MARK))
        # What a later version says besides is not known here.
        known = [one.name for one in fields(Holder) if one.name in said or one.default is MISSING]
        holder = Holder(**{name: _KINDS.get(name, str)(said[name]) for name in known})
        time.localtime(holder.since)
        time.localtime(holder.until)
    except (ValueError, TypeError, KeyError, OverflowError, OSError):
        return None
    return holder


def is_lease(description: str) -> bool:
    """Whether a service is a lease, by its description."""
    return description.startswith(_MARK)


def _plain(text: str) -> str:
    """Names of files and machines may hold bytes that are no Unicode, which no JSON can."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _lives(pid: int) -> bool:
    """Whether there is such a process on this machine; where that cannot be told, there is."""
    if sys.platform == "win32":  # there the call would end it
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
