"""What lies in the folders of photos and of masks, paired by name."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from carvana_course.adopt.annotations import Annotation, read_annotations
from carvana_course.adopt.names import fault_of_name, is_same, list_files, without_ending
from carvana_course.adopt.pairing import Candidate, MaskSource, match_masks, split_folder
from carvana_course.adopt.polygons import check_libraries
from carvana_course.deployment.threads import bounded_map
from carvana_lib import DataError


def find_candidates(images: Path, masks: Path) -> list[Candidate]:
    """What there is, paired by name: photos, then masks without photo, then files that are neither.

    Raises DataError for folders that cannot be used, and where no file is a photo.
    """
    if masks.is_file():
        if masks.suffix.lower() != ".json":
            raise DataError(f"'{masks}' is no file of annotations (.json); give --masks such a file, or a folder")
        photo_files = [name for name in list_files(images) if not is_same(images / name, masks)]
        mask_folder = masks.parent
        mask_files = [masks.name]
    elif masks.is_dir() and is_same(images, masks):
        mask_folder = masks
        photo_files, mask_files = split_folder(list_files(images))
    else:
        mask_folder = masks
        photo_files = list_files(images, leave_out=masks)
        mask_files = list_files(masks, leave_out=images)
    faults = {name: fault_of_name(name) for name in photo_files}
    photos = [name for name in photo_files if not faults[name]]
    if not photos:
        raise DataError(f"'{images}' holds no photos that can be read; give --images the folder of the photos")
    if not mask_files and is_same(images, masks):
        remedy = "name the folder of each, or give masks a word, as in a_mask.png beside a.jpg"
        raise DataError(f"'{images}' is given for photos and masks, and no file tells by its name which; {remedy}")
    sources, others = read_sources(mask_folder, mask_files)
    if masks.is_file() and len(sources) == 1 and sources[0].content.problem:  # of the file, not of one photo
        raise DataError(sources[0].content.problem)
    others += [Candidate(name, problem=fault) for name, fault in faults.items() if fault]
    return match_masks(photos, sources) + others


def read_sources(folder: Path, names: list[str]) -> tuple[list[MaskSource], list[Candidate]]:
    """(masks and annotations of a folder, what is neither, with its problem); JSON is read by all cores."""
    from carvana_lib.device import cores, progress

    sources = []
    others = []
    files = [name for name in names if name.lower().endswith(".json")]
    if files:
        check_libraries()
    with ThreadPoolExecutor(cores()) as threads:
        results = bounded_map(threads, lambda name: annotations_or_fault(folder, name), files, 4 * cores())
        for name, found in zip(files, progress(results, "reading annotations", len(files), "file"), strict=True):
            for annotation in found:
                if annotation.photo:
                    sources.append(MaskSource(name, annotation))
                else:
                    others.append(Candidate(name, problem=annotation.problem))
    for name in names:
        if name.lower().endswith(".json"):
            continue
        fault = fault_of_name(name)
        if fault:
            others.append(Candidate(name, problem=fault))
        else:
            sources.append(MaskSource(name, folder / name))
    return sources, others


def annotations_or_fault(folder: Path, name: str) -> list[Annotation]:
    """What a JSON file holds, or an annotation of the photo of its name whose problem is why it cannot be read."""
    try:
        return read_annotations(folder / name, name)
    except DataError as error:
        return [Annotation(name, without_ending(name), problem=str(error))]
