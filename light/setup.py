"""The light installation: `pip install ./light`.

It gives the package pienet_nb with everything a photo needs, and without PyTorch: two graphs run by onnxruntime do what
the networks do (nbs/41_runtime.ipynb). An extra of a package can only add requirements, and pienet_nb requires PyTorch
for training. So this is a second distribution, pienet_nb_light, made from the same sources, as opencv-python-headless
is made beside opencv-python. Have one of the two in an environment, not both. What needs PyTorch says so in a sentence.

settings.ini has the names of what it requires (`light`) and the commands that it brings (`light_scripts`).
"""
import os, re, tempfile
from configparser import ConfigParser
from pathlib import Path

from setuptools import find_packages, setup

os.chdir(Path(__file__).parent)
config = ConfigParser(delimiters=["="], interpolation=None)
config.read("../settings.ini", encoding="utf-8")
settings = config["DEFAULT"]

def lines(key): return [line for line in settings[key].splitlines() if line]

package, names = settings["lib_path"], settings["light"].split()
versions = {re.match(r"[\w-]+", line)[0]: line for key in ("requirements", "onnx_requirements") for line in lines(key)}
commands = [line for line in lines("console_scripts") if line.split()[0] in settings["light_scripts"].split()]

setup(
    name=f"{settings['lib_name']}_light", version=settings["version"], license="Apache-2.0",
    description=f"{settings['description']}; without PyTorch", author=settings["author"],
    author_email=settings["author_email"],
    package_dir={package: f"../{package}"}, packages=find_packages("..", include=[package, f"{package}.*"]),
    package_data={package: ["model/*"]},
    python_requires=f">={settings['min_python']}", install_requires=[versions[name] for name in names],
    entry_points={"console_scripts": commands}, zip_safe=False,
    options={"build": {"build_base": tempfile.mkdtemp()}}, # nothing of an earlier build gets in
)
