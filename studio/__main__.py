"""Command line: `python -m studio --cars 32 --seed 0 --out sample`, and `python -m studio sheets`."""

import argparse
import os
import sys

from tqdm import tqdm

from studio.dataset import Settings, StudioError, render_dataset


def picture_size(text):
    """'480x320' to (480, 320)."""
    parts = text.lower().split("x")
    if len(parts) != 2 or not all(part.isdigit() for part in parts):
        raise argparse.ArgumentTypeError(f"'{text}' is not a size: write WIDTHxHEIGHT, for example 480x320")
    width, height = (int(part) for part in parts)
    if not (48 <= width <= 4096 and 32 <= height <= 4096):
        raise argparse.ArgumentTypeError(f"'{text}' is out of range: 48x32 to 4096x4096")
    return width, height


def whole_number(lowest, highest):
    """A checker for integers within a range."""

    def check(text):
        if not text.isdigit() or not lowest <= int(text) <= highest:
            raise argparse.ArgumentTypeError(f"'{text}' is not a whole number from {lowest} to {highest}")
        return int(text)

    return check


def usable_cores():
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def parse(arguments):
    """The command line as a namespace."""
    parser = argparse.ArgumentParser(
        prog="python -m studio", description="Render cars in the layout of the Carvana data."
    )
    parser.add_argument("--cars", type=whole_number(1, 100_000), default=32, help="number of cars (32)")
    parser.add_argument("--views", type=whole_number(1, 16), default=16, help="views of each car (16)")
    parser.add_argument("--size", type=picture_size, default=(480, 320), metavar="WxH", help="picture size (480x320)")
    parser.add_argument(
        "--samples",
        type=whole_number(1, 256),
        default=16,
        help="samples for a pixel at an edge; others get at most 4 (16)",
    )
    parser.add_argument("--seed", type=whole_number(0, 2**31), default=0, help="another seed, other cars (0)")
    parser.add_argument("--workers", type=whole_number(1, 256), default=usable_cores(), help="processes (all cores)")
    parser.add_argument("--quality", type=whole_number(1, 95), default=80, help="JPEG quality (80)")
    parser.add_argument("--out", required=True, help="folder to render into; a partly rendered one is continued")
    return parser.parse_args(arguments)


def main(arguments=None):
    """Render a data set, or draw the figures from one."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        if arguments[:1] == ["sheets"]:
            from studio.sheets import main as draw_sheets

            draw_sheets(arguments[1:])
            return 0
        given = parse(arguments)
        settings = Settings(given.cars, given.views, *given.size, given.samples, given.seed, given.quality)
        with tqdm(total=given.cars * given.views, unit="picture", smoothing=0.1) as bar:
            render_dataset(given.out, settings, given.workers, bar.update)
    except StudioError as problem:
        print(f"studio: {problem}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("studio: interrupted; the same command continues where it stopped.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
