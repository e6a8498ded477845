"""The documentation as a site: built once, every link followed, nothing asked of another host."""
import ast, importlib, json, os, re, subprocess, sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

pytestmark = pytest.mark.slow

LOADED = {"script": "src", "img": "src", "source": "src", "iframe": "src", "link": "href"} # by the browser, unasked

class Page(HTMLParser):
    "What a page links to, what it loads, and where it can be entered."
    def __init__(self, path):
        super().__init__()
        self.links, self.loaded, self.ids, self.alts, self.words, self.inside = [], [], {""}, [], [], []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if attributes.get("id"): self.ids.add(attributes["id"])
        if tag == "a" and "href" in attributes: self.links.append(attributes["href"])
        if LOADED.get(tag) in attributes: self.loaded.append(attributes[LOADED[tag]])
        if tag == "img": self.alts.append(attributes.get("alt", ""))
        if tag in ("code", "script", "style", "math"): self.inside.append(tag)

    def handle_endtag(self, tag):
        if self.inside and self.inside[-1] == tag: self.inside.pop()

    def handle_data(self, text):
        if not self.inside: self.words.append(text)

@pytest.fixture(scope="module")
def build(root, tmp_path_factory):
    "The folder of the built site, and what mkdocs said."
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "https_proxy": "http://127.0.0.1:9"} # no network
    return folder, subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)

@pytest.fixture(scope="module")
def site(build):
    assert (build[0]/"index.html").exists(), build[1].stderr
    return build[0]

@pytest.fixture(scope="module")
def pages(site): return {path: Page(path) for path in site.rglob("*.html") if path.name != "404.html"}

def test_mkdocs_warns_of_nothing(build):
    assert build[1].returncode == 0, build[1].stdout + build[1].stderr

def is_elsewhere(link): return bool(urlsplit(link).scheme or urlsplit(link).netloc) and not link.startswith("data:")

def test_every_link_and_anchor_leads_somewhere(pages):
    lost, n_anchors = [], 0
    for path, page in pages.items():
        for link in page.links + page.loaded:
            if is_elsewhere(link) or link.startswith("data:"): continue
            parts = urlsplit(link)
            target = Path(os.path.normpath(path.parent/unquote(parts.path))) if parts.path else path
            ids = pages[target].ids if target in pages else ()
            there = unquote(parts.fragment) in ids if parts.fragment else target.exists()
            n_anchors += bool(parts.fragment)
            if not there: lost.append((path.name, link))
    assert not lost
    assert n_anchors > 1000

def test_no_page_asks_another_host(site, pages):
    loaded = {link for page in pages.values() for link in page.loaded}
    for kind in ".js", ".css", ".jpg": assert any(link.endswith(kind) for link in loaded)
    assert not [link for link in loaded if is_elsewhere(link)]
    asked = re.compile(r"(?:@import|url\()\s*[\"']?(?:https?:)?//")
    for style in site.rglob("*.css"): assert not asked.findall(style.read_text(encoding="utf-8")), style.name

def test_every_notebook_has_a_page_in_the_navigation(root, site, pages):
    linked = set(pages[site/"index.html"].links)
    notebooks = sorted((root/"nbs").glob("[0-9]*.ipynb"))
    assert len(notebooks) > 40 and all(f"nbs/{path.stem}.html" in linked for path in notebooks)
    words = " ".join(pages[site/"index.html"].words)
    parts = "Photos and looks", "PieNet, the paper", "What we ship", "The evidence", "Past one machine"
    found = [words.find(part) for part in parts]
    assert found == sorted(found) and found[0] >= 0
    assert "nbs/images/picker_pick.jpg" in pages[site/"index.html"].loaded

def test_every_public_name_is_on_its_module_s_page(root, site, pages):
    for path in (root/"pienet_nb").rglob("*.py"):
        if path.stem.startswith("_"): continue
        module = ".".join(path.relative_to(root/"pienet_nb").with_suffix("").parts)
        nodes = ast.parse(path.read_text(encoding="utf-8")).body
        (exported,) = [ast.literal_eval(node.value) for node in nodes if isinstance(node, ast.Assign)
                       and node.targets[0].__dict__.get("id") == "__all__"]
        names = {node.name for node in nodes if isinstance(node, (ast.FunctionDef, ast.ClassDef))} & set(exported)
        assert names <= pages[site/"api"/f"{module}.html"].ids, module
    assert {"Enhancer.learn_style", "Enhancer.from_pretrained"} <= pages[site/"api/enhance.html"].ids
    text = (site/"api/enhance.html").read_text(encoding="utf-8")
    assert "photos in the taste: a folder, a pattern" in text, "what a parameter means"

def test_names_and_prose_can_be_searched(site):
    index = json.loads((site/"search/search_index.json").read_text(encoding="utf-8"))
    found = {entry["location"]: entry for entry in index["docs"]}
    assert found["api/enhance.html#Enhancer.learn_style"]["title"] == "Enhancer.learn_style"
    assert "colour, style" in " ".join(entry["text"] for entry in index["docs"])
    assert (site/"search/search_index.js").exists(), "for pages that are opened as files"

def test_equations_and_pictures_are_there(site, pages):
    assert (site/"nbs/03_classical.html").read_text(encoding="utf-8").count("<math") > 100
    for path, page in pages.items():
        assert not re.search(r"\$[^$]*\\[a-z]+[^$]*\$", " ".join(page.words)), f"LaTeX is left in {path.name}"
        assert all(page.alts), f"a picture without alternative text in {path.name}"
    assert any(alt.startswith("Figure 1. ") for alt in pages[site/"nbs/14_losses.html"].alts)

@pytest.fixture(scope="module")
def docs(root):
    sys.path.insert(0, str(root/"tools"))
    try: return importlib.import_module("docs")
    finally: sys.path.pop(0)

SOURCE = '''
@patch
def grow(self:Tree, n:int=1, # years
        ) -> Tree:           # the same
    "Older."
    return self

class Leaf(Tree):
    "Green."
    def __init__(self, size:float): # cm
        self.size = size

    def fall(self): return 0

@dataclass
class Root:
    "Below."
    depth: int # m

    @property
    def deep(self) -> bool: return self.depth > 1

def _hidden(): pass
'''

def test_a_signature_is_what_the_module_says(docs):
    found = {name: docs.signature(node, SOURCE.splitlines()) for name, node in docs.definitions(SOURCE)}
    assert found == {"Tree.grow": "def grow(self:Tree, n:int=1, # years\n        ) -> Tree:           # the same",
                     "Leaf": "class Leaf(Tree):\n    def __init__(self, size:float): # cm",
                     "Root": "class Root:\n    depth: int # m"}

def test_latex_that_has_no_mathml_stops_the_build(docs):
    assert "<mi>x</mi>" in docs.prose("so $x$ is") and docs.prose("`$x$`") == "`$x$`"
    with pytest.raises(ValueError, match="does not know"): docs.prose(r"$\nonsense{x}$")
