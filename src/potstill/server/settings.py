"""What an administrator decides: where data lies, who is asked, how much is taken."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import final
from urllib.parse import urlsplit

from potstill.errors import ConfigurationError
from potstill.server.prices import Price

ANY_MODEL = "*"
LOCAL_HOSTS = ("127.0.0.1", "localhost", "::1")


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class TeacherSettings:
    """An upstream model with OpenAI's API, or a model on this machine.

    Attributes:
        name: what clients call it; `*` answers for every model that nothing else answers for.
        base_url: without the last slash; mostly ends in /v1. Empty where the model is here.
        model: what it is called there; empty: as the client calls it.
        api_key: from the environment, see `key_variable`; stands in no message and no log.
        path: of a bundle or of a GGUF file, in place of an address.
    """

    name: str
    base_url: str = ""
    model: str = ""
    api_key: str = field(default="", repr=False)
    path: str = ""

    def __post_init__(self) -> None:
        if self.path:
            if not Path(self.path).exists():
                raise ConfigurationError(
                    f"--teacher {self.name}: there is nothing at {self.path}. Write NAME=BASE_URL for an API, or "
                    "NAME=PATH of a bundle or a .gguf file."
                )
            return
        parts = urlsplit(self.base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigurationError(
                f"--teacher {self.name}: {self.base_url!r} is no address. Write NAME=BASE_URL, for example "
                "gpt-4o-mini=https://api.openai.com/v1"
            )
        if parts.username or parts.password:
            raise ConfigurationError(
                f"--teacher {self.name}: the address holds a user or a password, which would stand in lists of "
                f"processes. Put the key into the environment variable {key_variable(self.name)}."
            )


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class VoiceSettings:
    """A student that hears.

    Attributes:
        name: what clients call it.
        bundle: folder or .zip of a bundle for sounds.
    """

    name: str
    bundle: Path


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """All settings of one server.

    Attributes:
        data: folder of everything that it keeps.
        host: address to listen on.
        port: 0 lets the system choose.
        database_url: of SQLAlchemy; empty: SQLite in the data folder.
        teachers: whom chat completions are passed on to.
        voices: students that hear, for transcriptions and the realtime API.
        embeddings: bundle of a student whose embeddings the cosine metric of graders compares.
        hosts: names that a Host header may hold besides the address listened on.
        max_body_bytes: of a JSON request.
        max_file_bytes: of an uploaded file.
        teacher_timeout_s: without a byte from a teacher.
        bases: name -> folder or .gguf file of a language model that students which write can be cut from.
        writing_threads: of the one engine that all writing models of this server share.
        allow_python_graders: whether an eval's criterion may be Python code, which then runs here.
        images_from: hosts that pictures may be fetched from, see `potstill.server.remote_pictures.read_hosts`.
        fleet: the publisher's folder, whose devices report here; None: no devices.
        prices: teacher -> what its tokens cost; without a price the dashboard shows tokens alone.
    """

    data: Path
    host: str = "127.0.0.1"
    port: int = 8080
    database_url: str = field(default="", repr=False)
    teachers: tuple[TeacherSettings, ...] = ()
    voices: tuple[VoiceSettings, ...] = ()
    embeddings: Path | None = None
    hosts: tuple[str, ...] = ()
    max_body_bytes: int = 64 << 20
    max_file_bytes: int = 512 << 20
    teacher_timeout_s: float = 600.0
    bases: tuple[tuple[str, str], ...] = ()
    writing_threads: int = 1
    allow_python_graders: bool = False
    images_from: tuple[str, ...] = ()
    fleet: Path | None = None
    prices: tuple[tuple[str, Price], ...] = ()

    def __post_init__(self) -> None:
        names = [teacher.name for teacher in self.teachers]
        if len(set(names)) != len(names):
            raise ConfigurationError(f"--teacher names one twice: {', '.join(sorted(names))}")
        names += [voice.name for voice in self.voices]
        if len(set(names)) != len(names):
            raise ConfigurationError(f"--voice takes a name that is taken: {', '.join(sorted(names))}")
        teachers = {teacher.name for teacher in self.teachers}
        for name, _ in self.prices:
            if ANY_MODEL not in teachers and name.partition("/")[0] not in teachers:
                known = ", ".join(sorted(teachers)) or "none"
                raise ConfigurationError(f"--price {name}=...: no teacher has this name. Teachers are: {known}.")

    def base_paths(self) -> dict[str, str]:
        """The bases by name."""
        return dict(self.bases)

    @property
    def is_local(self) -> bool:
        """Only programs of this machine can reach it."""
        return self.host in LOCAL_HOSTS


def key_variable(teacher: str) -> str:
    """Environment variable of a teacher's key: POTSTILL_TEACHER_GPT_4O_MINI_API_KEY for `gpt-4o-mini`."""
    name = "DEFAULT" if teacher == ANY_MODEL else re.sub(r"[^A-Za-z0-9]", "_", teacher).upper()
    return f"POTSTILL_TEACHER_{name}_API_KEY"


def read_voices(options: Sequence[str]) -> tuple[VoiceSettings, ...]:
    """Reads NAME=BUNDLE.

    Raises:
        ConfigurationError: not of this form.
    """
    found = []
    for option in options:
        name, equals, bundle = option.partition("=")
        if not equals or not name or not bundle:
            raise ConfigurationError(f"--voice {option}: expected NAME=BUNDLE, the bundle of a student for sounds")
        found.append(VoiceSettings(name=name, bundle=Path(bundle)))
    return tuple(found)


def read_teachers(options: Sequence[str], environment: Mapping[str, str] = os.environ) -> tuple[TeacherSettings, ...]:
    """Reads NAME=BASE_URL, NAME=BASE_URL#MODEL, or NAME=PATH of a model on this machine.

    Raises:
        ConfigurationError: not of this form.
    """
    found = []
    for option in options:
        name, equals, address = option.partition("=")
        if not equals or not name:
            raise ConfigurationError(f"--teacher {option}: expected NAME=BASE_URL or NAME=PATH")
        if "://" not in address:
            found.append(TeacherSettings(name=name, path=address))
            continue
        base_url, _, model = address.partition("#")
        key = environment.get(key_variable(name), "")
        found.append(TeacherSettings(name=name, base_url=base_url.rstrip("/"), model=model, api_key=key))
    return tuple(found)


def read_bases(options: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Reads NAME=PATH.

    Raises:
        ConfigurationError: not of this form, or nothing lies there.
    """
    found = []
    for option in options:
        name, equals, path = option.partition("=")
        if not equals or not name or name.startswith("ft:") or not Path(path).exists():
            raise ConfigurationError(
                f"--base {option}: expected NAME=PATH of a language model that is there, a folder in Hugging Face's "
                "layout or a .gguf file"
            )
        found.append((name, str(Path(path).resolve())))
    return tuple(found)
