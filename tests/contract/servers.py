"""The embedded server, started and restarted for a scenario."""

from __future__ import annotations

from doors import Door, EngineDoor, SocketDoor

from ddsim.embedded import EmbeddedServer, Engine


class Running:
    """A server and the way to it, which a scenario may restart."""

    def __init__(self, kind: str, profile: str = "v0.25.0") -> None:
        self.kind = kind
        self.profile = profile
        self._server: EmbeddedServer | None = None
        self.door: Door = self.start()

    def start(self) -> Door:
        """End what runs, start anew with no services."""
        self.stop()
        engine = Engine(profile=self.profile)
        if self.kind == "in-process":
            self.door = EngineDoor(engine)
        else:
            self._server = EmbeddedServer(engine)
            self._server.start()
            self.door = SocketDoor(self._server.url)
        return self.door

    def stop(self) -> None:
        """Close the door and the server behind it."""
        if self._server is not None:
            self.door.close()
            self._server.stop()
            self._server = None
