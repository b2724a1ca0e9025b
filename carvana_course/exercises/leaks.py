"""The exercise of notebook 01 on a split that leaks, with the mistakes typical of it."""

import pandas as pd

from carvana_course.exercises.letters import choose_letters

SPLIT_TABLE = pd.DataFrame(
    [
        ("a", "train", "0a1b2c", 3, "Aldora", 97),
        ("b", "train", "5e77f0", 9, "Oskira", 5),
        ("c", "train", "91c4d2", 1, "Fjordan", 88),
        ("d", "train", "c41dd9", 12, "Marvello", 102),
        ("e", "val", "7b30aa", 6, "Cindrell", 113),
        ("f", "val", "e2f815", 14, "Pellandt", 91),
        ("A", "test", "0a1b2c", 11, "Aldora", 118),
        ("B", "test", "3d90ce", 3, "Aldora", 96),
        ("C", "test", "C41DD9", 4, "Marvello", 121),
        ("D", "test", "68ff01", 9, "Oskira", 5),
        ("E", "test", "7b30aa", 13, "Cindrell", 124),
        ("F", "test", "44aa9b", 1, "Fjordan", 88),
        ("G", "test", "aa07e3", 7, "Brisewell", 131),
    ],
    columns=["picture", "part", "car_id", "view", "make", "bits to the most alike other car"],
)


FIND_LEAKS = choose_letters(
    "find_leaks", "ACDE", "ABCDEFG", "picture",
    hints={
        "not A": "A: training has view 3 of the same car.",
        "B": "B: a new car of a known make. That is what the test is to ask for.",
        "not C": (
            "C: look at the car_id of d once more. To a program, capital letters make another name; to you, they do "
            "not."),
        "not D": "D: 5 bits of 256 to a picture elsewhere. It is a copy of b, under the name of another car.",
        "not E": "E: its car is in validation, where settings are chosen. They would be chosen for a test car.",
        "F": "F: the same view and make as c, but 88 bits apart: another car.",
        "G": "G: no car of this make anywhere else. Harder, but no leak.",
        "by name": ("AE",
            "These are the car_ids that are equal to the letter. Two more cars are the same under another name."),
        "training only": ("A", "One car_id is equal to the letter in training; look at validation too, and at "
            "names that are written in another way."),
        "no copy, no capitals": ("AD", "Compare each test car with validation too, and read names slowly."),
        "by make": ("ABCDEF", "Most makes occur in training; what must not occur there is the same *car*."),
        "all": ("ABCDEFG", "Three of them are cars that nothing else in the table shows."),
        "none": ("", "Compare the columns car_id and bits with those of the rows a to f."),
        "the clean ones": ("BFG", "Those are the pictures that do not leak; the others were wanted."),
    },
)
