"""Plain statements: what a learner would have to read twice is found in the syntax trees of all the code there is."""

import ast
from collections import Counter, defaultdict

import nbformat
from conftest import ROOT

PACKAGES = ("carvana_lib", "carvana_course")
FOLDERS = (*PACKAGES, "tests", "benchmarks", "studio", "scripts")
FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


def parse_files(*folders: str) -> dict[str, ast.Module]:
    """{path in the repository: syntax tree} of the Python files below these folders."""
    paths = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    return {path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf8")) for path in paths}


def parse_notebooks() -> dict[str, ast.Module]:
    """{'notebooks/01_data.ipynb, code cell 3': syntax tree} of the notebooks and their solutions."""
    trees = {}
    for path in sorted((ROOT / "notebooks").rglob("*.ipynb")):
        code = [cell.source for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]
        for number, source in enumerate(code, 1):
            trees[f"{path.relative_to(ROOT).as_posix()}, code cell {number}"] = ast.parse(source)
    return trees


def places(find, trees: dict[str, ast.Module]) -> list[str]:
    """'file:line' of all that a detector finds."""
    return [f"{name}:{line}" for name, tree in trees.items() for line in find(tree)]


# Several things in one statement: `a(), b()` and `x() if c else y()`


def combined_statements(tree: ast.Module) -> list[int]:
    """Lines of tuples, conditional expressions, `and` and `or` that stand as a statement."""
    statements = [node for node in ast.walk(tree) if isinstance(node, ast.Expr)]
    return [node.lineno for node in statements if isinstance(node.value, ast.Tuple | ast.IfExp | ast.BoolOp)]


def test_a_statement_does_one_thing():
    found = places(combined_statements, parse_files(*FOLDERS) | parse_notebooks())
    assert not found, "\n".join(found)


def test_combined_statements_are_found():
    planted = "first(), second()\nfirst() if ready else second()\nready and first()"
    assert combined_statements(ast.parse(planted)) == [1, 2, 3]
    assert combined_statements(ast.parse("pair = (1, 2)\nfirst()\nx = 1 if ready else 2\nreturned = a or b")) == []


# Arithmetic on truth values: `"s" * (n > 1)`, `count -= a == b`, `name + "-dirty" * dirty`


def own_nodes(scope: ast.AST) -> list[ast.AST]:
    """All that stands in a module or function, without what stands in the functions inside it."""
    nodes = []
    for child in ast.iter_child_nodes(scope):
        nodes.append(child)
        if not isinstance(child, FUNCTIONS):
            nodes.extend(own_nodes(child))
    return nodes


def is_truth(node: ast.expr, names: set[str]) -> bool:
    """True for what gives True or False: a comparison, `not`, bool(), `and` and `or` of such, one of the names."""
    if isinstance(node, ast.BoolOp):
        return all(is_truth(value, names) for value in node.values)
    if isinstance(node, ast.UnaryOp):
        return isinstance(node.op, ast.Not)
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id == "bool"
    if isinstance(node, ast.Name):
        return node.id in names
    return isinstance(node, ast.Compare)


def truth_names(nodes: list[ast.AST]) -> set[str]:
    """Names that hold nothing but truth values: parameters of type bool, and what is only ever given a truth value."""
    given = Counter(node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store))
    truths = Counter()
    for node in nodes:
        if isinstance(node, ast.Assign) and is_truth(node.value, set()):
            truths.update(target.id for target in node.targets if isinstance(target, ast.Name))
        if isinstance(node, ast.arg) and isinstance(node.annotation, ast.Name) and node.annotation.id == "bool":
            truths[node.arg] += 1
            given[node.arg] += 1
    return {name for name, count in truths.items() if count == given[name]}


def truth_arithmetic(tree: ast.Module) -> list[int]:
    """Lines that add, subtract or multiply truth values."""
    lines = []
    for scope in [tree, *(node for node in ast.walk(tree) if isinstance(node, FUNCTIONS))]:
        nodes = own_nodes(scope)
        names = truth_names(nodes)
        for node in nodes:
            if not isinstance(node, ast.BinOp | ast.AugAssign) or not isinstance(node.op, ast.Add | ast.Sub | ast.Mult):
                continue
            operands = [node.value] if isinstance(node, ast.AugAssign) else [node.left, node.right]
            if any(is_truth(operand, names) for operand in operands):
                lines.append(node.lineno)
    return sorted(lines)


def test_nobody_calculates_with_truth_values():
    found = places(truth_arithmetic, parse_files(*FOLDERS) | parse_notebooks())
    assert not found, "\n".join(found)


def test_truth_arithmetic_is_found():
    planted = [
        "text = 's' * (n > 1)",
        "count -= a == b",
        "height = rows + 0.35 * bool(legend)",
        "found = 'removed' * (not stale and clean == 1)",
        "dirty = status == 1\nname = name + '-dirty' * dirty",
        "def height(rows, legend: bool):\n    return rows + 0.35 * legend",
        "shade = lambda angle: 0.5 * (angle > 1)",
    ]
    assert [len(truth_arithmetic(ast.parse(source))) for source in planted] == [1] * len(planted)
    harmless = [
        "both = (a > 0) & (b > 0) | (c == 1)",
        "count = sum(value > 1 for value in values)",
        "rows = (known or []) + new",
        "share = (mask > 0).mean() * 100",
        "dirty = status == 1\ndirty = 3\nname = 2 * dirty",
        "def first():\n    large = n > 1\n\n\ndef second(large):\n    return 2 * large",
    ]
    assert [truth_arithmetic(ast.parse(source)) for source in harmless] == [[]] * len(harmless)


# Two unrelated names on one line: `rows, hooks = [], []`


def items_of(node: ast.expr) -> set[str]:
    """The items of a tuple or list as source text; none of anything else."""
    return {ast.unparse(item) for item in node.elts} if isinstance(node, ast.Tuple | ast.List) else set()


def tuple_assignments(tree: ast.Module) -> list[int]:
    """Lines that give several names the items of a tuple, but for a swap, which needs both at once."""
    assignments = [node for node in ast.walk(tree) if isinstance(node, ast.Assign)]
    pairs = [(node.lineno, target, node.value) for node in assignments for target in node.targets]
    return [line for line, target, value in pairs if items_of(target) and items_of(value) - items_of(target)]


def test_each_name_is_assigned_on_a_line_of_its_own():
    found = places(tuple_assignments, parse_files(*PACKAGES))
    assert not found, "\n".join(found)


def test_tuple_assignments_are_found():
    planted = "a, b = 1, 2\nrows, hooks = [], []\nself.a, self.b = a, b\na, b = b, a + b"
    assert tuple_assignments(ast.parse(planted)) == [1, 2, 3, 4]
    harmless = "h, w = x.shape\na, b = (f(x) for x in xs)\na, b = b, a\nx[i], x[j] = x[j], x[i]\npair = 1, 2"
    assert tuple_assignments(ast.parse(harmless)) == []


# One meaning for a name


def public_names(tree: ast.Module) -> set[str]:
    """The functions, classes and constants that a module defines and does not hide by an underscore."""
    names = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names.update(target.id for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
    return {name for name in names if not name.startswith("_")}


SUPERSETS = {"train", "search"}  # carvana_course.scaling's do what carvana_lib's do, and share it where that is asked


def test_a_public_name_is_defined_once():
    modules = defaultdict(list)
    for path, tree in parse_files(*PACKAGES).items():
        for name in public_names(tree):
            modules[name].append(path)
    twice = [
        f"{name}: {', '.join(paths)}"
        for name, paths in sorted(modules.items())
        if len(paths) > 1 and name not in SUPERSETS
    ]
    assert not twice


def test_public_names_are_found():
    source = "import a\nfrom b import c\nLIMIT: int = 2\nWAYS = ()\ndef d(): e = 1\nclass F: g = 2\n_h = 3"
    assert public_names(ast.parse(source)) == {"LIMIT", "WAYS", "d", "F"}
