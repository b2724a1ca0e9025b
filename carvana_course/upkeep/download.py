"""The real pictures: Kaggle's service, or zips fetched by hand -> the Carvana layout, counted and checked."""

import re
import shutil
import stat
import tempfile
import zipfile
import zlib
from collections import defaultdict
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath

from PIL import Image

from carvana_lib import DataError
from carvana_lib.runs import atomic, remove, stale, writing

COMPETITION = "carvana-image-masking-challenge"
PAGE = f"https://www.kaggle.com/c/{COMPETITION}"
TOKENS = "https://www.kaggle.com/settings/api"
FILES = ("train.zip", "train_masks.zip", "metadata.csv.zip")
BY_HAND = f"fetch {', '.join(FILES)} by hand from {PAGE}/data and pass them to --from-zip"
LIMIT = 2 * 1024**3  # bytes; several times what the real zips hold
LAYOUT = {  # folder of the layout -> names of the files in it
    "train": re.compile(r"(?P<image_id>[0-9A-Za-z-]+_[0-9]{2})\.jpg"),
    "train_masks": re.compile(r"(?P<image_id>[0-9A-Za-z-]+_[0-9]{2})_mask\.gif"),
    "": re.compile(r"metadata\.csv"),
}
JUNK = re.compile(r"(.*/)?(__MACOSX/.*|\._[^/]*|\.DS_Store|Thumbs\.db|desktop\.ini)")


def download(target: Path) -> Path:
    """Fetch the zips into kagglehub's cache (a rerun goes on from there), `unpack` them and return `target`.

    Raises DataError naming the step that failed (token, rules, service, disk, network), and what `unpack` raises.
    """
    import kagglehub  # here, so that nobody who has the data needs it
    from kagglehub.exceptions import DataCorruptionError

    check_token()
    zips = []
    for name in FILES:
        try:
            zips.append(Path(kagglehub.competition_download(COMPETITION, path=name)))
        except (OSError, DataCorruptionError) as error:  # whatever requests raises is an OSError
            raise DataError(explain_failure(name, error)) from None
    unpack(zips, target)
    return target


def check_token() -> None:
    """Raise DataError where kagglehub has no usable token; the token itself is never shown.

    It looks at KAGGLE_API_TOKEN, ~/.kaggle/access_token, KAGGLE_USERNAME with KAGGLE_KEY, ~/.kaggle/kaggle.json.
    """
    from kagglehub.config import get_kaggle_credentials

    fault = "no Kaggle token on this machine"
    try:
        token = get_kaggle_credentials()
        if token:
            if all(re.fullmatch(r"[!-~]+", str(value)) for value in vars(token).values() if value):
                return
            fault = "the Kaggle token here holds a blank, a line break or a strange letter"
    except (OSError, ValueError, TypeError) as error:  # their text may hold the token
        fault = f"the Kaggle token here cannot be read ({type(error).__name__})"
    raise DataError(f"token: {fault}; make one at {TOKENS} and save it as ~/.kaggle/access_token, or {BY_HAND}")


def explain_failure(name: str, error: Exception) -> str:
    """One sentence on why `name` did not arrive: the step that failed and the remedy."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status == 401:
        return f"token: wrong or expired, Kaggle refused {name} (401); make a new one at {TOKENS}, or {BY_HAND}"
    if status == 403:
        return f"rules: not accepted, Kaggle refused {name} (403); sign in, accept them at {PAGE}/rules and run again"
    if status:
        return f"service: Kaggle answered {status} for {name}; run again later, or {BY_HAND}"
    if isinstance(getattr(error, "errno", None), int):  # as the system's errors, unlike those of requests
        return f"disk: cannot store {name}: {error.strerror}; free space, or let KAGGLEHUB_CACHE name another folder"
    return f"network: {name} is not here whole ({type(error).__name__}); check the connection, run again, or {BY_HAND}"


def unpack(zips: list[Path], target: Path, limit: int = LIMIT) -> None:
    """Unpack the zips to target/train/, target/train_masks/ and target/metadata.csv; their members say what they are.

    Kaggle's one zip of all stands for those in it. All members are judged before the first is written; one that stands
    there with its size is left out, so a killed unpacking can be run again. Raises DataError for what is missing, no
    whole zip, not of the data, given twice, over `limit` bytes or would leave `target`; RunError where writing fails.
    """
    from carvana_lib.device import progress  # here, for it brings torch, whose faults `doctor` is to find

    members = {}  # place in the layout -> (name of the zip, zip, member)
    with ExitStack() as stack:
        for file, archive in opened_zips(map(Path, zips), target, limit, stack):
            for info in archive.infolist():
                place = place_of(info, file)
                if place in members:
                    raise DataError(f"unpack: {place} of {file} comes twice; name each zip once")
                if place:
                    members[place] = file, archive, info
        total = sum(info.file_size for _, _, info in members.values())
        if total > limit:
            raise DataError(f"unpack: {', '.join(map(str, zips))}: {total:,} bytes, over {limit:,}; {BY_HAND}")
        for leftover in stale([*target.glob(".metadata.csv.*.csv"), *target.glob("train*/.*.???.*.???")]):
            remove(leftover)
        for place, (file, archive, info) in progress(members.items(), "unpacking", len(members)):
            path = target / place
            if path.is_file() and path.stat().st_size == info.file_size:
                continue
            with reading_zip(file), archive.open(info) as source, atomic(path) as temporary:
                with temporary.open("wb") as out:
                    shutil.copyfileobj(source, out, 1 << 20)  # never past info.file_size; checks the CRC


def opened_zips(zips, target: Path, limit: int, stack: ExitStack):
    """Yield (name, ZipFile) of each zip, and of a zip that holds some of FILES those in its place."""
    for file in zips:
        refuse_other_kinds(file, target)
        with reading_zip(file):
            archive = stack.enter_context(zipfile.ZipFile(file))
        inner = [info for info in archive.infolist() if PurePosixPath(info.filename).name in FILES]
        if not inner:
            yield file, archive
            continue
        if sum(info.file_size for info in inner) > limit:
            raise DataError(f"unpack: the zips in {file} have over {limit:,} bytes; {BY_HAND}")
        print(f"{file}: {len(inner)} of its {len(archive.infolist())} files are needed, the others stay in it")
        for info in inner:
            check_member(info, file)
            name = f"{info.filename} in {file}"
            yield name, stack.enter_context(inner_zip(name, archive, info, target))


@contextmanager
def inner_zip(name: str, archive: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path):
    """The ZipFile of a member, copied to a nameless file in or beside `target` that vanishes with the process."""
    with writing(target), tempfile.TemporaryFile(dir=target if target.is_dir() else target.parent) as copy:
        with reading_zip(name), writing(target), archive.open(info) as source:
            shutil.copyfileobj(source, copy, 1 << 20)
            copy.flush()
        with reading_zip(name):
            inner = zipfile.ZipFile(copy)
        yield inner


def refuse_other_kinds(file: Path, target: Path) -> None:
    """Raise DataError for a folder or a file that never was a zip: people may have worked for it, so it is to stay."""
    if file.is_dir():
        remedy = f"-p data_dir {file.resolve()} uses it, if it holds train/ and train_masks/; else name the zips in it"
        raise DataError(f"unpack: {file} is a folder, not a zip; {remedy}")
    if file.is_file() and file.suffix.lower() != ".zip" and not zipfile.is_zipfile(file):
        remedy = f"copy it to {target / file.name} and name the zips" if file.name == "metadata.csv" else BY_HAND
        raise DataError(f"unpack: {file} is not a zip; {remedy}")


@contextmanager
def reading_zip(file):
    """Turn what zipfile raises for a missing or damaged zip into a DataError."""
    try:
        yield
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError) as error:
        raise DataError(f"unpack: {file} is missing or no whole zip ({error}); delete it, fetch it anew") from None


def check_member(info: zipfile.ZipInfo, file) -> None:
    """Raise DataError for a member that leads out of the folder, is a link or is not packed as Kaggle does."""
    leaves = info.filename.startswith("/") or ".." in info.filename.split("/") or "\\" in info.filename
    is_link = stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR)
    is_packed_otherwise = info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
    is_encrypted = info.flag_bits & 0x61
    if leaves or is_link or is_packed_otherwise or is_encrypted:
        reason = f"its member {info.filename!r} leads out of the folder, is a link or is not packed as Kaggle does"
        raise DataError(f"unpack: {file} is not safe: {reason}; {BY_HAND}")


def place_of(info: zipfile.ZipInfo, file) -> str:
    """Where in the layout a member belongs ('train/x_01.jpg'), or '' for junk; DataError for any other member."""
    check_member(info, file)
    path = PurePosixPath(info.filename)
    if info.filename.endswith("/") or JUNK.fullmatch(info.filename):
        return ""
    for folder, names in LAYOUT.items():
        if names.fullmatch(path.name) and str(path.parent) in (".", folder):
            return f"{folder}/{path.name}".removeprefix("/")
    raise DataError(f"unpack: {file} is the wrong zip: it holds {info.filename!r}; {BY_HAND}")


def verify(target: Path, cars: int = 318, views: int = 16, size: tuple[int, int] = (1918, 1280)) -> dict:
    """Count cars, images and masks, check that all is there and return the counts; size: (width, height).

    Takes seconds: only headers and last bytes are read (and masks decoded whose colour table has more than two
    entries); the audit of notebook 01 decodes all. Raises DataError that lists whatever is missing or wrong.
    """
    from carvana_lib.device import progress

    images = by_id(target / "train")
    masks = by_id(target / "train_masks")
    car_ids = sorted({image_id.rpartition("_")[0] for image_id in images | masks})
    expected = [f"{car}_{view:02d}" for car in car_ids for view in range(1, views + 1)]
    wrong = defaultdict(list)  # fault -> names
    wrong["image(s) missing"] = [image_id for image_id in expected if image_id not in images]
    wrong["image(s) without mask"] = [image_id for image_id in images if image_id not in masks]
    wrong[f"picture(s) of a view other than 1 to {views}"] = sorted((images | masks).keys() - set(expected))
    metadata = ""
    if (target / "metadata.csv").is_file():
        metadata = (target / "metadata.csv").read_text(encoding="utf8", errors="replace")
    if metadata:
        wrong["car(s) without a row in metadata.csv"] = [car for car in car_ids if car not in metadata]
    else:
        wrong["file(s) missing or empty"] = ["metadata.csv"]
    for file in progress([*images.values(), *masks.values()], "checking pictures"):
        fault = fault_of(file, size)
        if fault:
            wrong[fault].append(file.name)
    faults = []
    if len(car_ids) != cars:
        faults.append(f"{len(car_ids)} of {cars} cars")
    for fault, names in wrong.items():
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            faults.append(f"{len(names)} {fault}: {', '.join(names[:3])}{more}")
    if faults:
        remedy = "delete any faulty file and run the command again with all zips, it writes what is not there"
        raise DataError(f"verify: {target} is not as it should be: {'; '.join(faults)}; {remedy}")
    return {"cars": len(car_ids), "images": len(images), "masks": len(masks), "width": size[0], "height": size[1]}


def by_id(folder: Path) -> dict[str, Path]:
    """image_id -> file, for the files of train/ or train_masks/ that are named as in the challenge."""
    named = [(LAYOUT[folder.name].fullmatch(file.name), file) for file in sorted(folder.glob("*"))]
    return {match["image_id"]: file for match, file in named if match}


def fault_of(path: Path, size: tuple[int, int]) -> str:
    """What is wrong with a picture or mask as far as its header and last bytes tell; '' where nothing is."""
    try:
        with path.open("rb") as file, Image.open(file) as picture:
            if picture.size != size:
                return f"file(s) not {size[0]}x{size[1]}"
            two_colours = picture.palette is not None and len(picture.palette.palette) <= 6  # bytes: RGB, RGB
            if path.suffix == ".gif" and not two_colours and not picture.getcolors(2):
                return "mask(s) of more than two values"
            file.seek(max(0, path.stat().st_size - 1024))
            end = file.read().rstrip(b"\0")
    except Exception:  # Pillow raises OSError, SyntaxError, ValueError, DecompressionBombError ... by format
        return "file(s) that cannot be read"
    is_whole = end.endswith(b";") if path.suffix == ".gif" else b"\xff\xd9" in end
    return "" if is_whole else "file(s) cut off"
