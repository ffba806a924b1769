"""Students that hear, named by the administrator at start."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import final

from potstill.errors import ConfigurationError
from potstill.runtime.model import Model, load
from potstill.server.errors import no_such_model
from potstill.server.settings import VoiceSettings


@final
class Voices:
    """Bundles for sounds, loaded once."""

    def __init__(self, settings: Sequence[VoiceSettings]) -> None:
        """Loads all of them, so that a damaged one is known at start.

        Raises:
            ConfigurationError: a bundle reads something else than sounds.
            BundleError: one is damaged.
        """
        self._models: dict[str, Model] = {}
        for voice in settings:
            model = load(voice.bundle)
            if model.modality != "audio":
                raise ConfigurationError(
                    f"--voice {voice.name}: {voice.bundle} reads {model.modality}, and only a student for sounds can "
                    "hear. Distil one with --audio."
                )
            self._models[voice.name] = model

    def __iter__(self) -> Iterator[str]:
        return iter(self._models)

    def __contains__(self, name: str) -> bool:
        return name in self._models

    def find(self, name: str) -> Model:
        """The student of that name.

        Raises:
            ApiError: 404.
        """
        if name not in self._models:
            raise no_such_model(name)
        return self._models[name]
