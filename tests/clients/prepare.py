"""Fetches what a client of suites/ needs, by the lines at its top, and says how to run it.

    # apt: kcat                                  a Debian package, by the program of the same name
    # pip: confluent-kafka==2.16.1               into a virtual environment of the client's own
    // maven: org.apache.kafka:kafka-clients:4.4.0     and what it depends on; the file is compiled beside them

Everything lies below ${XDG_CACHE_HOME:-~/.cache}/millrace-clients, in a folder named by a hash of these lines,
so that a second run fetches nothing.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "millrace-clients"


class Unavailable(Exception):
    """A client cannot be run here; the text says what is missing."""


def needs(suite):
    """The `kind: thing` lines at the top of a client's file, as a list of pairs."""
    found = []
    for line in suite.read_text().splitlines():
        if line and not line.startswith(("#", "//")):
            break
        match = re.match(r"(?:#|//) (apt|pip|maven): (\S+)$", line)
        if match:
            found.append(match.groups())
    return found


def command_for(suite):
    """Fetches what is missing and returns the command that runs the client."""
    wanted = needs(suite)
    things = {kind: [thing for k, thing in wanted if k == kind] for kind in ("apt", "pip", "maven")}
    for program in things["apt"]:
        if not shutil.which(program):
            raise Unavailable(f"{program} is not installed: apt-get install {program}")
    if suite.suffix == ".java":
        return java(suite, things["maven"])
    return python(suite, things["pip"])


def call(command, **options):
    """Runs a step of the preparation; its output is shown only when it fails."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    if done.returncode != 0:
        raise Unavailable(f"`{' '.join(map(str, command))}` failed: {done.stdout.strip()[-2000:]}")


def home(*parts):
    """A cache folder for these needs, and whether it is complete already."""
    name = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
    folder = CACHE / name
    complete = (folder / ".complete").exists()
    if not complete:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    return folder, complete


def python(suite, packages):
    if not packages:
        return [sys.executable, suite]
    folder, complete = home("pip", sys.version, *packages)
    interpreter = folder / "bin" / "python"
    if not complete:
        try:
            venv.create(folder, with_pip=True)
        except subprocess.CalledProcessError as error:
            raise Unavailable(f"no virtual environment (apt-get install python3-venv): {error}") from error
        call([interpreter, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages])
        (folder / ".complete").touch()
    return [interpreter, suite]


POM = """<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>clients</groupId><artifactId>clients</artifactId><version>1</version><dependencies>
{}</dependencies></project>
"""


def maven(artifacts):
    """The folder with these artifacts and all that they depend on."""
    for program in ("java", "javac", "mvn"):
        if not shutil.which(program):
            raise Unavailable(f"{program} is not installed: apt-get install openjdk-17-jdk-headless maven")
    folder, complete = home("maven", *artifacts)
    if not complete:
        entries = "".join(
            "<dependency><groupId>{}</groupId><artifactId>{}</artifactId><version>{}</version></dependency>\n"
            .format(*artifact.split(":")) for artifact in artifacts)
        (folder / "pom.xml").write_text(POM.format(entries))
        call(["mvn", "-q", "-B", "-f", folder / "pom.xml", "dependency:copy-dependencies",
              f"-DoutputDirectory={folder / 'lib'}"])
        (folder / ".complete").touch()
    return folder / "lib"


def java(suite, artifacts):
    jars = maven(artifacts)
    classes, complete = home("javac", suite.read_text(), *artifacts)
    if not complete:
        call(["javac", "-Xlint:all,-processing", "-Werror", "-d", classes, "-cp", f"{jars}/*", suite])
        (classes / ".complete").touch()
    return ["java", "-Xmx768m", "-XX:TieredStopAtLevel=1", "-cp", f"{classes}:{jars}/*", suite.stem]
