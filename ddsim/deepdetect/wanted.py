"""The services that each of several servers has to have, with the same network behind them."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from ddsim.deepdetect.canary import SAME_FILES, Canary, agreed, differing, drawn
from ddsim.deepdetect.client import Client
from ddsim.deepdetect.members import Member, Members
from ddsim.deepdetect.results import Ensured
from ddsim.deepdetect.retries import Retries
from ddsim.errors import DDSimError, NetworkChanged
from ddsim.pictures import Upload


@dataclass
class Wanted:
    """A service that each of the servers has to have.

    Attributes:
        layer: whose features are asked for; None for labels.
        make: has it made on one server.
        canary: what each makes of the drawn pictures.
    """

    layer: str | None
    make: Callable[[Client], Ensured]
    canary: Canary | None = None


class WantedServices:
    """What is wanted so far, and how a server comes to have it.

    Args:
        upload: how the drawn pictures are prepared that tell networks apart.
        retries: how often all of it is tried again when no server can be had.
    """

    def __init__(self, upload: Upload, retries: Retries) -> None:
        self._upload = upload
        self._retries = retries
        self._named: dict[str, Wanted] = {}

    def __contains__(self, name: object) -> bool:
        return name in self._named

    def forget(self, name: str) -> None:
        """It is not wanted any more, if it was."""
        self._named.pop(name, None)

    def ensured(self, servers: Members, name: str, wanted: Wanted, canary: Canary | None) -> Ensured:
        """Have a service on each that can be had; see :meth:`ddsim.deepdetect.several.Several.ensured`."""
        made = self._retries.run(lambda: self._made_on_each(servers, wanted), repeatable=False)
        found = {member: drawn for member, (_, drawn) in made.items() if drawn is not None}
        if found:
            wanted.canary = agreed({member.url: drawn for member, drawn in found.items()}, canary)
        self._named[name] = wanted
        all_made = [ensured for ensured, _ in made.values()]
        return replace(
            all_made[0],
            created=any(one.created for one in all_made),
            incarnation=" ".join(one.incarnation for one in all_made if one.incarnation) or None,
            replaced=any(one.replaced for one in all_made),
        )

    def _made_on_each(self, servers: Members, wanted: Wanted) -> dict[Member, tuple[Ensured, Canary | None]]:
        servers.await_any()
        members = servers.in_use()
        done: dict[Member, tuple[Ensured, Canary | None]] = {}
        failed: dict[Member, DDSimError] = {}
        with ThreadPoolExecutor(max(len(members), 1), thread_name_prefix="ddsim-ensure") as pool:
            begun = [(member, pool.submit(self._made, member.client, wanted)) for member in members]
        for member, future in begun:
            try:
                done[member] = future.result()
            except DDSimError as error:
                failed[member] = error
        servers.part_with(failed, done=bool(done))
        return done

    def _made(self, client: Client, wanted: Wanted) -> tuple[Ensured, Canary | None]:
        """A service on one server, and what that makes of the drawn pictures."""
        ensured = wanted.make(client)
        if wanted.layer is None:
            return ensured, None
        return ensured, Canary(client.extract(ensured.name, drawn(self._upload), layer=wanted.layer))

    def admit(self, member: Member) -> None:
        """Have everything that is wanted on a server that was away.

        Raises:
            DDSimError: it cannot be, or its network is another one.
        """
        member.client.info()
        for wanted in list(self._named.values()):
            _, found = self._made(member.client, wanted)
            if found is not None and wanted.canary is not None and not found.same_as(wanted.canary):
                told = differing({member.url: found}, wanted.canary)
                raise NetworkChanged(f"{told}, and nothing was stored: {SAME_FILES}")
