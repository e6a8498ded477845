"""The style picker in a browser: headless Chromium, in Voilà and in JupyterLab, checked by axe-core too."""
import json, os, re, shutil, socket, subprocess, sys, time
from contextlib import contextmanager
from pathlib import Path

import pytest

from pienet_nb.photos import read_photo, sample_photos
from pienet_nb.preference import Style
from pienet_nb.looks import Lut

pytestmark = pytest.mark.slow

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
if CHROMIUM is None: pytest.skip("no Chromium: apt-get install chromium", allow_module_level=True)
playwright = pytest.importorskip("playwright.sync_api", reason="no playwright: pip install -e '.[dev]'")
pytest.importorskip("voila", reason="no Voilà: pip install -e '.[dev]'")
axe = pytest.importorskip("axe_playwright_python", reason="no axe-core: pip install -e '.[dev]'")

BUSY, WIDE, PHONE = 120_000, {"width": 1280, "height": 800}, {"width": 390, "height": 844}
AXE = (Path(axe.__file__).parent/"axe.min.js").read_text(encoding="utf-8")

# ---- servers, a browser, a page

def wait_for(found, seconds=60):
    "The first result that is not false."
    for _ in range(int(seconds*10)):
        result = found()
        if result: return result
        time.sleep(0.1)
    raise AssertionError("waited in vain")

def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]

@contextmanager
def running(command, log, **options):
    "A server in a process of its own."
    with open(log, "wb") as file:
        process = subprocess.Popen(list(map(str, command)), stdout=file, stderr=subprocess.STDOUT, **options)
    try: yield process
    finally:
        process.terminate()
        try: process.wait(20)
        except subprocess.TimeoutExpired: process.kill()

@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    "Three photos, one of them large, and a file that is none."
    folder = tmp_path_factory.mktemp("app")/"my photos"
    folder.mkdir()
    for photo in [path for path in sample_photos() if path.stem in ("china", "coffee", "rocket")]:
        shutil.copy(photo, folder)
    read_photo(folder/"rocket.jpg").resize((1800, 1200)).save(folder/"rocket.jpg")
    (folder/"broken.jpg").write_bytes(b"half a photo")
    return folder

@pytest.fixture(scope="module")
def voila(photos, tmp_path_factory):
    "The address of the page that `pienet_picker` shows."
    place = tmp_path_factory.mktemp("voila"); log = place/"log"
    (place/"start.py").write_text("from pienet_nb.picker import pienet_picker\npienet_picker()\n")
    command = [sys.executable, place/"start.py", photos, "--port", free_port(), "--no_browser"]
    with running(command, log, cwd=place, env=os.environ | {"TMPDIR": str(place)}):
        yield wait_for(lambda: re.search(r"http://localhost\S+token=\S+", log.read_text(errors="replace")))[0]
    assert not list(place.glob("pienet_*")) # neither the page nor what was uploaded

@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()

@pytest.fixture
def opened(browser):
    "Open addresses; in the end no error was logged and nothing was fetched from elsewhere."
    pages, faults = [], []
    def _open(address, size=WIDE, **options):
        page = browser.new_page(viewport=size, **options)
        page.set_default_timeout(BUSY)
        page.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("request", lambda request: faults.append(request.url) if is_elsewhere(request.url) else None)
        page.goto(address)
        pages.append(page)
        return page
    yield _open
    for page in pages: page.close()
    assert not faults

def is_elsewhere(url):
    return not re.match(r"(data:|blob:|about:|(http|ws)://(localhost|127\.0\.0\.1)[:/])", url)

def ready(page):
    "Until the wall hangs and nothing is being done."
    page.wait_for_selector(".pn-tile")
    page.wait_for_function("document.querySelectorAll('.pn-tile').length >= 30")
    settled(page)
    return page

def settled(page):
    page.wait_for_timeout(150)
    page.wait_for_function("!document.querySelector('.pn-status.pn-busy')")
    page.wait_for_timeout(100)

def section(page, name):
    page.click(f".pn-tabs [data-name={name}]")
    settled(page)

def preview(page, name="after"):
    "What the preview shows, as a number that changes with it."
    return page.evaluate("""async name => {
      const image = document.querySelector(`.pn-frame .pn-${name}`), canvas = new OffscreenCanvas(32, 32)
      await image.decode()
      const pen = canvas.getContext('2d'); pen.drawImage(image, 0, 0, 32, 32)
      return pen.getImageData(0, 0, 32, 32).data.reduce((sum, value, i) => (sum*31 + value) % 1000003, 7)
    }""", name)

def status(page): return page.inner_text(".pn-status")
def divider(page): return int(page.get_attribute(".pn-handle", "aria-valuenow"))

def drag_divider(page):
    box = page.locator(".pn-frame").bounding_box()
    y = box["y"] + box["height"]/2
    page.mouse.move(box["x"] + box["width"]/2, y); page.mouse.down()
    page.mouse.move(box["x"] + box["width"]*0.2, y, steps=4); page.mouse.up()

# ---- from the first click to the enhanced folder

def use_the_picker(page, photos, out):
    "Pick ten, see the preview change, drag the divider, save the style, export the LUT, enhance the folder."
    if page.is_visible(".pn-bar [aria-label='Next photo']:enabled"): # the first is broken
        page.click(".pn-bar [aria-label='Next photo']"); settled(page)
    seen = {preview(page)}
    tiles = page.locator(".pn-tile")
    for i in range(10):
        tiles.nth(3*i).click(); settled(page)
        seen.add(preview(page))
    assert len(seen) >= 10 and page.locator(".pn-tile[aria-pressed=true]").count() == 10
    assert "10 liked" in page.inner_text(".pn-lead >> visible=true")
    assert divider(page) == 50
    drag_divider(page); assert 18 <= divider(page) <= 22
    page.focus(".pn-handle"); page.keyboard.press("ArrowRight"); assert 20 <= divider(page) <= 24
    take_away(page, photos, out)

def take_away(page, photos, out):
    section(page, "Save")
    page.fill("input[type=text] >> visible=true", str(out)); page.keyboard.press("Enter")
    page.click("button:has-text('Enhance all 4 photos')"); settled(page)
    assert "3 done, 1 failed" in status(page), status(page)
    for name in "Save style", "Export .cube", "Export HaldCLUT", "Save photo":
        page.click(f"button:has-text('{name}') >> visible=true"); settled(page)
        assert "is saved as" in status(page), status(page)
    assert page.inner_text(".pn-copy code").startswith("pienet_enhance ")
    names = {path.name for path in out.iterdir()}
    assert {"your-style.safetensors", "china_your-style.cube", "china_your-style_hald.png", "china_your-style.jpg",
            "china_your-style-2.jpg", "coffee_your-style.png", "rocket_your-style.jpg"} <= names
    assert Style.load(out/"your-style.safetensors").n_photos == 10 and Lut.read(out/"china_your-style.cube").size == 33
    assert read_photo(out/"coffee_your-style.png").size == read_photo(photos/"coffee.png").size
    assert {path.name for path in photos.iterdir()} == {"china.jpg", "coffee.png", "rocket.jpg", "broken.jpg"}

def test_from_the_first_click_to_the_enhanced_folder_in_voila(opened, voila, photos, tmp_path):
    page = ready(opened(voila))
    assert "broken.jpg" in status(page) # the first photo is named, not skipped in silence
    use_the_picker(page, photos, tmp_path/"out")

@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    "The address of a notebook in JupyterLab, and its folder."
    pytest.importorskip("jupyterlab", reason="no JupyterLab: pip install -e '.[dev]'")
    place = tmp_path_factory.mktemp("lab"); settings = place/"config"/"labconfig"; settings.mkdir(parents=True)
    quiet = {f"@jupyterlab/{name}": True for name in ("apputils-extension:announcements", "extensionmanager-extension")}
    (settings/"page_config.json").write_text(json.dumps({"disabledExtensions": quiet})) # they ask a network
    port, notebooks = free_port(), place/"notebooks"
    notebooks.mkdir()
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--port={port}",
               "--IdentityProvider.token=test", f"--ServerApp.root_dir={notebooks}"]
    with running(command, place/"log", env=os.environ | {"JUPYTER_CONFIG_DIR": str(place/"config")}):
        wait_for(lambda: "?token=" in (place/"log").read_text(errors="replace"))
        yield f"http://localhost:{port}/lab/tree/page.ipynb?token=test", notebooks

def run_the_cell(page):
    "Run the only cell, as soon as the kernel is there; a busy page may not hear the keys the first time."
    page.wait_for_selector(".jp-Notebook-ExecutionIndicator[data-status=idle]", state="attached")
    runs = "/\\[[*\\d]+\\]/.test(document.querySelector('.jp-InputPrompt').textContent)"
    for _ in range(6):
        page.click(".jp-Notebook .jp-Cell .cm-content"); page.keyboard.press("Control+Enter")
        try: return page.wait_for_function(runs, timeout=10_000)
        except playwright.TimeoutError: pass

def test_from_the_first_click_to_the_enhanced_folder_in_jupyterlab(opened, lab, photos, tmp_path):
    address, folder = lab
    cell = {"cell_type": "code", "execution_count": None, "id": "one", "metadata": {}, "outputs": [],
            "source": f"from pienet_nb.picker import picker\npicker({str(photos)!r})"}
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    (folder/"page.ipynb").write_text(json.dumps({"cells": [cell], "metadata": {"kernelspec": kernel},
                                                 "nbformat": 4, "nbformat_minor": 5}))
    page = opened(address)
    run_the_cell(page)
    use_the_picker(ready(page), photos, tmp_path/"out")
    assert not violations(page, ".pienet")

# ---- for everybody

def violations(page, part="body"):
    "What axe-core calls serious or critical."
    page.evaluate(AXE)
    found = page.evaluate("part => axe.run(part)", part)["violations"]
    return [(rule["id"], node["html"][:200], node["failureSummary"][:300]) for rule in found
            if rule["impact"] in ("serious", "critical") for node in rule["nodes"]]

SECTIONS = "Photos", "Pick", "Compare", "Mix", "Understand", "Save"

def crooked(page):
    "What is cut off or stands out on the right; and holes in the wall."
    return page.evaluate("""() => {
      const width = document.documentElement.clientWidth, faults = []
      if (document.documentElement.scrollWidth > width) faults.push('the page scrolls sideways')
      for (const one of document.querySelectorAll('.pienet :is(button, input, select, p, h2, svg, img, code)')) {
        const box = one.getBoundingClientRect()
        const out = box.right > width + 1 || box.left < -1
        if (box.width && one.checkVisibility() && out) faults.push(one.outerHTML.slice(0, 90))
      }
      const rows = {}, wall = document.querySelector('.pn-wall').getBoundingClientRect()
      for (const tile of document.querySelectorAll('.pn-tile')) {
        const box = tile.getBoundingClientRect(); (rows[Math.round(box.top)] ??= []).push(box)
      }
      const tops = Object.keys(rows).sort((a, b) => a - b), ends = tops.map(top => wall.right - rows[top].at(-1).right)
      const holes = wall.width ? ends.slice(0, -1).filter(gap => gap > 2) : []
      for (const gap of holes) faults.push(`a hole of ${gap} pixels in the wall`)
      return faults
    }""")

def test_every_section_is_accessible_and_straight_on_a_desk_and_on_a_phone(opened, voila):
    page = ready(opened(voila))
    page.click(".pn-bar [aria-label='Next photo']"); settled(page)
    for i in 0, 1, 2, 5, 6: page.locator(".pn-tile").nth(i).click()
    page.locator(".pn-tile").nth(2).click(); settled(page)
    for size in WIDE, PHONE:
        page.set_viewport_size(size)
        for name in SECTIONS:
            section(page, name)
            assert not violations(page), (name, size)
            assert not crooked(page), (name, size)
        frame = page.locator(".pn-frame").bounding_box()
        section(page, "Pick"); page.locator(".pn-tile").last.scroll_into_view_if_needed()
        assert page.locator(".pn-frame").bounding_box() == frame and frame["y"] >= 0 # the preview stays in sight

# ---- everything else that a page does

def test_keyboard_pairs_map_undo_zoom_and_uploads(opened, voila, tmp_path):
    page = ready(opened(voila)); page.click(".pn-bar [aria-label='Next photo']"); settled(page)
    walk_on_the_wall(page); answer_pairs(page); click_the_map(page); zoom(page); upload(page, tmp_path)

def walk_on_the_wall(page):
    page.focus(".pn-tile"); page.keyboard.press("ArrowRight"); page.keyboard.press("Space"); settled(page)
    second = page.locator(".pn-tile").nth(1)
    assert "liked" in second.get_attribute("aria-label") and second.get_attribute("aria-pressed") == "true"
    page.keyboard.press("Enter"); settled(page)
    assert "disliked" in second.get_attribute("aria-label")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.getBoundingClientRect().top") > second.bounding_box()["y"] + 50
    page.keyboard.press("ArrowUp"); page.keyboard.press("Home"); page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter"); settled(page)
    assert "no mark" in second.get_attribute("aria-label") and second.get_attribute("aria-pressed") == "false"
    page.click("text=Undo"); settled(page)
    assert "disliked" in second.get_attribute("aria-label")

def answer_pairs(page):
    section(page, "Compare")
    sides = page.locator(".pn-side")
    for i in range(3):
        page.wait_for_selector(".pn-side:enabled"); sides.nth(i % 2).click(); settled(page)
    assert "3 answered" in page.inner_text(".pn-lead >> visible=true") and "your style" in status(page)
    page.click("text=No difference"); settled(page)
    page.click("text=Undo"); settled(page)
    assert "3 answered" in page.inner_text(".pn-lead >> visible=true")

def click_the_map(page):
    section(page, "Mix"); before = preview(page)
    page.click(".pn-dot:has-text('moody-dark')"); settled(page)
    assert "moody-dark at" in status(page) and preview(page) != before
    page.locator(".pn-map").click(position={"x": 60, "y": 240}); settled(page)
    assert "+" in status(page)
    page.focus(".pn-cross"); page.keyboard.press("ArrowRight"); settled(page)
    assert page.locator(".pn-cross").get_attribute("style") != ""
    page.focus(".pn-slider input >> nth=0"); page.keyboard.press("End"); settled(page)
    page.focus(".pn-right input[type=range]"); page.keyboard.press("Home"); settled(page)
    assert "0%" in status(page) and preview(page) == preview(page, "before")

def zoom(page):
    def width(): return page.evaluate("document.querySelector('.pn-before').naturalWidth")
    for _ in range(2): page.click("[aria-label='Next photo']"); settled(page)
    assert "rocket" in page.inner_text(".pn-title") and width() == 1024
    page.click("[aria-label='Zoom to 100 %']"); settled(page)
    frame, seen = page.locator(".pn-frame").bounding_box(), [preview(page, "before")]
    assert abs(width() - frame["width"]) <= 1 # a pixel of the photo is a pixel of the screen
    page.mouse.move(frame["x"] + 300, frame["y"] + 200); page.mouse.down()
    page.mouse.move(frame["x"] + 100, frame["y"] + 50, steps=3); page.mouse.up(); settled(page)
    seen.append(preview(page, "before"))
    page.focus(".pn-handle"); page.keyboard.press("Shift+ArrowUp"); settled(page)
    seen.append(preview(page, "before")); assert len(set(seen)) == 3 # it was moved by the hand and by the keyboard
    page.click("[aria-label='Zoom to 100 %']"); settled(page); assert width() == 1024

def upload(page, folder):
    section(page, "Photos")
    shutil.copy(next(path for path in sample_photos() if path.stem == "chelsea"), folder/"my cat.png")
    (folder/"text.jpg").write_text("no photo")
    (folder/"notes.txt").write_text("no photo")
    page.set_input_files("input[type=file]", [folder/"text.jpg", folder/"my cat.png", folder/"notes.txt"])
    page.wait_for_selector("text=1 photo to enhance"); settled(page)
    assert "my-cat" in page.inner_text(".pn-title")
    named = page.inner_text(".pn-problems >> visible=true")
    assert "text.jpg" in named and "notes.txt is no photo" in named

def test_only_the_page_is_served_and_only_with_its_token(opened, browser, voila):
    base = voila.split("?")[0]
    request = browser.new_context().request
    for path in ("voila/files/picker.ipynb", "voila/files/", "voila/files/../../etc/passwd", "voila/api/contents",
                 "files/picker.ipynb", "api/kernels", "api/contents"):
        assert request.get(base + path, max_redirects=0).status >= 300, path
    assert "pn-" not in request.get(base).text()
