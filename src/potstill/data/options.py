"""Which rows, which columns, which classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, final

from potstill.errors import ConfigurationError


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class DataOptions:
    """The data of a run. Paths are read relative to the working folder.

    Attributes:
        train: labelled rows: CSV, TSV, JSONL or Parquet, or a folder of pictures or sounds with one folder a class.
            Rows without a label count as unlabelled.
        test: labelled rows that judge; empty holds some of `train` out.
        unlabelled: further rows without labels, that the teacher answers.
        text: column of the text; where `image` and `audio` are empty too, it is guessed, and said.
        image: column of the picture, as a path, bytes or an array; in a folder it is called `image`.
        audio: column of the sound, as a path, bytes or an array; in a folder it is called `audio`.
        sample_rate: samples a second that sounds are brought to; 0 takes the commonest of the data, at most 16,000.
        group: column that tells who or where a row comes from, such as a speaker; dev, and test where none is given,
            are made of whole groups that training doesn't see.
        label: column of the label, or several columns (one field each); empty guesses and says so.
        separator: splits a label into several (multi-label); empty for one label a row.
        out_of_scope: label that stands for "none of these": never trained as a class, it judges rejection.
        classes: the classes that the service keeps; empty keeps all.
        other: keep a class "other" for all classes that are not kept; else their rows are left out.
        dev_share: share of the labelled training rows that choose settings and calibrate.
        test_share: share held out when there is no test file.
        leakage: what happens to training rows that stand in test too, exactly or nearly.
        near_duplicate: similarity of character 5-gram sets from which two texts count as near duplicates, in (0, 1].
        encoding: of CSV and JSONL; `auto` tries UTF-8 (with or without BOM), then CP949.
    """

    train: str = ""
    test: str = ""
    unlabelled: str = ""
    text: str = ""
    image: str = ""
    audio: str = ""
    sample_rate: int = 0
    group: str = ""
    label: tuple[str, ...] = ()
    separator: str = ""
    out_of_scope: str = ""
    classes: tuple[str, ...] = ()
    other: bool = False
    dev_share: float = 0.1
    test_share: float = 0.2
    leakage: Literal["remove", "keep", "fail"] = "remove"
    near_duplicate: float = 0.9
    encoding: Literal["auto", "utf-8", "cp949"] = "auto"

    @property
    def modality(self) -> Literal["text", "image", "audio"]:
        """What an input is."""
        return "image" if self.image else "audio" if self.audio else "text"

    @property
    def column(self) -> str:
        """Column of the input; empty while nobody has said."""
        return self.image or self.audio or self.text

    def __post_init__(self) -> None:
        named = [name for name in ("text", "image", "audio") if getattr(self, name)]
        if len(named) > 1:
            raise ConfigurationError(f"data names {' and '.join(named)}; a row has one input, so name one column")
        if self.sample_rate and not 1000 <= self.sample_rate <= 384_000:
            raise ConfigurationError(f"data.sample_rate is {self.sample_rate}; it is in Hz, from 1,000 to 384,000")
        for name in ("dev_share", "test_share"):
            if not 0 < getattr(self, name) < 1:
                raise ConfigurationError(f"data.{name} is {getattr(self, name)}; it is a share, between 0 and 1")
        if not 0 < self.near_duplicate <= 1:
            raise ConfigurationError(f"data.near_duplicate is {self.near_duplicate}; it must be above 0, at most 1")
        if self.other and not self.classes:
            raise ConfigurationError("data.other needs data.classes: without a choice of classes there is no 'other'")
