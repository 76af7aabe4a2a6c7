"""Tiny made-up results for the tests of the evidence's tables, targets and report."""


def played(
    method="ours",
    dice=((0.5,), (0.6,), (0.7,)),
    *,
    dataset="nuclei",
    situation="own errors",
    name="a",
    half="report",
    robot="stroke",
    names=None,
    harm=(0, 0, 0, 0, 0),
    **rounds,
):
    """One stored result: `dice` has one tuple for every round (the start first), with one value for every class.

    What stands in `rounds` is the same in every round after the start: strokes, user_seconds, others_ml, ...
    """
    usual = {"strokes": 2, "voxels": 20, "user_seconds": 10.0, "machine_seconds": 0.5, "cpu_seconds": 0.5}
    usual |= {"disobeyed": 0, "harm_ml": list(harm), "others_ml": 0.0} | rounds
    start = {key: [0.0] * 5 if key == "harm_ml" else 0 for key in usual}
    return {
        "dataset": dataset,
        "situation": situation,
        "name": name,
        "half": half,
        "method": method,
        "names": names or {str(i): f"class {i}" for i in range(1, len(dice[0]) + 1)},
        "rounds": [
            {**(usual if number else start), "dice": {str(i): value for i, value in enumerate(values, start=1)}}
            for number, values in enumerate(dice)
        ],
        "robot": robot,
        "version": "2/1",
    }


def curve(*values):
    """Dice of a single class after every round, the start first."""
    return tuple((value,) for value in values)


def rows_of(table):
    """The cells of a Markdown table, by the first cell of their row, without the header."""
    lines = table.strip().splitlines()[2:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {row[0]: row[1:] for row in cells}


def header_of(table):
    """The cells of a table's header."""
    return [cell.strip() for cell in table.splitlines()[0].strip("|").split("|")]
