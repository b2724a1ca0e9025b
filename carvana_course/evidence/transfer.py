"""What an encoder that has seen ImageNet is worth on real photographs, from the JSONs in results/.

Two nets of one seed are scored on the same test cars, and compared as `paired` does.
"""

import pandas as pd

from carvana_course.evidence.paired import compare, gains_by_car
from carvana_course.evidence.results import experiment_link, scores_by_seed

CAR_COUNTS = {3: "003", 13: "013", 63: "063", 190: "all"}  # training cars, and how the experiments call them
NETS = {  # what is trained -> the experiment, for a number of cars
    "U-Net, random weights": "cars-{}-small",
    "U-Net, after the sample": "cars-{}-pretrained-small",
    "encoder, random weights": "lite0-random-{}-small",
    "encoder, after ImageNet": "lite0-{}-small",
    "encoder, after ImageNet and the sample": "lite0-{}-pretrained-small",
}


def pretraining_gains() -> pd.DataFrame:
    """The encoder after ImageNet beside the same encoder from random weights: cars, seeds, random, ImageNet, gain, low,
    high. Rows of what was trained; scores are means over seeds.
    """
    rows = []
    for cars, part in CAR_COUNTS.items():
        name = NETS["encoder, after ImageNet"].format(part)
        other = NETS["encoder, random weights"].format(part)
        found = compare(name, other)
        if found is None:
            continue
        scores = [scores_by_seed(one)[list(gains_by_car(name, other))].mean() for one in (other, name)]
        rows.append((cars, found.seeds, *scores, found.mean, found.low, found.high))
    return pd.DataFrame(rows, columns=["cars", "seeds", "random", "ImageNet", "gain", "low", "high"])


def starts() -> pd.DataFrame:
    """Test mIoU by number of training cars and by what is trained: cars, net, experiment, seeds, test_miou, the mean
    over seeds.
    """
    rows = []
    for net, pattern in NETS.items():
        for cars, part in CAR_COUNTS.items():
            scores = scores_by_seed(pattern.format(part))
            if len(scores):
                rows.append((cars, net, experiment_link(pattern.format(part)), len(scores), scores.mean()))
    return pd.DataFrame(rows, columns=["cars", "net", "experiment", "seeds", "test_miou"])


def lead_by_seed(net: str, other: str, cars: int) -> pd.Series:
    """How far one of NETS is ahead of another with so many training cars, for the seeds that both have."""
    part = CAR_COUNTS[cars]
    return (scores_by_seed(NETS[net].format(part)) - scores_by_seed(NETS[other].format(part))).dropna()


def leads(net: str = "encoder, after ImageNet", other: str = "U-Net, random weights") -> pd.DataFrame:
    """How far one of NETS is ahead of another: cars, seeds, lead, the mean over the seeds that both have."""
    rows = []
    for cars in CAR_COUNTS:
        lead = lead_by_seed(net, other, cars)
        if len(lead):
            rows.append((cars, len(lead), lead.mean()))
    return pd.DataFrame(rows, columns=["cars", "seeds", "lead"])


def pretraining_table() -> pd.DataFrame:
    """`pretraining_gains` as text, with its interval in one column."""
    gains = pretraining_gains()
    intervals = [f"{low:+.4f} to {high:+.4f}" for low, high in zip(gains["low"], gains["high"], strict=True)]
    table = gains[["cars", "seeds"]].copy()
    table["random weights"] = gains["random"].map("{:.4f}".format)
    table["after ImageNet"] = gains["ImageNet"].map("{:.4f}".format)
    table["gain"] = gains["gain"].map("{:+.4f}".format)
    table["95 % interval"] = intervals
    return table


def starts_table() -> pd.DataFrame:
    """`starts` with a row a net and a column a number of cars, as text; how many seeds stands in brackets."""
    rows = starts()
    rows["score"] = [f"{score:.4f} ({seeds})" for score, seeds in zip(rows["test_miou"], rows["seeds"], strict=True)]
    return rows.pivot(index="net", columns="cars", values="score").reindex(NETS).fillna("").reset_index()
