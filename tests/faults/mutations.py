"""Pairs of a photo and its mask, spoiled in every way that files get spoiled, and a few that only look so."""

import io
import struct
import zlib
from dataclasses import dataclass

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 96, 64
MUST, MAY, FINE = "must be refused", "may still be a picture", "is a picture"


@dataclass
class Pair:
    """The bytes of the two files, what was done to them, and whether the audit must, may or must not refuse them."""

    image: bytes
    mask: bytes
    kind: str
    verdict: str


def save(array: np.ndarray, format: str, mode: str | None = None, **options) -> bytes:
    picture = Image.fromarray(array)
    picture = picture.convert(mode) if mode else picture
    picture.save(buffer := io.BytesIO(), format, **options)
    return buffer.getvalue()


def whole(rng) -> tuple[np.ndarray, np.ndarray, bytes, bytes]:
    """A photo and its mask, as arrays and as files."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[16:48, 24 : 60 + int(rng.integers(12))] = 255
    noise = rng.integers(0, 90, (HEIGHT, WIDTH, 3))
    photo = (noise + np.where(mask[..., None] > 0, 150, 0)).astype(np.uint8)
    return photo, mask, save(photo, "JPEG"), save(mask, "GIF", "1")


def png_of_zeros(width: int, height: int) -> bytes:
    """A grey PNG of any size, a thousandth of its pixels in bytes."""
    squeeze, row = zlib.compressobj(9), bytes(width + 1)
    rows = b"".join(squeeze.compress(row) for _ in range(height)) + squeeze.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = [b"IHDR" + header, b"IDAT" + rows, b"IEND"]
    packed = (struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) for chunk in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def flip_bytes(content: bytes, rng, first: int) -> bytes:
    """One to twenty bytes, from number `first` on, set to something else."""
    spoiled = bytearray(content)
    for place in rng.integers(first, len(content), rng.integers(1, 21)):
        spoiled[place] ^= int(rng.integers(1, 256))
    return bytes(spoiled)


def jpeg_size(content: bytes, width: int, height: int) -> bytes:
    """A JPEG that claims to have another size (its SOF0 marker)."""
    place = content.index(b"\xff\xc0") + 5
    return content[:place] + struct.pack(">HH", height, width) + content[place + 4 :]


def gif_size(content: bytes, width: int, height: int) -> bytes:
    """A GIF whose screen and frame claim to have another size."""
    frame = content.index(b"\x2c\0\0\0\0") + 5
    size = struct.pack("<HH", width, height)
    return content[:6] + size + content[10:frame] + size + content[frame + 4 :]


def truncated_photo(rng, photo, mask, image, gif):
    return Pair(image[: int(rng.uniform(0, 0.95) * len(image))], gif, "photo cut off", MUST)


def truncated_mask(rng, photo, mask, image, gif):
    return Pair(image, gif[: int(rng.uniform(0, 0.9) * len(gif))], "mask cut off", MUST)


def flipped_photo(rng, photo, mask, image, gif):
    return Pair(flip_bytes(image, rng, 0), gif, "photo with bytes changed", MAY)


def flipped_mask(rng, photo, mask, image, gif):
    return Pair(image, flip_bytes(gif, rng, 0), "mask with bytes changed", MAY)


def swapped_headers(rng, photo, mask, image, gif):
    n = int(rng.integers(4, 20))
    return Pair(gif[:n] + image[n:], image[:n] + gif[n:], "headers swapped", MUST)


def swapped_files(rng, photo, mask, image, gif):
    return Pair(gif, image, "photo and mask swapped", MUST)


def another_format(rng, photo, mask, image, gif):
    format = str(rng.choice(["PNG", "BMP", "TIFF", "GIF", "PPM"]))
    return Pair(save(photo, format), save(mask, "PNG"), "another format under that name", FINE)


def no_picture(rng, photo, mask, image, gif):
    text = [b"", b"\0" * 500, b"<!doctype html><p>404", b"PK\3\4" + bytes(60), b"\x7fELF" + bytes(200), b"%PDF-1.7\n"]
    return Pair(text[rng.integers(len(text))], gif, "no picture under that name", MUST)


def lossy_mask(rng, photo, mask, image, gif):
    grey = np.clip(mask.astype(int) + rng.integers(-9, 9, mask.shape), 0, 255).astype(np.uint8)
    return Pair(image, save(grey, "JPEG"), "mask saved as JPEG", MUST)


def other_channels(rng, photo, mask, image, gif):
    mode = str(rng.choice(["L", "CMYK", "YCbCr"]))
    return Pair(save(photo, "JPEG", mode), gif, "grey, CMYK or YCbCr photo", FINE)


def channels_of_the_mask(rng, photo, mask, image, gif):
    mode = str(rng.choice(["RGB", "RGBA", "LA", "1", "L"]))
    return Pair(image, save(mask, "PNG", mode), "mask with other channels", FINE)


def coloured_mask(rng, photo, mask, image, gif):
    return Pair(image, save(photo, "PNG"), "photo in the place of the mask", MUST)


def zero_size(rng, photo, mask, image, gif):
    size = [(0, HEIGHT), (WIDTH, 0), (0, 0)][rng.integers(3)]
    if rng.integers(2):
        return Pair(jpeg_size(image, *size), gif, "photo of no size", MUST)
    return Pair(image, gif_size(gif, *size), "mask of no size", MUST)


def other_size(rng, photo, mask, image, gif):
    size = (int(rng.integers(WIDTH + 1, 400)), int(rng.integers(HEIGHT + 1, 400)))
    if rng.integers(2):
        return Pair(jpeg_size(image, *size), gif, "photo that claims another size", MUST)
    return Pair(image, gif_size(gif, *size), "mask that claims another size", MUST)


def bomb(rng, photo, mask, image, gif):
    """Small files that claim, or really hold, more pixels than memory should be given to."""
    at = int(rng.integers(4))
    if at == 0:
        return Pair(jpeg_size(image, 65_500, 65_500), gif, "bomb", MUST)
    if at == 1:
        return Pair(image, gif_size(gif, 65_535, 65_535), "bomb", MUST)
    large = png_of_zeros(12_000, 12_000)  # 144 million pixels, at which Pillow only warns
    return Pair(large, large if at == 3 else gif, "bomb", MUST)


def junk_at_the_end(rng, photo, mask, image, gif):
    return Pair(image + rng.bytes(200), gif + bytes(50), "something after the picture's end", FINE)


MUTATIONS = [value for value in list(globals().values()) if getattr(value, "__code__", None) and
             value.__code__.co_varnames[:5] == ("rng", "photo", "mask", "image", "gif")]  # fmt: skip


def spoil(number: int) -> Pair:
    """The `number`th pair: every mutation in its turn, each time drawn anew."""
    rng = np.random.default_rng(number)
    return MUTATIONS[number % len(MUTATIONS)](rng, *whole(rng))
