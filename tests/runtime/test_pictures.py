import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from potstill.errors import DataError
from potstill.runtime.media import read_picture, resized
from tests.media import file_of, pictures

PICTURE = pictures(1)[0][0]


def saved(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def test_a_picture_is_read_as_it_was_saved():
    assert np.array_equal(read_picture(file_of(PICTURE)), PICTURE)


def test_the_suffix_does_not_matter(tmp_path):
    (tmp_path / "wrong.jpg").write_bytes(file_of(PICTURE, "PNG"))
    assert np.array_equal(read_picture(tmp_path / "wrong.jpg"), PICTURE)


def test_a_turned_picture_is_put_upright():
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held to the right
    wide = np.zeros((8, 16, 3), np.uint8)
    wide[:, :8] = 255
    upright = read_picture(saved(Image.fromarray(wide), "PNG", exif=exif))
    assert upright.shape == (16, 8, 3)
    assert (upright[:8] == 255).all()
    assert (upright[8:] == 0).all()


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGBA", "LA", "CMYK", "YCbCr"])
def test_every_colour_mode_becomes_rgb(mode):
    image = Image.new("RGB", (9, 5), (255, 0, 0)).convert(mode)
    kind = "JPEG" if mode in ("CMYK", "YCbCr") else "PNG"
    found = read_picture(saved(image, kind))
    assert found.shape == (5, 9, 3)
    assert found.dtype == np.uint8


def test_what_is_transparent_is_white():
    assert (read_picture(saved(Image.new("RGBA", (4, 4), (0, 0, 0, 0)), "PNG")) == 255).all()


def test_sixteen_bits_keep_their_shades():
    shades = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    found = read_picture(saved(Image.fromarray(shades), "PNG"))
    assert np.abs(found[..., 0].astype(float) - shades / 257).max() <= 1


def test_a_large_picture_keeps_its_proportions():
    assert read_picture(file_of(np.zeros((300, 900, 3), np.uint8)), side=256).shape == (85, 256, 3)


def test_an_animation_is_refused():
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    with pytest.raises(DataError, match="animated, 2 frames"):
        read_picture(saved(frames[0], "GIF", save_all=True, append_images=frames[1:]))


def test_a_picture_that_claims_to_be_huge_is_refused_before_it_is_decoded():
    huge = bytearray(file_of(PICTURE))
    huge[16:24] = (30_000).to_bytes(4, "big") * 2
    with pytest.raises(DataError, match=r"30000 x 30000|exceeds limit|no whole picture"):
        read_picture(bytes(huge))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
def test_a_truncated_picture_is_refused(kind):
    whole = file_of(np.random.default_rng(0).integers(0, 255, (40, 40, 3)).astype(np.uint8), kind)
    with pytest.raises(DataError, match="no whole picture"):
        read_picture(whole[: len(whole) // 2])


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(["PNG", "JPEG", "GIF", "TIFF", "BMP", "WEBP"]), st.data())
def test_damaged_files_are_read_or_refused_and_nothing_else(kind, data):
    damaged = bytearray(file_of(PICTURE, kind))
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = read_picture(bytes(damaged))
    except DataError:
        return
    assert found.dtype == np.uint8
    assert found.ndim == 3
    assert max(found.shape[:2]) <= 256


def test_resizing_to_the_same_size_changes_nothing():
    assert resized(PICTURE, 12, 12) is PICTURE
    assert resized(PICTURE, 24, 6).shape == (24, 6, 3)
