"""Other names of models: what a project calls by an old name is answered by what took its place."""

from __future__ import annotations

from sqlalchemy import Connection, delete, select

from potstill.server.database import Database
from potstill.server.database.tables import aliases
from potstill.server.errors import invalid
from potstill.server.ids import now

LONGEST = 300


class Aliases:
    """All of them; few, and asked for by every request, so they are kept in memory."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._targets = database.read_now(_read)

    def resolve(self, project: str, name: str) -> str:
        """What a name stands for; itself where nothing else is said."""
        return self._targets.get((project, name), name)

    def of_project(self, project: str) -> dict[str, str]:
        """Name -> target."""
        return {name: target for (owner, name), target in self._targets.items() if owner == project}

    async def put(self, project: str, targets: dict[str, str]) -> None:
        """Adds or replaces names.

        Raises:
            ApiError: 400: a name stands for another alias or for itself, which could lead in a circle.
        """
        mine = {**self.of_project(project), **targets}
        for name, target in targets.items():
            if not 0 < len(name) <= LONGEST or not 0 < len(target) <= LONGEST:
                raise invalid(f"A name has 1 to {LONGEST} characters.", "aliases")
            if target in mine:
                raise invalid(f"'{name}' would stand for '{target}', which is an alias itself.", "aliases")
        rows = [{"project": project, "name": n, "target": t, "created_at": now()} for n, t in targets.items()]

        def write(connection: Connection) -> None:
            old = aliases.c.project == project
            connection.execute(delete(aliases).where(old, aliases.c.name.in_(list(targets))))
            if rows:
                connection.execute(aliases.insert(), rows)

        await self._database.write(write)
        self._targets = await self._database.read(_read)

    async def remove(self, project: str, name: str) -> bool:
        """Forgets a name; whether there was one."""
        mine = (aliases.c.project == project) & (aliases.c.name == name)
        found = await self._database.write(lambda c: c.execute(delete(aliases).where(mine)).rowcount)
        self._targets = await self._database.read(_read)
        return found > 0


def _read(connection: Connection) -> dict[tuple[str, str], str]:
    return {(row.project, row.name): row.target for row in connection.execute(select(aliases))}
