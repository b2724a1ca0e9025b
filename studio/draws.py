"""Drawing cars at random, but balanced: kinds, paints, makes and small parts are dealt out, not diced."""

from dataclasses import replace

import numpy as np

from studio.car import KINDS, MAKES, MODELS, PAINTS, drawing


def stratified_kinds(count, rng):
    """`count` body kinds, each as often as the others (within one), in random order."""
    kinds = [kind for _ in range(-(-count // len(KINDS))) for kind in rng.permutation(KINDS)]
    return [str(kind) for kind in rng.permutation(kinds[:count])]


def stratified_paints(kinds, rng):
    """One paint for each car: the shares of PAINTS by largest remainder, each paint spread over the kinds."""
    count, names = len(kinds), list(PAINTS)
    ideal = np.array([PAINTS[name][0] for name in names]) * count
    cars_of = np.floor(ideal).astype(int)
    for name_index in np.argsort(cars_of - ideal, kind="stable")[: count - cars_of.sum()]:
        cars_of[name_index] += 1
    by_paint = [name for name, cars in zip(names, cars_of, strict=True) for _ in range(cars)]
    by_kind = sorted(range(count), key=lambda car: kinds[car])
    step = next(step for step in range(max(1, round(0.382 * count)), 2 * count + 2) if np.gcd(step, count) == 1)
    start = int(rng.integers(count))
    paints = [""] * count
    for place, paint in enumerate(by_paint):
        paints[by_kind[(start + place * step) % count]] = paint
    return paints


def draw_cars(count, seed):
    """`count` cars whose kinds, paints, makes and small parts are balanced; the same for the same seed."""
    rng = np.random.default_rng([seed, 1])
    kinds = stratified_kinds(count, rng)
    paints = stratified_paints(kinds, rng)
    makes = [name for _ in range(-(-count // len(MAKES))) for name in rng.permutation(list(MAKES))]
    seen = dict.fromkeys(KINDS, int(rng.integers(2)))
    cars = []
    for index, (kind, paint) in enumerate(zip(kinds, paints, strict=True)):
        cars.append(draw_car(kind, paint, str(makes[index]), seen[kind], np.random.default_rng([seed, 2, index])))
        seen[kind] += 1
    return cars


def draw_car(kind, paint, make, number, rng):
    """One car of a kind; `number` counts the cars of this kind and alternates the small parts."""
    spec = vary_proportions(drawing(kind), rng)
    spec = add_small_parts(spec, number, rng)
    grille, lamps, tail_lamps = MAKES[make]
    _, colour, metallic = PAINTS[paint]
    shade = rng.uniform(0.9, 1.08) * rng.uniform(0.98, 1.02, 3)
    return replace(
        spec,
        make=make,
        model=f"{MODELS[kind]} {rng.integers(2, 8)}",
        year=int(rng.integers(2012, 2025)),
        grille=grille,
        lamps=lamps,
        tail_lamps=tail_lamps,
        grille_size=float(rng.uniform(0.42, 0.58)),
        wheel_style=str(rng.choice(["spokes", "double", "mesh", "blades", "steel"], p=[0.3, 0.25, 0.2, 0.15, 0.1])),
        spokes=int(rng.choice([5, 5, 6, 7, 8, 10])),
        rim_finish=str(rng.choice(["rim", "rim", "dark_rim"])),
        window_tint=float(rng.choice([0.78, 0.66, 0.5, 0.3])),
        steer_degrees=float(rng.normal(0, 3)),
        privacy_glass=bool(rng.random() < (0.65 if kind in ("suv", "van", "pickup", "wagon") else 0.2)),
        chrome=bool(rng.random() < 0.45),
        painted_mirrors=bool(rng.random() < 0.7),
        dark_roof=bool(rng.random() < 0.15 and kind not in ("pickup", "van")),
        paint=paint,
        colour=tuple(float(value) for value in np.clip(np.array(colour) * shade, 0.006, 0.83)),
        metallic=metallic,
    )


def vary_proportions(spec, rng):
    """The kind's drawing, stretched by a per cent or two along the car, its heights moved a little."""
    stretch = float(np.clip(rng.normal(1, 0.014), 0.975, 1.025))
    lengths = ("length", "wheelbase", "front_overhang", "cowl", "roof_front", "roof_rear", "screen_foot")
    changes = {name: getattr(spec, name) * stretch for name in lengths}
    spread = {
        "height": 0.018,
        "width": 0.012,
        "nose_height": 0.015,
        "hood_height": 0.012,
        "deck_height": 0.012,
        "tumblehome": 0.015,
        "wheel_radius": 0.006,
        "nose_lean": 0.015,
        "roof_rear": 0.04,
    }
    for name, sigma in spread.items():
        changes[name] = changes.get(name, getattr(spec, name)) + float(
            np.clip(rng.normal(0, sigma), -2 * sigma, 2 * sigma)
        )
    changes["arch_radius"] = spec.arch_radius + changes["wheel_radius"] - spec.wheel_radius
    changes["pillars"] = tuple(pillar * stretch for pillar in spec.pillars)
    changes["front_squareness"] = spec.front_squareness + float(rng.uniform(-0.2, 0.4))
    return replace(spec, **changes)


def add_small_parts(spec, number, rng):
    """Roof rack, antenna, spoiler and tow hook: every second car of the kinds that wear them."""
    even = number % 2 == 0
    rods = {"pickup": "rod", "van": "rod", "hatchback": "whip", "suv": "fin", "wagon": "fin"}
    antenna = rods.get(spec.kind, "fin") if even else str(rng.choice(["fin", "whip", "none"]))
    return replace(
        spec,
        rack=spec.kind in ("suv", "wagon", "van") and even,
        antenna=antenna,
        spoiler=(spec.kind == "coupe" and even) or (spec.kind in ("hatchback", "sedan") and number % 3 == 1),
        tow_hook=spec.kind in ("pickup", "suv", "wagon") and number % 3 != 2,
        panel_van=spec.kind == "van" and not even,
    )
