"""Finds the clients of suites/, fetches what they need by the lines at their top, and says how to run them.

    # apt: kcat                                  a Debian package, by the program of the same name
    # pip: kafka-python==2.2.3                   into a virtual environment of the client's own
    # npm: kafkajs@2.2.4                         into a folder of node modules
    // go: github.com/twmb/franz-go@v1.22.2      a module; the file is built with it and with told.go
    // cargo: rskafka@=0.6.0                     a crate; the file is built as a program that has it
    // maven: org.apache.kafka:kafka-clients:4.4.0     and what it depends on; the file is compiled beside them

One script serves several releases when such lines begin with a variant; each variant is a client of its own in the
table, here `confluent-2.16.1` and `confluent-2.3.0`. Lines without a variant hold for all of them.

    # variant: 2.16.1 pip: confluent-kafka==2.16.1
    # variant: 2.3.0 pip: confluent-kafka==2.3.0

What the script's part of members/ (or the script, if it has none) says in lines of the form `# lacks: NAME | why` (or
`# variant: 2.3.0 lacks: ...`) is told of the behaviours of groups; a name may be a pattern.

Everything lies below ${XDG_CACHE_HOME:-~/.cache}/millrace-clients, in a folder named by a hash of these lines,
so that a second run fetches nothing.
"""

import hashlib
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "millrace-clients"

class Unavailable(Exception):
    """A client cannot be run here; the text says what is missing."""

@dataclass(frozen=True)
class Client:
    """One column of the table: a script and the release that it runs with."""

    suite: Path
    variant: str
    # Pairs of a kind and a thing: ("pip", "confluent-kafka==2.3.0").
    needs: tuple

    @property
    def name(self):
        return f"{self.suite.stem}-{self.variant}" if self.variant else self.suite.stem

    @property
    def member(self):
        """The part of it that joins groups, if it has one."""
        path = HERE / "members" / self.suite.name
        return path if path.exists() else None

    def lacks(self):
        """What it has not of the behaviours of groups: pairs of a pattern and a reason."""
        lines = (re.match(r"(?:#|//) (?:variant: (\S+) )?lacks: (.+?) \| (.+)$", line)
                 for line in top(self.member or self.suite))
        return [line.group(2, 3) for line in lines if line and line.group(1) in (None, self.variant)]

    def called(self, name):
        """Whether `--client NAME` means this one: by its own name, or by that of its script."""
        return name in (self.name, self.suite.stem)

    def things(self, kind):
        return [thing for each, thing in self.needs if each == kind]

def clients(folder):
    """Every client of a folder of suites, each variant on its own, newest first as the scripts name them."""
    found = []
    for suite in sorted(folder.iterdir()):
        if suite.suffix in RUNNERS:
            lines = needs(suite)
            # The order of the file, without repetitions; no variant at all is one nameless variant.
            variants = list(dict.fromkeys(variant for variant, _, _ in lines if variant)) or [""]
            for variant in variants:
                wanted = tuple((kind, thing) for of, kind, thing in lines if of in ("", variant))
                found.append(Client(suite, variant, wanted))
    return found

def top(suite):
    """The comments that a script begins with."""
    return itertools.takewhile(lambda line: not line or line.startswith(("#", "//")), suite.read_text().splitlines())

def needs(suite):
    """The `kind: thing` lines at the top of a suite, as (variant or "", kind, thing)."""
    found = []
    for line in top(suite):
        match = re.match(r"(?:#|//) (?:variant: (\S+) )?([a-z]+): (\S+)$", line)
        if match:
            variant, kind, thing = match.groups()
            found.append((variant or "", kind, thing))
    return found

def commands_for(client):
    """Fetches what is missing and returns the command that runs the client, and the one of its groups' members."""
    for program in client.things("apt"):
        if not shutil.which(program):
            raise Unavailable(f"{program} is not installed: apt-get install {program}")
    run = RUNNERS[client.suite.suffix]
    return run(client, client.suite), run(client, client.member) if client.member else None

def call(command, **options):
    """Runs a step of the preparation and returns its output, which is shown only when it fails."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    if done.returncode != 0:
        raise Unavailable(f"`{' '.join(map(str, command))}` failed: {done.stdout.strip()[-2000:]}")
    return done.stdout

def home(*parts):
    """A cache folder for these needs, and whether it is complete already."""
    name = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
    folder = CACHE / name
    complete = (folder / ".complete").exists()
    if not complete:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    return folder, complete

def python(client, script):
    packages = client.things("pip")
    if not packages:
        return [sys.executable, script]
    folder, complete = home("pip", sys.version, *packages)
    interpreter = folder / "bin" / "python"
    if not complete:
        try:
            venv.create(folder, with_pip=True)
        except subprocess.CalledProcessError as error:
            raise Unavailable(f"no virtual environment (apt-get install python3-venv): {error}") from error
        # Wheels only: a client compiled here would not be the one that its users run.
        call([interpreter, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:",
              *packages])
        (folder / ".complete").touch()
    return [interpreter, script]

def node(client, script):
    for program in ("node", "npm"):
        if not shutil.which(program):
            raise Unavailable(f"{program} is not installed: apt-get install nodejs npm")
    packages = client.things("npm")
    folder, complete = home("npm", *packages)
    if not complete:
        call(["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", folder, *packages])
        (folder / ".complete").touch()
    # Node looks for modules beside the script, or where this says.
    return ["env", f"NODE_PATH={folder / 'node_modules'}", "node", script]

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

def java(client, script):
    artifacts = client.things("maven")
    jars = maven(artifacts)
    classes, complete = home("javac", script.read_text(), *artifacts)
    if not complete:
        call(["javac", "-Xlint:all,-processing", "-Werror", "-d", classes, "-cp", f"{jars}/*", script])
        (classes / ".complete").touch()
    return ["java", "-Xmx768m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", f"{classes}:{jars}/*", script.stem]

# What the newest modules ask for. An older Go, or Debian's, fetches this one as the module that it is.
GO = "go1.26.8"


def go_command():
    """What runs a Go that is new enough: the installed one, or the official one by the module proxy."""
    if not shutil.which("go"):
        raise Unavailable("go is not installed: apt-get install golang-go")
    settings = dict(os.environ, GOTOOLCHAIN="local", GOFLAGS="")
    ask = lambda *words: call(["go", *words], env=settings)  # noqa: E731
    number = lambda text: [int(digits) for digits in re.findall(r"\d+", text)[:3]]  # noqa: E731
    if number(ask("env", "GOVERSION")) >= number(GO):
        return ["go"]
    folder, complete = home("go toolchain", GO)
    if not complete:
        system = ask("env", "GOOS", "GOARCH").split()
        module = f"golang.org/toolchain@v0.0.1-{GO}.{'-'.join(system)}"
        archive = zipfile.ZipFile(json.loads(ask("mod", "download", "-json", module))["Zip"])
        # Every name begins with the module's; a module cannot hold a go.mod of another below it, nor permissions.
        for entry in archive.infolist():
            name = Path(entry.filename[len(module) + 1:].replace("src/_go.mod", "src/go.mod"))
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(archive.read(entry))
            if name.parts[0] == "bin" or name.parts[:2] == ("pkg", "tool"):
                target.chmod(0o755)
        (folder / ".complete").touch()
    return ["env", f"GOROOT={folder}", folder / "bin" / "go"]


def go(client, script):
    modules = client.things("go")
    # Beside the script, what all in Go share, and what only this release has.
    release = script.with_name(f"{script.stem}-{client.variant}.go")
    parts = [HERE / "told.go", *([release] if release.exists() else [])]
    folder, complete = home("go", script.read_text(), *(part.read_text() for part in parts), *modules)
    if not complete:
        wanted = "".join(f"require {module.replace('@', ' ')}\n" for module in modules)
        (folder / "go.mod").write_text(f"module clients\n\ngo {GO[2:]}\n\n{wanted}")
        shutil.copy(script, folder / "suite.go")
        for part in parts:
            shutil.copy(part, folder)
        call([*go_command(), "build", "-mod=mod", "-ldflags=-s -w", "-o", "suite", "."], cwd=folder,
             env=dict(os.environ, GOTOOLCHAIN="local", GOFLAGS="", GOWORK="off", CGO_ENABLED="0"))
        (folder / ".complete").touch()
    return [folder / "suite"]


def rust(client, script):
    crates = client.things("cargo")
    folder, complete = home("rust", script.read_text(), client.variant, *crates)
    if not complete:
        # A workspace of its own, below no other. For what only some releases have, the script asks for a feature that
        # has the variant's name.
        release = client.variant or "newest"
        name = f"suite-{folder.name}"
        wanted = "".join('{} = "{}"\n'.format(*crate.split("@")) for crate in crates)
        (folder / "Cargo.toml").write_text(
            f'[package]\nname = "{name}"\nedition = "2024"\n\n[[bin]]\nname = "{name}"\npath = "{script.name}"\n\n'
            f'[features]\ndefault = ["{release}"]\n"{release}" = []\n\n'
            f"[dependencies]\n{wanted}\n[profile.dev]\ndebug = false\n\n[workspace]\n")
        shutil.copy(script, folder)
        # What several of them depend on is compiled once.
        target = CACHE / "target"
        call(["cargo", "build", "--quiet"], cwd=folder, env=dict(os.environ, CARGO_TARGET_DIR=target, RUSTFLAGS=""))
        shutil.copy(target / "debug" / name, folder / "suite")
        (folder / ".complete").touch()
    return [folder / "suite"]


# How a script is run, by the end of its name; other files of suites/ are no clients.
RUNNERS = {".py": python, ".js": node, ".java": java, ".go": go, ".rs": rust}
