"""Files of pictures and sounds as arrays, the same way in training and on a device."""

from potstill.runtime.media.pictures import PICTURE_SUFFIXES, WORKING_SIDE, read_picture, resized
from potstill.runtime.media.png import png, stretched
from potstill.runtime.media.sounds import SOUND_SUFFIXES, read_sound, sound_file, sound_rate

__all__ = [
    "PICTURE_SUFFIXES",
    "SOUND_SUFFIXES",
    "WORKING_SIDE",
    "png",
    "read_picture",
    "read_sound",
    "resized",
    "sound_file",
    "sound_rate",
    "stretched",
]
