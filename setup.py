"""Everything that pip needs is in settings.ini, which nbdev reads too; this file hands it on."""
from configparser import ConfigParser
from pathlib import Path

from setuptools import find_packages, setup

root = Path(__file__).parent
config = ConfigParser(delimiters=["="], interpolation=None)
config.read(root/"settings.ini", encoding="utf-8")
settings = config["DEFAULT"]

def lines(key): return [line for line in settings[key].splitlines() if line]

package = settings["lib_path"]
extras = {key.removesuffix("_requirements"): lines(key) for key in settings if key.endswith("_requirements")}
in_dev = [extra for extra in extras if extra not in ("dev", "lpips")] # lpips downloads weights
extras["dev"] += sum((extras[extra] for extra in in_dev), [])
data = ["model/*", "fivek_splits/*", "static/*", "static/jupyter/voila/templates/pienet/*"]
minors = range(int(settings["min_python"].split(".")[1]), 14) # tested up to 3.13

setup(
    name=settings["lib_name"], version=settings["version"], license="Apache-2.0",
    description=settings["description"], keywords=settings["keywords"].split(),
    long_description=(root/"README.md").read_text(encoding="utf-8"), long_description_content_type="text/markdown",
    author=settings["author"], author_email=settings["author_email"],
    packages=find_packages(include=[package, f"{package}.*"]), package_data={package: data},
    python_requires=f">={settings['min_python']}",
    install_requires=lines("requirements"), extras_require=extras,
    entry_points={"console_scripts": lines("console_scripts")}, zip_safe=False,
    classifiers=["Development Status :: 3 - Alpha", "Intended Audience :: Developers",
                 "Natural Language :: English", "Topic :: Multimedia :: Graphics",
                 "Programming Language :: Python :: 3",
                 *[f"Programming Language :: Python :: 3.{minor}" for minor in minors]],
)
