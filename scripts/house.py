"""The house in one picture, drawn from the imports: `python scripts/house.py` writes it into CONTRIBUTING.md.

A room is a module of carvana_lib, or a module or folder of carvana_course. An arrow leads from a room to one that it
imports, anywhere in its files; arrows are left out where others lead the same way through rooms between.
"""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("carvana_course", "carvana_lib")  # as they stand above each other
BEGIN = "<!-- the house: written by `python scripts/house.py` -->"
END = "<!-- end of the house -->"


def find_rooms(root: Path) -> dict[str, list[Path]]:
    """The rooms of both packages: {'carvana_lib.data': its files}."""
    rooms = {}
    for package in PACKAGES:
        for path in sorted((root / package).iterdir()):
            files = [path] if path.suffix == ".py" else sorted(path.rglob("*.py"))
            if files and not path.stem.startswith("__"):
                rooms[f"{package}.{path.stem}"] = files
    return rooms


def find_arrows(rooms: dict[str, list[Path]]) -> set[tuple[str, str]]:
    """(room, room that it imports), for each import statement in the files, those inside functions too."""
    arrows = set()
    for room, files in rooms.items():
        for file in files:
            for name in imported_names(file.read_text(encoding="utf8")):
                other = ".".join(name.split(".")[:2])
                if other in rooms and other != room:
                    arrows.add((room, other))
    return arrows


def imported_names(program: str) -> list[str]:
    """What a program imports, in full: 'from carvana_lib import data' is carvana_lib.data."""
    names = []
    for node in ast.walk(ast.parse(program)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


def reduce_arrows(arrows: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """The arrows without those whose two ends others connect as well."""
    kept = set(arrows)
    for arrow in sorted(arrows):
        if leads(kept - {arrow}, *arrow):
            kept.remove(arrow)
    return kept


def leads(arrows: set[tuple[str, str]], start: str, end: str) -> bool:
    """True if a way of arrows leads from one room to another."""
    seen = set()
    ahead = [start]
    while ahead:
        room = ahead.pop()
        if room == end:
            return True
        if room not in seen:
            seen.add(room)
            ahead += [to for come_from, to in arrows if come_from == room]
    return False


def draw(root: Path = ROOT) -> str:
    """The picture as a mermaid flowchart: a frame for each package, and one arrow for all that cross between them."""
    rooms = find_rooms(root)
    arrows = find_arrows(rooms)
    lines = ["flowchart TB"]
    for package in PACKAGES:
        own = [room for room in rooms if room.startswith(f"{package}.")]
        lines += [f"    subgraph {package}", "        direction TB"]
        lines += [f'        {identifier(room)}["{room.split(".")[1]}"]' for room in own]
        within = {(start, end) for start, end in arrows if start in own and end in own}
        lines += [f"        {identifier(a)} --> {identifier(b)}" for a, b in sorted(reduce_arrows(within))]
        lines.append("    end")
    packages = {(start.split(".")[0], end.split(".")[0]) for start, end in arrows}
    lines += [f"    {start} ==> {end}" for start, end in sorted(packages) if start != end]
    return "\n".join(lines)


def identifier(room: str) -> str:
    """A room's name as mermaid takes it: 'carvana_lib.data' -> 'carvana_lib_data'."""
    return room.replace(".", "_")


def insert(page: str, picture: str) -> str:
    """The page with the picture between its two marks. Raises ValueError if one is missing."""
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n\n```mermaid\n{picture}\n```\n\n{END}{after}"


if __name__ == "__main__":
    page = ROOT / "CONTRIBUTING.md"
    page.write_text(insert(page.read_text(encoding="utf8"), draw()), encoding="utf8")
