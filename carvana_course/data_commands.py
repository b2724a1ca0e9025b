"""The commands that bring pictures: Kaggle's, or those of a folder of your own."""

from pathlib import Path
from typing import Annotated

import typer

from carvana_lib import DataError, RunError

Group = Annotated[str, typer.Option(metavar="REGEX", help="Its brackets hold what photos of one object share.")]
Colour = Annotated[str, typer.Option(metavar="RRGGBB", help="Which of a mask's several colours is the object.")]
Threshold = Annotated[int | None, typer.Option(min=1, max=255, help="Grey from which a soft mask is the object.")]
Classes = Annotated[list[str], typer.Option("--class", metavar="NAME", help="One of the annotations; may be repeated.")]


def download_command(
    zips: Annotated[list[Path], typer.Argument(help="train.zip train_masks.zip metadata.csv.zip, or one zip.")] = (),
    target: Annotated[Path, typer.Option(help="Where the pictures go.")] = Path("data/carvana"),
    from_zip: Annotated[bool, typer.Option("--from-zip", help="Unpack zips that you fetched by hand.")] = False,
):
    """Fetch the real pictures from Kaggle, or unpack them; check them."""
    from carvana_course.upkeep import download

    if from_zip != bool(zips):
        raise typer.BadParameter("give --from-zip together with the zip files")
    if from_zip:
        download.unpack(zips, target)
    else:
        download.download(target)
    for what, count in download.verify(target).items():
        typer.echo(f"{what}: {count}")
    typer.echo(f"use it with: carvana run -f notebooks/params/protocol.yaml -p data_dir {target.resolve()}")


def look_command(
    folder: Annotated[Path, typer.Argument(help="Photos with masks, or with labelme or COCO JSON, in any order.")],
    out: Annotated[Path | None, typer.Option(help="Contact sheet, .jpg; else FOLDER-look.jpg next to it.")] = None,
):
    """Say what a folder of your own holds, and how to adopt it.

    Nothing in it is changed. docs/own-pictures.md goes on from here.
    """
    from carvana_course.adopt import sheet, survey

    picture = out or sheet.default_sheet(folder)
    sheet.check_sheet(picture, folder)
    found = survey.survey_folder(folder)
    for line in found.lines:
        typer.echo(line)
    if not found.pairs:
        raise DataError(found.fault())
    typer.echo(f"adopt it with: {found.command(Path('data') / folder.resolve().name)}")
    try:
        sheet.write_sheet(found, picture)
    except RunError as error:
        raise RunError(f"{error}, or name another for the contact sheet with --out") from None
    typer.echo(f"check first that the masks lie on their objects: {picture}")


def adopt_command(
    images: Annotated[Path, typer.Option(help="Folder of photos, with all folders in it.")],
    masks: Annotated[Path, typer.Option(help="Folder of masks or labelme JSON, perhaps the same; or a COCO file.")],
    target: Annotated[Path, typer.Option(help="New folder for train/, train_masks/ and names.csv.")],
    group: Group = "",
    colour: Colour = "",
    threshold: Threshold = None,
    classes: Classes = (),
):
    """Convert your own photos and masks into the course's layout.

    'carvana look FOLDER' says which options fit. What is left out has its reason in names.csv.
    """
    from carvana_course.adopt.convert import adopt_folder

    for line in adopt_folder(images, masks, target, group, colour, threshold, tuple(classes)).lines():
        typer.echo(line)
