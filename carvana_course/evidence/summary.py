"""What a visitor may quote: five sentences on the results, each computed from the JSONs."""

from carvana_course.evidence import transfer
from carvana_course.evidence.document import DOCUMENT_RESULTS
from carvana_course.evidence.paired import Gain, compare
from carvana_course.evidence.recipe import RECIPE_STEPS, step_gains
from carvana_course.evidence.results import mean_interval, scores_by_seed, seeds_in_words
from carvana_lib import RunError

SIGNIFICANT = 0.05
SPOKEN_OF = ["protocol-full", "best-batch-2-full", "best-batch-2-full-20", *RECIPE_STEPS]
SPOKEN_OF += [net.format("all") for net in transfer.NETS.values() if "pretrained" not in net]


def sentences() -> list[str]:
    """The five, in Markdown. Raises RunError where one of the experiments that they speak of is missing."""
    for name in SPOKEN_OF:
        if len(scores_by_seed(name)) == 0:
            raise RunError(f"results/ has no {name}; run 'carvana experiment results/params/{name}.yaml'")
    return [of_protocol(), of_recipe(), of_ingredients(), of_pretraining(), of_validation()]


def listed(scores) -> str:
    """'0.9814, 0.9815 and 0.9723'."""
    *others, last = scores.map("{:.4f}".format)
    return f"{', '.join(others)} and {last}" if others else last


def interval(gain: Gain) -> str:
    """'+0.0131 (95 % interval +0.0078 to +0.0185)'."""
    return f"{gain.mean:+.4f} (95 % interval {gain.low:+.4f} to {gain.high:+.4f})"


def of_protocol() -> str:
    """Does the document's recipe give its test score?"""
    scores = scores_by_seed("protocol-full")
    return (
        f"The document's recipe, at its full size, reaches a test mIoU of {listed(scores)} on {len(scores)} splits "
        f"(median {scores.median():.4f}), and the document reports {DOCUMENT_RESULTS['test_miou']:.4f}: "
        "its test score is plausible."
    )


def of_recipe() -> str:
    """What the better recipe reaches with the same net, pictures and epochs, and in four times as many."""
    scores = scores_by_seed("best-batch-2-full")
    low, high = mean_interval(scores)
    longer = scores_by_seed("best-batch-2-full-20")
    return (
        f"The same net with the same photos and five epochs reaches {scores.mean():.4f} (95 % interval over "
        f"{len(scores)} seeds {low:.4f} to {high:.4f}) with a better recipe, and {listed(longer)} in 20 epochs "
        f"({seeds_in_words(longer)})."
    )


def of_ingredients() -> str:
    """Which ingredients stand after Holm's correction."""
    gains = step_gains()
    seeds = min(gain.seeds for gain, _ in gains.values())
    stand = {name: gain for name, (gain, p) in gains.items() if p < SIGNIFICANT}
    said = " and ".join(f"{RECIPE_STEPS[name].removeprefix('+ ')}, {interval(gain)}" for name, gain in stand.items())
    return (
        f"Of that recipe's {len(gains)} ingredients {len(stand)} stand at the 5 % level with {seeds} seeds, "
        f"corrected for as many looks: {said or 'none'}."
    )


def of_pretraining() -> str:
    """What ImageNet is worth, beside the same net and beside the course's."""
    full = transfer.CAR_COUNTS[190]
    gain = compare(
        transfer.NETS["encoder, after ImageNet"].format(full), transfer.NETS["encoder, random weights"].format(full)
    )
    lead = compare(
        transfer.NETS["encoder, after ImageNet"].format(full), transfer.NETS["U-Net, random weights"].format(full)
    )
    return (
        f"ImageNet adds {interval(gain)} to the same net from random weights, with all 190 training cars; "
        f"compared with the course's small U-Net it is {interval(lead)}."
    )


def of_validation() -> str:
    """Is the document's validation score what its recipe gives?"""
    scores = scores_by_seed("protocol-full", "val_miou")
    return (
        f"The document's validation score, {DOCUMENT_RESULTS['val_miou']:.4f}, is not what its recipe gives: "
        f"here it is {listed(scores)}."
    )
