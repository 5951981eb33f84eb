"""From the bytes of an image file to what a backbone takes, with Pillow alone."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

SHORT_SIDE, CROP = 256, 224  # of the published recipes; other crops keep the proportion
THIN = 100  # a picture of 1 x 60,000 would be resized to 256 x 15,360,000


def decode(data: bytes) -> Image.Image:
    """Return the first picture of an image file as RGB, upright as its EXIF says.

    Transparency is dropped, not blended, as published pipelines do. Raises whatever Pillow raises
    for bytes that are no image, and ValueError where numbers have no known range.
    """
    image = Image.open(io.BytesIO(data))
    image.load()  # before all else: a truncated file must not get through
    image = ImageOps.exif_transpose(image)
    if image.mode == "F":
        raise ValueError("floating-point numbers, whose range an image file does not say")
    if image.mode.startswith("I"):  # 16 bits, which convert() would clip to 255, nearly all white
        pixels = np.asarray(image).astype(np.int64)
        if pixels.min() < 0 or pixels.max() > 65535:
            raise ValueError("numbers of more than 16 bits")
        image = Image.fromarray((pixels // 256).astype(np.uint8))
    if "transparency" in image.info:
        image = image.convert("RGBA")  # Pillow warns when a palette with it loses both at once
    return image.convert("RGB")


def centre(image: Image.Image, crop: int = CROP) -> Image.Image:
    """Return the centre `crop` x `crop` of the image, its short side resized to 256/224 of that.

    Bicubic, rounded as torchvision's Resize and CenterCrop do. Raises ValueError for a picture
    more than THIN times as long as wide, which would take much memory to resize.
    """
    short = round(crop * SHORT_SIDE / CROP)
    if max(image.size) > THIN * min(image.size):
        raise ValueError(f"{image.size[0]} x {image.size[1]} pixels, a line rather than a picture")
    width, height = (int(short * side / min(image.size)) for side in image.size)
    left, top = round((width - crop) / 2), round((height - crop) / 2)
    resized = image.resize((width, height), Image.Resampling.BICUBIC)
    return resized.crop((left, top, left + crop, top + crop))


def normalise(
    images: list[Image.Image], mean: tuple[float, ...], std: tuple[float, ...]
) -> NDArray[np.float32]:
    """Return the images as numbers (B, 3, S, S): pixels / 255, less the mean, over the std."""
    pixels = np.stack([np.asarray(image) for image in images]).transpose(0, 3, 1, 2)
    mean, std = (np.float32(values)[:, None, None] for values in (mean, std))
    return (pixels.astype(np.float32) / 255 - mean) / std
