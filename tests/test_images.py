"""Image files of every kind become the same RGB numbers, and damaged ones raise."""

import io

import numpy as np
import pytest
from images import centre, decode, normalise
from miniatures import picture
from PIL import Image

ROTATED = 0x0112  # the EXIF tag of the orientation


def encoded(image, format="PNG", **options):
    """The bytes of an image file."""
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


def pixels(data):
    image = decode(data)
    assert image.mode == "RGB"
    return np.asarray(image)


# ---- Kinds of files


def test_rgb_is_kept():
    np.testing.assert_array_equal(pixels(encoded(picture())), np.asarray(picture()))


@pytest.mark.parametrize("mode", ["L", "1", "LA"])
def test_gray_has_three_equal_channels(mode):
    gray = np.asarray(picture(mode="1" if mode == "1" else "L")).astype(np.uint8)
    gray = gray * 255 if mode == "1" else gray
    found = pixels(encoded(picture(mode="1" if mode == "1" else "L").convert(mode)))
    np.testing.assert_array_equal(found, np.repeat(gray[:, :, None], 3, axis=2))


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_16_bits_keep_their_upper_8(format):
    deep = np.array([[0, 255, 256, 511, 32768, 65535]], np.uint16)
    found = pixels(encoded(Image.fromarray(deep), format))
    assert found[0, :, 0].tolist() == [0, 0, 1, 1, 128, 255]
    assert (found == found[:, :, :1]).all()


def test_numbers_of_32_bits_are_read_where_16_are_enough():
    image = Image.fromarray(np.array([[0, 65535]], np.int32))
    assert pixels(encoded(image, "TIFF"))[0, :, 0].tolist() == [0, 255]


@pytest.mark.parametrize("value", [-1, 65536])
def test_numbers_beyond_16_bits_are_refused(value):
    with pytest.raises(ValueError, match="more than 16 bits"):
        decode(encoded(Image.fromarray(np.array([[value]], np.int32)), "TIFF"))


def test_numbers_without_a_range_are_refused():
    with pytest.raises(ValueError, match="range"):
        decode(encoded(Image.fromarray(np.array([[0.5]], np.float32)), "TIFF"))


def test_transparency_is_dropped_not_blended():
    image = picture()
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    np.testing.assert_array_equal(pixels(encoded(image)), np.asarray(picture()))


def test_a_palette_with_transparency_is_read_without_a_warning():
    image = picture().quantize(8)
    want = np.asarray(image.convert("RGB"))
    np.testing.assert_array_equal(pixels(encoded(image, transparency=bytes(range(8)))), want)


def test_cmyk_is_converted():
    ink = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    red, green, blue = pixels(encoded(ink, "JPEG"))[8, 8].tolist()
    assert red > 240 and green < 15 and blue < 15


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP"])
def test_of_an_animation_the_first_picture_counts(format):
    frames = [Image.new("RGB", (9, 9), colour) for colour in ("red", "blue", "lime")]
    lossless = {"lossless": True} if format == "WEBP" else {}
    data = encoded(frames[0], format, save_all=True, append_images=frames[1:], **lossless)
    assert (pixels(data) == [255, 0, 0]).all()


def test_a_picture_is_turned_upright_as_its_exif_says():
    exif = Image.Exif()
    exif[ROTATED] = 6  # to be turned by 90 degrees clockwise
    found = pixels(encoded(picture(), exif=exif))
    np.testing.assert_array_equal(found, np.rot90(np.asarray(picture()), -1))


# ---- Damage


@pytest.mark.parametrize("part", [0.2, 0.6, 0.98])
def test_a_truncated_jpeg_raises(part):
    data = encoded(picture(size=(200, 150)), "JPEG")
    with pytest.raises(OSError):
        decode(data[: int(part * len(data))])


@pytest.mark.parametrize("data", [b"", b"text", b"\xff\xd8\xff"])
def test_what_is_no_image_raises(data):
    with pytest.raises(OSError):
        decode(data)


def test_a_damaged_checksum_raises():
    data = bytearray(encoded(picture()))
    data[len(data) // 2] ^= 1
    with pytest.raises((OSError, SyntaxError)):
        decode(bytes(data))


# ---- Resize and crop


def test_the_centre_of_a_ramp_by_hand():
    """A ramp of 0 .. 255 across 256 columns is not resized: columns 16 .. 239 remain."""
    ramp = np.tile(np.arange(256, dtype=np.uint8)[None, :, None], (300, 1, 3))
    found = np.asarray(centre(Image.fromarray(ramp)))
    np.testing.assert_array_equal(found, ramp[:224, 16:240])


@pytest.mark.parametrize(
    ("size", "marked"),
    [((512, 512), (256, 256)), ((300, 600), (150, 300)), ((600, 300), (300, 150))],
)
def test_the_middle_of_the_picture_stays_in_the_middle(size, marked):
    image = Image.new("RGB", size)
    image.paste("white", (marked[0] - 20, marked[1] - 20, marked[0] + 20, marked[1] + 20))
    bright = np.asarray(centre(image))[:, :, 0] / 255
    rows, columns = bright.sum(axis=1), bright.sum(axis=0)
    place = np.arange(224) + 0.5
    assert abs(rows @ place / rows.sum() - 112) < 0.6
    assert abs(columns @ place / columns.sum() - 112) < 0.6
    side = 40 * 256 / min(size)
    assert abs(bright.sum() / side**2 - 1) < 0.02


def test_another_crop_keeps_the_proportion():
    image = picture(size=(512, 512))
    want = image.resize((512, 512)).crop((32, 32, 480, 480))
    np.testing.assert_array_equal(np.asarray(centre(image, 448)), np.asarray(want))


def test_a_point_is_a_picture():
    assert (np.asarray(centre(Image.new("RGB", (1, 1), "red"))) == [255, 0, 0]).all()


@pytest.mark.parametrize("size", [(1, 101), (60_000, 1)])
def test_a_line_is_no_picture(size):
    with pytest.raises(ValueError, match=f"{size[0]} x {size[1]} pixels, a line"):
        centre(Image.new("RGB", size))


def test_a_picture_as_thin_as_allowed_is_one():
    assert centre(Image.new("RGB", (2, 200))).size == (224, 224)


def test_numbers_are_normalised_by_hand():
    black_white = [Image.new("RGB", (2, 2), colour) for colour in ("black", (255, 51, 0))]
    found = normalise(black_white, (0.5, 0.1, 0.0), (0.5, 0.2, 1.0))
    assert found.shape == (2, 3, 2, 2) and found.dtype == np.float32
    np.testing.assert_array_equal(found[0, :, 0, 0], np.float32([-1, -0.5, 0]))
    np.testing.assert_allclose(found[1, :, 1, 1], [1, 0.5, 0], rtol=1e-6, atol=0)
