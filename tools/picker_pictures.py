"""Take the pictures of the style picker that index and 29_picker show, from the real page: wall, map, explanation.

python tools/picker_pictures.py [FOLDER]   # photos to show (the sample photos); needs Chromium and '.[dev]'
"""
import io, re, shutil, socket, subprocess, sys, tempfile, time
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

IMAGES = Path(__file__).resolve().parent.parent/"nbs"/"images"
SECTIONS = {"pick": "Pick", "mix": "Mix", "understand": "Understand"}
SIZE, LIMIT = (1200, 750), 60_000 # pixels, bytes

def serve(folder, place):
    "Start the page; its process and address."
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0)); port = listener.getsockname()[1]
    (place/"start.py").write_text("from pienet_nb.picker import pienet_picker\npienet_picker()\n")
    log = open(place/"log", "w")
    process = subprocess.Popen([sys.executable, place/"start.py", *folder, "--port", str(port), "--no_browser"],
                               stdout=log, stderr=log, cwd=place)
    while not (found := re.search(r"http://localhost\S+", (place/"log").read_text())): time.sleep(0.2)
    return process, found[0]

def settle(page):
    page.wait_for_timeout(400)
    page.wait_for_function("!document.querySelector('.pn-status.pn-busy')"); page.wait_for_timeout(300)

def write(data, path):
    "A JPEG of at most `LIMIT` bytes."
    picture = Image.open(io.BytesIO(data)).convert("RGB").resize((SIZE[0]*5//6, SIZE[1]*5//6), Image.Resampling.LANCZOS)
    for quality in range(88, 30, -4):
        picture.save(path, quality=quality, optimize=True, progressive=True)
        if path.stat().st_size <= LIMIT: return
    raise SystemExit(f"{path} does not become small enough")

def take(page):
    "Like nine pictures of three looks, dislike one, and take a picture of each section."
    page.wait_for_function("document.querySelectorAll('.pn-tile').length >= 30"); settle(page)
    for _ in range(2): page.click("[aria-label='Next photo']"); settle(page)
    tiles = page.locator(".pn-tile")
    for i in 1, 7, 11, 17, 21, 27, 3, 3: tiles.nth(i).click(); settle(page)
    page.locator(".pn-tile").first.scroll_into_view_if_needed(); page.mouse.move(5, 5)
    for name, section in SECTIONS.items():
        page.click(f"[data-name={section}]"); page.mouse.move(5, 5); settle(page)
        write(page.screenshot(), IMAGES/f"picker_{name}.jpg")

def main():
    with tempfile.TemporaryDirectory() as place:
        process, address = serve(sys.argv[1:2], Path(place))
        try:
            with sync_playwright() as driver:
                browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
                page = browser.new_page(viewport=dict(zip(("width", "height"), SIZE)))
                page.set_default_timeout(120_000)
                page.goto(address); take(page); browser.close()
        finally:
            process.terminate(); process.wait()

if __name__ == "__main__": main()
