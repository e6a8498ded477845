"""Mutated LUT and preset files through the readers: each is read, or refused with one sentence.

    python tools/fuzz_luts.py --cases 20000 --seed 1

A case is made from its number alone. The cases run in a child process with little memory; one that kills it, hangs or
raises anything but a `PieNetError` is printed with its number, and the others go on. Exit code 1 if there was one.
"""
import argparse, collections, random, subprocess, sys, tempfile, time
from pathlib import Path

import torch

from pienet_nb.core import PieNetError
from pienet_nb.looks import Lut
from pienet_nb.presets import DevelopPreset

MEMORY, SECONDS = 6 << 30, 30 # for the address space of the child, and for one case
WORDS = [b"nan", b"-inf", b"1e308", b"-1", b"0", b"9", b"99999999999", b"257", b"65536", b"\n", b" ", b",", b"{", b"}",
         b"<", b">", b'"', b"\0", b"\xff\xfe", b"LUT_1D_SIZE 2\n", b"LUT_3D_SIZE 256\n", b"DOMAIN_MAX 0 0 0\n", b"&a;",
         b"]]", b"--", b"\\", b"\n# remark\n"]

XMP = """<x:xmpmeta xmlns:x="adobe:ns:meta/" xmlns:crs="http://ns.adobe.com/camera-raw-settings/1.0/"
 xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:RDF><rdf:Description crs:ProcessVersion="11.0"
 crs:Exposure2012="+0.50" crs:Vibrance="-20" crs:Temperature="6500" crs:HueAdjustmentRed="12"
 crs:ConvertToGrayscale="False"><crs:Look><rdf:Description crs:Name="Mono" crs:Amount="1"/></crs:Look>
 <crs:ToneCurvePV2012><rdf:Seq><rdf:li>0, 20</rdf:li><rdf:li>255, 240</rdf:li></rdf:Seq>
 </crs:ToneCurvePV2012></rdf:Description></rdf:RDF></x:xmpmeta>"""
LUA = """s = { title = "Dusk", -- a comment
 value = { settings = { Exposure = 0.5, ToneCurve = { 0, 20, 255, 255 }, Clarity = 30,
                        Masks = { { What = [[Sky]] } } } } }"""

def _ocio_files(folder:Path):
    "One small LUT in each format that OpenColorIO writes."
    import PyOpenColorIO as ocio
    kinds = {"csp": "cinespace", "clf": "Academy/ASC Common LUT Format", "ctf": "Color Transform Format",
             "3dl": "flame", "itx": "iridas_itx", "lut": "houdini", "spi3d": "spi3d", "spi1d": "spi1d"}
    config = ocio.Config.CreateRaw()
    transform = ocio.ExponentTransform([1.2, 0.9, 1.1, 1.])
    config.addColorSpace(ocio.ColorSpace(name="in", toReference=transform))
    config.addColorSpace(ocio.ColorSpace(name="out"))
    for suffix, kind in kinds.items():
        baker = ocio.Baker(config, kind, "in", "out")
        baker.setCubeSize(5)
        (folder/f"a.{suffix}").write_text(baker.bake())

def seeds(folder:Path) -> list[tuple[str, bytes]]: # suffix, content
    "Whole files of every kind."
    lut = Lut(Lut.identity(4).table**1.2, "seed")
    lut.save(folder/"a.cube")
    for name, bits in ("a.png", 8), ("b.png", 16), ("a.tif", 16): lut.save(folder/name, bits=bits)
    rows = lut.cube().split("DOMAIN_MAX 1 1 1\n")[1]
    (folder/"shaper.cube").write_text("LUT_1D_SIZE 3\nLUT_3D_SIZE 4\nDOMAIN_MAX 2 2 2\n0 0 0\n.5 .5 .5\n1 1 1\n" + rows)
    (folder/"a.xmp").write_text(XMP)
    (folder/"a.lrtemplate").write_text(LUA)
    _ocio_files(folder)
    return [(path.suffix, path.read_bytes()) for path in sorted(folder.iterdir())]

def mutated(draw:random.Random, content:bytes, other:bytes) -> bytes:
    "The content with one to five changes."
    content = bytearray(content)
    for _ in range(draw.choice([1, 1, 1, 2, 5])):
        at, length = draw.randrange(len(content) + 1), draw.choice([1, 1, 1, 4, 30])
        match draw.choice([0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6]):
            case 0: content[at:at + length] = b""
            case 1: content[at:at] = draw.choice(WORDS)
            case 2: content[at:at + length] = draw.choice(WORDS)
            case 3: content[at:at + length] = draw.randbytes(length)
            case 4: content[at:at] = content[draw.randrange(len(content) + 1):][:length]
            case 5: content[at:at + length] = other[draw.randrange(len(other)):][:length]
            case 6: del content[at + draw.randrange(len(content) + 1):]
    return bytes(content)

def case(number:int, seed:int, files:list) -> tuple[str, bytes]:
    "The suffix and the content of one case."
    draw = random.Random(f"{seed} {number}")
    suffix, content = draw.choice(files)
    content = mutated(draw, content, draw.choice(files)[1])
    return draw.choice(files)[0] if draw.random() < 0.1 else suffix, content # some names lie

def tried(path:Path) -> str:
    "Read a file and use it: `read` or `refused`; raises AssertionError where the result or the sentence is bad."
    look = DevelopPreset if path.suffix in (".xmp", ".lrtemplate") else Lut
    try: found = look.read(path)
    except PieNetError as error:
        assert "\n" not in str(error) and len(str(error)) < 400 and path.name in str(error), str(error)
        return "refused"
    result = found(torch.rand(1, 3, 4, 5, generator=torch.Generator().manual_seed(0)))
    assert result.isfinite().all() and 0 <= result.min() and result.max() <= 1, "pixels outside [0,1]"
    if look is DevelopPreset: assert 0 <= found.coverage()[0] <= 1 and found.name
    else: assert found.size <= 65, found.size
    return "read"

def _child(numbers:range, seed:int):
    "Run the cases, one line each."
    import resource, signal
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    with tempfile.TemporaryDirectory() as folder:
        files = seeds(Path(folder))
        for number in numbers:
            signal.alarm(SECONDS) # a case that hangs ends the process
            suffix, content = case(number, seed, files)
            path = Path(folder)/f"case{suffix}"
            path.write_bytes(content)
            try: outcome = tried(path)
            except Exception as error: outcome = f"FAILED {suffix} {type(error).__name__}: {str(error)[:200]!r}"
            print(number, outcome, flush=True)

def run(n_cases:int, seed:int) -> collections.Counter:
    "Outcome → how often; what failed is printed."
    counts, start = collections.Counter(), 0
    while start < n_cases:
        command = [sys.executable, __file__, "--child", str(start), "--cases", str(n_cases), "--seed", str(seed)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            for line in child.stdout:
                outcome = line.split(" ", 1)[1].strip()
                counts[outcome.split()[0]] += 1
                start += 1
                if outcome.startswith("FAILED"): print(line.strip(), flush=True)
        if child.returncode:
            print(start, f"FAILED the process ended with {child.returncode}", flush=True)
            counts["FAILED"] += 1
            start += 1
    return counts

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child is not None: _child(range(args.child, args.cases), args.seed)
    else:
        began, outcomes = time.time(), run(args.cases, args.seed)
        print(dict(outcomes), f"{time.time() - began:.0f} s")
        sys.exit(bool(outcomes["FAILED"]))
