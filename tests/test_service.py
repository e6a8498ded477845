"""The HTTP service of docs/service.md, run as it is printed there."""
import io, itertools, re, threading

import numpy as np
import pytest
from PIL import Image

from pienet_nb.photos import sample_photos

@pytest.fixture(scope="module")
def service(root):
    "The names that the page's Python defines."
    (code,) = re.findall(r"^```python\n(.*?)^```", (root/"docs/service.md").read_text(encoding="utf-8"), re.M | re.S)
    assert len(code.splitlines()) <= 36
    names = {"__name__": "service"}
    exec(compile(code, "docs/service.md", "exec"), names)
    return names

@pytest.fixture(scope="module")
def client(service):
    pytest.importorskip("fastapi")
    from fastapi.testclient import TestClient
    return TestClient(service["app"])

def photo_bytes(kind="JPEG", **options):
    file = io.BytesIO()
    with Image.open(sample_photos()[0]) as photo: photo.convert("RGB").resize((120, 80)).save(file, kind, **options)
    return file.getvalue()

def test_photo_comes_back_in_the_style(client, service):
    photo, pictures = photo_bytes(quality=95), []
    for style, strength in ("vivid", 1.), ("golden-hour", 1.), ("golden-hour", 0.):
        answer = client.post("/enhance", params={"style": style, "strength": strength}, content=photo)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg"), answer.text
        with Image.open(io.BytesIO(answer.content)) as picture, Image.open(io.BytesIO(photo)) as source:
            assert (picture.format, picture.size) == ("JPEG", (120, 80))
            expected = service["enhancer"].enhance(source.convert("RGB"), style, strength)
            pictures.append(np.asarray(picture, float))
        assert abs(pictures[-1] - np.asarray(expected)).mean() < 2 # JPEG
    assert min(abs(one - other).mean() for one, other in itertools.combinations(pictures, 2)) > 3

def test_where_a_photo_was_taken_stays_with_its_owner(client):
    exif = Image.Exif()
    exif[0x010F], exif[0x8825] = "Maker", {1: "N", 2: (52., 30., 0.), 3: "E", 4: (13., 24., 0.)}
    answer = client.post("/enhance", content=photo_bytes(exif=exif))
    with Image.open(io.BytesIO(answer.content)) as picture:
        assert picture.getexif()[0x010F] == "Maker" and not picture.getexif().get_ifd(0x8825)

@pytest.mark.parametrize("content", [b"", b"no photo", photo_bytes()[:600], b"%PDF-1.4 " + bytes(500)],
                         ids=["empty", "text", "cut", "pdf"])
def test_bad_photo_is_a_sentence(client, content):
    answer = client.post("/enhance", content=content)
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith("The photo ") and "/" not in answer.json()["detail"]

@pytest.mark.parametrize("params, sentence", [({"style": "no such"}, "Choose a style of "),
    ({"style": "../../secret.safetensors"}, "Choose a style of "), ({"strength": 3}, "The strength 3 is out of range"),
    ({"strength": "nan"}, "The strength nan is out of range")])
def test_bad_wish_is_a_sentence(client, params, sentence):
    answer = client.post("/enhance", params=params, content=photo_bytes())
    assert (answer.status_code, answer.json()["detail"][:len(sentence)]) == (400, sentence)

def test_too_large_a_photo_is_refused(client, service, monkeypatch):
    monkeypatch.setitem(service, "MAX_BYTES", 1_000_000)
    answer = client.post("/enhance", content=(bytes(100_000) for _ in range(11))) # no Content-Length
    assert (answer.status_code, answer.json()["detail"]) == (413, "A photo may have 1 MB.")

def test_work_is_done_off_the_event_loop(client, service, monkeypatch):
    threads = {}
    def note(where): threads[where] = threading.get_ident()
    async def noted(): note("loop")
    service["app"].add_api_route("/where", noted)
    monkeypatch.setitem(service, "enhanced", lambda *arguments: note("work") or b"jpeg")
    with client: # one loop for both
        assert client.post("/enhance", content=b"").content == b"jpeg"
        assert client.get("/where").status_code == 200
    assert threads["work"] != threads["loop"]
