"""The repository itself: modules, README and notebooks in step, names defined, nothing stray."""
import ast, importlib, json, re, subprocess, sys
from configparser import ConfigParser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT/"nbs").glob("*.ipynb"))
MODULES = sorted((ROOT/"pienet_nb").glob("*.py"))
IMPORT_NAMES = {"pillow": "PIL", "scikit-learn": "sklearn", "scikit-image": "skimage"}

each_notebook = pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)

def settings():
    config = ConfigParser(delimiters=["="], interpolation=None)
    config.read(ROOT/"settings.ini", encoding="utf-8")
    return {key: [line for line in value.splitlines() if line] for key, value in config["DEFAULT"].items()}

# --- in step

def test_modules_are_what_the_notebooks_export(in_step):
    exported = {path.name: path.read_text(encoding="utf-8") for path in (in_step/"pienet_nb").glob("*.py")}
    committed = {path.name: path.read_text(encoding="utf-8") for path in MODULES}
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
    extras = ("raw_requirements", "lpips_requirements", "tensorboard_requirements")
    optional = {re.match(r"[\w-]+", line)[0] for extra in extras for line in settings()[extra]}
    used = set().union(*map(imported, MODULES))
    assert used - optional <= required, "add to requirements in settings.ini"
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

@each_notebook
def test_notebook_imports_only_what_comes_before(notebook):
    order = {default_exp(path): path.name for path in NOTEBOOKS if default_exp(path)}
    if notebook.stem == "index": pytest.skip("the index uses everything")
    cells = [cell for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
    for cell in cells:
        for module in re.findall(r"from pienet_nb\.(\w+) import", "".join(cell["source"])):
            assert order[module] < notebook.name, f"{notebook.name} imports {module}"

def default_exp(notebook):
    found = re.search(r"#\| default_exp (\w+)", notebook.read_text(encoding="utf-8"))
    return found and found[1]

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

def test_nothing_changed(request):
    "Last of all tests: none of them changed the checkout."
    from conftest import git_state
    if request.config.git_state is None: pytest.skip("checked where CI is set: elsewhere someone may be editing")
    assert git_state() == request.config.git_state
