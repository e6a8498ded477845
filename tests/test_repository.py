"""The repository itself: modules, README and notebooks in step, names defined, nothing stray."""
import ast, importlib, json, re, subprocess, sys
from configparser import ConfigParser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT/"nbs").glob("*.ipynb"))
PACKAGE = ROOT/"pienet_nb"
MODULES = sorted(PACKAGE.rglob("*.py"))
SCRIPTS = [*sorted((ROOT/"tests").glob("*.py")), *sorted((ROOT/"tools").glob("*.py")), ROOT/"setup.py"]
IMPORT_NAMES = {"opencolorio": "PyOpenColorIO",
                "pillow": "PIL", "pillow-heif": "pillow_heif", "scikit-learn": "sklearn", "scikit-image": "skimage"}

each_notebook = pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)

def settings():
    config = ConfigParser(delimiters=["="], interpolation=None)
    config.read(ROOT/"settings.ini", encoding="utf-8")
    return {key: [line for line in value.splitlines() if line] for key, value in config["DEFAULT"].items()}

# --- in step

def test_modules_are_what_the_notebooks_export(in_step):
    def _texts(package):
        paths = package.rglob("*.py")
        return {path.relative_to(package).as_posix(): path.read_text(encoding="utf-8") for path in paths}
    exported, committed = _texts(in_step/"pienet_nb"), _texts(PACKAGE)
    assert set(committed) == set(exported), "a module without a notebook, or the other way round: run nbdev_export"
    stale = [name for name in exported if committed[name] != exported[name]]
    assert not stale, f"run nbdev_export: {stale} differ from their notebooks"

def tool(name):
    "A module of tools/."
    sys.path.insert(0, str(ROOT/"tools"))
    try: return importlib.import_module(name)
    finally: sys.path.pop(0)

def test_model_card_is_what_the_results_say():
    text = (ROOT/"pienet_nb/model/MODEL_CARD.md").read_text(encoding="utf-8")
    assert text == tool("model_card").render(), "run `make model_card`"

def test_readme_is_what_the_index_says():
    text, pictures = tool("readme").render()
    assert (ROOT/"README.md").read_text(encoding="utf-8") == text, "run `make readme`"
    for path, data in pictures.items(): assert (ROOT/path).read_bytes() == data, f"{path}: run `make readme`"
    assert {p.name for p in (ROOT/"nbs/images").glob("index_*")} == {Path(p).name for p in pictures}

def test_links_of_the_readme_lead_somewhere():
    targets = re.findall(r"\]\(([^)#\s]+)", (ROOT/"README.md").read_text(encoding="utf-8"))
    missing = [target for target in targets if not re.match("[a-z]+:", target) and not (ROOT/target).exists()]
    assert not missing

def test_every_notebook_and_command_is_in_the_readme():
    text = (ROOT/"README.md").read_text(encoding="utf-8")
    for notebook in NOTEBOOKS: assert notebook.stem == "index" or f"nbs/{notebook.name}" in text, notebook.name
    for line in settings()["console_scripts"]: assert f"`{line.split(' = ')[0]}" in text, line

def test_version_has_an_entry_in_the_changelog():
    assert f"## {settings()['version'][0]}" in (ROOT/"CHANGELOG.md").read_text(encoding="utf-8")

NOT_YET_MUTATED = {"37_real_people", "40_onnx", "41_runtime", "42_many_photos", "43_processes",
                   "44_hub"} # new, not measured

def test_contributing_has_the_table_of_mutants():
    results = json.loads((ROOT/"nbs/results/mutation.json").read_text(encoding="utf-8"))
    of_now = {path.stem for path in NOTEBOOKS if default_exp(path)}
    assert of_now - NOT_YET_MUTATED == set(results["notebooks"]), "run `make mutation`"
    table, text = tool("mutate").table(results), (ROOT/"CONTRIBUTING.md").read_text(encoding="utf-8")
    assert table in text, "python tools/mutate.py --table nbs/results/mutation.json"

# --- the package

def test_no_undefined_names():
    rules = "F401,F403,F405,F811,F821,F822,F823" # unused, starred, redefined, undefined
    assert not ruff("--select", rules, "pienet_nb")

def test_syntax_is_that_of_the_oldest_python():
    assert not ruff("--select", "E9", "--target-version", f"py{settings()['min_python'][0].replace('.', '')}", ".")

def ruff(*arguments):
    "What ruff finds."
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--no-cache", "--quiet", *arguments]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    return run.stdout + run.stderr

def imported(path):
    "The packages that a module names in an import statement, at any depth."
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.level == 0]
    return {name.split(".")[0] for name in names} - set(sys.stdlib_module_names)

def test_requirements_are_what_the_library_imports():
    required = {re.match(r"[\w-]+", line)[0] for line in settings()["requirements"]}
    required = {IMPORT_NAMES.get(name, name) for name in required}
    extras = [lines for key, lines in settings().items() if re.fullmatch(r"(?!dev)\w+_requirements", key)]
    optional = {re.match(r"[\w-]+", line)[0] for line in sum(extras, [])}
    optional = {IMPORT_NAMES.get(name, name) for name in optional}
    used = set().union(*map(imported, MODULES))
    assert used - optional - {"pienet_nb"} <= required, "add to requirements in settings.ini"
    source = "".join(path.read_text(encoding="utf-8") for path in MODULES) # sample photos are found by name
    unused = [name for name in required if not re.search(rf"\b{name}\b", source)]
    assert not unused, "required but never used: remove from requirements in settings.ini"

def test_every_command_exists():
    for line in settings()["console_scripts"]:
        module, function = line.split(" = ")[1].split(":")
        assert callable(getattr(importlib.import_module(module), function)), line

# --- the notebooks

@each_notebook
def test_notebook_is_clean(notebook, in_step):
    assert notebook.stat().st_size <= 1_000_000, "more than 1 MB: make the pictures smaller"
    text = notebook.read_text(encoding="utf-8")
    assert text == (in_step/"nbs"/notebook.name).read_text(encoding="utf-8"), "run nbdev_clean"
    outputs = [output for cell in json.loads(text)["cells"] for output in cell.get("outputs", [])]
    assert not [o for o in outputs if o["output_type"] == "error"]
    printed = "".join("".join(output.get("text", [])) for output in outputs)
    assert not re.findall(r"\w*Warning: .*|\d+%\|.*", printed), "warnings and progress bars are not for readers"
    assert not [o for o in outputs if "application/vnd.jupyter.widget-view+json" in o.get("data", {})]
    html = ["".join(o["data"]["text/html"]) for o in outputs if "text/html" in o.get("data", {})]
    assert not [text for text in html if "progress" in text or not text.strip()], "a progress bar, or its remains"

def code_cells(notebook):
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]

def default_exp(notebook):
    found = re.search(r"#\| default_exp ([\w.]+)", notebook.read_text(encoding="utf-8"))
    return found and found[1]

def test_reading_order_has_a_number_for_each_notebook():
    numbers = [path.stem.split("_")[0] for path in NOTEBOOKS if path.stem != "index"]
    assert all(re.fullmatch(r"[0-4]\d", number) for number in numbers) and len(set(numbers)) == len(numbers)
    for path in NOTEBOOKS:
        module = default_exp(path)
        part = {"3": "research.", "4": "scale."}.get(path.name[0], "")
        if module: assert module == part + path.stem.split("_", 1)[1], path.name

@each_notebook
def test_notebook_imports_only_from_lower_numbers(notebook):
    order = {default_exp(path): path.name for path in NOTEBOOKS if default_exp(path)}
    if notebook.stem == "index": pytest.skip("the index uses everything")
    for cell in code_cells(notebook):
        for module in re.findall(r"(?:from|import) pienet_nb\.([\w.]+)", cell):
            assert order[module] < notebook.name, f"{notebook.name} imports {module}"

@each_notebook
def test_links_between_notebooks_lead_somewhere(notebook):
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    text = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    for target, anchor in re.findall(r"\]\(([\w.-]*\.ipynb)?(#[^)\s]+(?:\([^)]*\)[^)\s]*)*)?\)", text):
        path = ROOT/"nbs"/target if target else notebook
        assert path.exists(), f"{notebook.name}: {target}"
        if anchor: assert anchor[1:] in anchors(path), f"{notebook.name}: {target}{anchor}"

def anchors(notebook):
    "The headings of a notebook as Jupyter links to them."
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    text = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    return {heading.strip().replace(" ", "-") for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)}

@each_notebook
def test_notebook_shows_a_figure(notebook):
    outputs = [o for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"] for o in cell.get("outputs", [])]
    assert any(kind.startswith("image/") for o in outputs for kind in o.get("data", {}))

# --- small pieces

MAX_WIDTH, MAX_CELL, MAX_FUNCTION = 120, 40, 25

@each_notebook
def test_cells_and_lines_are_short(notebook):
    for cell in code_cells(notebook):
        lines = cell.splitlines()
        assert len(lines) <= MAX_CELL, f"{len(lines)} lines: {lines[:3]}"
        wide = [line for line in lines if len(line) > MAX_WIDTH]
        assert not wide, wide[0]

def text_lines(source):
    "The numbers of the lines of texts over several lines that are returned or given a name; docstrings are neither."
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, (ast.Return, ast.Assign))]
    texts = [node.value for node in nodes if isinstance(node.value, (ast.JoinedStr, ast.Constant))]
    return {n for text in texts if text.end_lineno > text.lineno for n in range(text.lineno, text.end_lineno + 1)}

@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_lines_of_scripts_are_short(script):
    source = script.read_text(encoding="utf-8")
    prose = text_lines(source) if script.name == "model_card.py" else () # a paragraph of the card is one line
    wide = [n for n, line in enumerate(source.splitlines(), 1) if len(line) > MAX_WIDTH and n not in prose]
    assert not wide, f"{script.name}: lines {wide}"

@pytest.mark.parametrize("module", MODULES + SCRIPTS, ids=lambda path: path.stem)
def test_functions_are_short(module):
    text = module.read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            is_command = any(getattr(d, "id", "") == "command" for d in node.decorator_list) # its options are a list
            n = node.end_lineno - (node.body[0].lineno if is_command else node.lineno) + 1
            assert n <= MAX_FUNCTION, f"{node.name} has {n} lines"

# --- every file

MACHINE_PATH = re.compile(r"(?<![\w.$}~-])/(?:home|root|Users|work|tmp|private|mnt)/\w|[A-Z]:\\+Users")

def prose(path):
    "The text of a file; of a notebook, everything but its pictures."
    try: text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError: return ""
    if path.suffix != ".ipynb": return text
    cells = json.loads(text)["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    for output in outputs:
        output["data"] = {kind: data for kind, data in output.get("data", {}).items() if not kind.startswith("image/")}
    return json.dumps(cells, ensure_ascii=False)

def test_no_machine_paths(tracked):
    found = [(path.name, match[0]) for path in tracked if path != Path(__file__).resolve()
             for match in MACHINE_PATH.finditer(prose(path))]
    assert not found

def test_no_large_files(tracked):
    large = [path.name for path in tracked if path.stat().st_size > 1_000_000 and path.parent.name != "model"]
    assert not large
