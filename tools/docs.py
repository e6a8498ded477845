"""The pages of the site, `make docs`: mkdocs calls `on_config` and `on_files` and writes what they return into _docs/.

The sources are README.md, the notebooks, the modules that they export, and docs/. A page has the path of its source,
so that links from one to another need no more than another ending. Equations become MathML, which browsers draw
without a script.
"""
import ast, html, posixpath, re, textwrap
from pathlib import Path

import nbformat
from latex2mathml.converter import convert
from mkdocs.structure.files import File
from nbconvert import MarkdownExporter

ROOT = Path(__file__).resolve().parent.parent
TEXTS = {"README.md": "index.md", "CONTRIBUTING.md": "CONTRIBUTING.md", "CHANGELOG.md": "CHANGELOG.md",
         "pienet_nb/model/MODEL_CARD.md": "pienet_nb/model/MODEL_CARD.md"} # file → page
EXPORT, HEADING = re.compile(r"^#\| export", re.MULTILINE), re.compile(r"^#+ (.*?)\s*$", re.MULTILINE)

def numbered():
    "The notebooks of the reading order."
    return sorted((ROOT/"nbs").glob("[0-9]*.ipynb"))

def anchor(heading, separator="-"):
    "What Jupyter makes of a heading, and so the links between notebooks."
    return heading.strip().replace(" ", separator)

# --- a notebook as a page

def equation(match):
    "LaTeX between dollars as MathML."
    tex, display = (match[1], "block") if match[1] else (match[2], "inline")
    math = convert(re.sub(r"\\[lr]Vert", "‖", tex), display=display)
    if "\\" in math: raise ValueError(f"latex2mathml does not know all of {tex}")
    for sign in "*_|": math = math.replace(sign, f"&#{ord(sign)};") # or Markdown would make something of it
    return f'<div class="equation">{math}</div>' if match[1] else math

def prose(text):
    "Markdown of a notebook with its equations and links as the site has them; code stays as it is."
    parts = re.split(r"(```.*?```|`[^`\n]*`)", text, flags=re.DOTALL)
    parts[::2] = [re.sub(r"\$\$(.+?)\$\$|\$([^$\n]+)\$", equation, part, flags=re.DOTALL) for part in parts[::2]]
    return to_pages("".join(parts))

def to_pages(text):
    "Links to notebooks, to docs/ and to headings lead to their pages and anchors."
    text = re.sub(r"(\]\((?:[\w./-]*/)?[\w.-]+)\.ipynb([)#])", r"\1.md\2", text)
    for old, new in ("](docs/", "]("), ("](LICENSE)", "](LICENSE.md)"), ("](index.md", "](../index.md"):
        text = text.replace(old, new)
    anchors = {anchor(heading).lower(): anchor(heading) for heading in HEADING.findall(text)} # README has them small
    return re.sub(r"\]\(#([^)]+)\)", lambda found: f"](#{anchors.get(found[1], found[1])})", text)

def shown(notebook):
    "The notebook without its hidden cells and without nbdev's directives."
    cells = [cell for cell in notebook.cells if not cell.source.startswith(("#| hide", "#| default_exp"))]
    for cell in cells:
        if cell.cell_type == "markdown": cell.source = prose(cell.source)
        else: cell.source = re.sub(r"^(?:#\|.*\n|%config.*\n?)+", "", cell.source)
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "text/markdown" in data: data["text/markdown"] = prose(data["text/markdown"])
    return nbformat.v4.new_notebook(cells=cells, metadata={"language_info": {"name": "python"}})

def described(text):
    "Pictures with the first sentence of the caption that follows them as their alternative text."
    def _alt(match):
        caption = re.compile(r"^\*(Figure \d+\. .*?\.)(?=[\s*])", re.MULTILINE).search(text, match.end())
        words = re.sub(r"<[^>]+>|[*`\[\]]|\]\([^)]*\)", "", caption[1]) if caption else "Output of the cell above"
        return f"![{words}]({match[1]})"
    return re.sub(r"!\[(?:png|jpeg|svg)\]\((\S+)\)", _alt, text)

def notebook_page(path):
    "The text of a notebook's page, and its pictures as {path: bytes}."
    resources = {"unique_key": path.stem, "output_files_dir": "images"}
    text, resources = MarkdownExporter().from_notebook_node(shown(nbformat.read(path, 4)), resources)
    module = exported_module(path)
    link = f"\n\nNames and parameters of this module: [{module}](../api/{module}.md).\n" if module else ""
    text = text.replace("\n```python\n", '\n```{ .python data-search-exclude="" }\n') # names are on the modules' pages
    return described(text) + link, {f"nbs/{name}": data for name, data in resources["outputs"].items()}

# --- a module as a page

def exported_module(path):
    "The module that a notebook exports, without the package; None if there is none."
    found = re.search(r"#\| default_exp ([\w.]+)", path.read_text(encoding="utf-8"))
    return found and found[1]

def definitions(source):
    "The public functions and classes of a cell or module: (name, node); a patched method is `Class.method`."
    for node in ast.parse(source).body:
        if not isinstance(node, (ast.FunctionDef, ast.ClassDef)): continue
        patched = any("patch" in ast.unparse(decorator) for decorator in node.decorator_list)
        name = f"{ast.unparse(node.args.args[0].annotation)}.{node.name}" if patched else node.name
        if not node.name.startswith("_"): yield name, node

def signature(node, lines):
    "The head of a function, or of a class with its fields or `__init__`, as it is written, with its comments."
    methods = [part for part in node.body if isinstance(part, ast.FunctionDef)]
    made = next((part for part in methods if part.name == "__init__"), None)
    if isinstance(node, ast.FunctionDef): parts = [node]
    elif made: parts = [node.body[0], made]
    else: parts = node.body[:node.body.index(methods[0])] if methods else node.body
    ends = [part.body[0].lineno - 1 if isinstance(part, ast.FunctionDef) else part.end_lineno for part in parts]
    taken = [n for part, end in zip(parts, ends) for n in range(part.lineno, max(end, part.lineno) + 1)]
    is_doc = isinstance(node.body[0], ast.Expr)
    doc = range(node.body[0].lineno, node.body[0].end_lineno + 1) if is_doc else ()
    return textwrap.dedent("\n".join(lines[n - 1] for n in sorted({node.lineno, *taken}) if n not in doc))

def sections(path):
    "Where in its notebook each public name is defined: name → heading."
    heading, found = None, {}
    for cell in nbformat.read(path, 4).cells:
        if cell.cell_type == "markdown": heading = (HEADING.findall(cell.source) or [heading])[-1]
        elif EXPORT.search(cell.source): found |= {name: heading for name, _ in definitions(cell.source)}
    return found

def entry(name, node, lines, where):
    "One name of a module: signature, docstring, methods."
    parts = [f"## {name}", f"```python\n{signature(node, lines)}\n```", html.escape(ast.get_docstring(node) or "")]
    if isinstance(node, ast.ClassDef):
        methods = [(f"{name}.{part.name}", part) for part in node.body if isinstance(part, ast.FunctionDef)]
        for method, part in methods:
            if not part.name.startswith("_"): parts += [entry(method, part, lines, None)]
    return "\n\n".join([*parts, f"Derived and tested in {where}."] if where else parts)

def api_page(path):
    "The public names of the module that a notebook exports."
    module = exported_module(path)
    source = (ROOT/"pienet_nb"/f"{module.replace('.', '/')}.py").read_text(encoding="utf-8")
    found, lines = sections(path), source.splitlines()
    stale = [name for name, _ in definitions(source) if name not in found]
    if stale: raise SystemExit(f"{path.name} does not define {stale[0]}, but its module does: run nbdev_export")
    entries = [entry(name, node, lines, f"[{found[name]}](../nbs/{path.stem}.md#{anchor(found[name])})")
               for name, node in definitions(source)]
    doc = ast.get_docstring(ast.parse(source))
    intro = f"---\nsearch:\n  boost: 2\n---\n\n# pienet_nb.{module}\n\n{doc} ([notebook](../nbs/{path.stem}.md))"
    return "\n\n".join([intro, *entries]) + "\n"

# --- the site

def pages():
    "Every generated file of the site: path → text or bytes."
    made = {page: to_pages((ROOT/name).read_text(encoding="utf-8")) for name, page in TEXTS.items()}
    made["LICENSE.md"] = f"# Licence\n\n```text\n{(ROOT/'LICENSE').read_text(encoding='utf-8')}\n```\n"
    made |= {path.relative_to(ROOT).as_posix(): path.read_bytes() for path in (ROOT/"nbs/images").iterdir()}
    for path in numbered():
        made[f"nbs/{path.stem}.md"], pictures = notebook_page(path)
        if module := exported_module(path): made[f"api/{module}.md"] = api_page(path)
        made |= pictures
    return made | {path: (ROOT/path).read_bytes() for path in linked_files(made)}

def linked_files(made):
    "Files of the repository to which a page links and which are no pages themselves."
    for page, text in made.items():
        for target in re.findall(r"\]\(([^)#\s]+)", text) if isinstance(text, str) else ():
            path = posixpath.normpath(posixpath.join(posixpath.dirname(page), target))
            if path not in made and not path.startswith("..") and (ROOT/path).is_file(): yield path

def navigation():
    "Home, the notebooks by parts, the modules, the project."
    contributing = (ROOT/"CONTRIBUTING.md").read_text(encoding="utf-8")
    parts = {}
    for number, title in re.findall(r"^\| `(\d)x` \| ([^:|]+)", contributing, re.MULTILINE):
        in_part = [path for path in numbered() if path.name[0] == number]
        if in_part: parts[title[0].upper() + title[1:].strip()] = [
            {f"{path.stem[:2]} {title_of(path)}": f"nbs/{path.stem}.md"} for path in in_part]
    modules = [f"api/{module}.md" for path in numbered() if (module := exported_module(path))]
    return [{"Home": "index.md"}, *({title: part} for title, part in parts.items()),
            {"Modules": modules}, {"A small HTTP service": "service.md"},
            {"The project": [{"Contributing": "CONTRIBUTING.md"}, {"Changelog": "CHANGELOG.md"},
                             {"Model card": "pienet_nb/model/MODEL_CARD.md"}, {"Licence": "LICENSE.md"}]}]

def title_of(path): return HEADING.search(nbformat.read(path, 4).cells[0].source)[1]

def on_config(config):
    "Anchors as in Jupyter, and the navigation."
    config.mdx_configs["toc"] = {"slugify": anchor, "permalink": True, "toc_depth": 3}
    config.nav = navigation()
    return config

def on_files(files, config):
    "The generated pages and pictures."
    for path, content in pages().items(): files.append(File.generated(config, path, content=content))
    return files
