"""Write the report: Markdown, figures and one CSV; the same results give the same bytes."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path

from Testing.evidence import pages, plots, summary, tables, targets
from Testing.evidence.case import Spot
from Testing.evidence.experiments import EXPERIMENTS, Experiment
from Testing.evidence.method import Method
from Testing.evidence.robot_user import RobotUser
from Testing.evidence.summary import FULL_CT, OURS, Result, is_ours

#: Libraries whose version may change a result.
LIBRARIES = (
    "torch", "numpy", "scipy", "scikit-image", "scikit-learn", "opencv-python-headless", "PyMaxflow", "FastGeodis",
    "vtk", "slicer-core", "matplotlib",
)  # fmt: skip
#: Written by hand: what was found, and why a target was missed. Stands first in the report.
FINDINGS = Path(__file__).with_name("findings.md")

QUESTION = """\
After a network has segmented a scan, and partly wrongly, how good does it become with a few strokes, and what else
changes meanwhile? This report plays the questions of Sambaturu et al. (MICCAI 2021) on real data: our method, their
Algorithm 1, and every method that they compared, under the same robot user. All its numbers were computed by the
commands [below](#reproduce-it); none are copied from the paper.
"""

PROTOCOL = """\
* **Cases.** The networks never saw them. Scans are averaged to a coarser grid where needed so that every method ends in
  minutes; all methods see the same grid. *own errors*: what a good network gets wrong (hippocampus: its worst cases);
  *weak network*: a badly trained one; *degraded*: scans made unlike the training (inversion, gamma, blur and noise,
  bias field, thick slices; the CT: shifted intensities and noise); *missing label*: the network lacks a class that
  should be there; *new organ*: a class it never knew; *from scratch*: no network at all, an empty segmentation.
* **Two halves.** Settings were chosen on the *tune* half only; everything here is the *report* half, except
  [one page](tuning.md) that says otherwise. There is one CT patient and it stands in the report half, though our
  method was developed on this very scan: read its rows with that in mind.
* **Robot user.** It knows the truth. Each round it draws at most one stroke per class, background included, along the
  middle of the class's largest error (on the CT: three strokes in the organ's largest missed and false parts). Every
  method gets strokes on its own errors. Details, and how the user's time is estimated: [methods](methods.md).
* **Same enforcement.** After every round all strokes so far are painted over every method's answer, the latest winning.
* **Measures.** Dice of the classes with known truth, mean over classes, then mean over cases, ± sample standard
  deviation over cases. A class absent from truth and result does not count. Seconds are wall time on one thread, the
  preparation in the first round; other programs ran at the same time, so compare orders of magnitude only.
"""

LIMITS = """\
* A robot is no radiologist: it draws in the largest error, never slips and never hesitates.
* Few patients: one CT, three MR of the abdomen, two brains in the report half. Rows with n below 5 show
  how things can go, not how they go on average.
* The networks are small, except the CT's; the paper's own networks and data sets were not all to be had.
* Baselines are our implementations on kept libraries, under this protocol; [methods](methods.md) says how each differs
  from its original. Methods that segment from seeds alone were given the eroded core of the network's segmentation as
  seeds, which their papers do not have.
* Guided networks (like NuClick and DEXTR) are small and were trained on the few pictures there are.
"""


def versions() -> dict[str, str]:
    """Installed versions of `LIBRARIES`; "-" for what is absent."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = tables.MISSING
    return found


def write_report(
    output: Path,
    results: Sequence[Result],
    methods: Mapping[str, Method],
    overlays: Path | None,
    libraries: Mapping[str, str],
    findings: str = "",
) -> None:
    """Write all files of the report into a folder; pictures of an earlier report that no longer belong there go.

    Args:
        output: is made if need be.
        results: stored ones, in any order.
        methods: in the order of the tables.
        overlays: a folder with PNG files, named like data sets; None or absent: no pictures of cases.
        libraries: versions, for the last lines.
        findings: Markdown that stands first; "" takes `FINDINGS`, where it exists.
    """
    results = sorted(
        results, key=lambda r: tuple(r[k] for k in ("dataset", "situation", "name", "half", "method", "robot"))
    )
    if not findings and FINDINGS.is_file():
        findings = FINDINGS.read_text(encoding="utf-8")
    usual = summary.usual(results)
    plain = [name for name in methods if name == OURS or not is_ours(name)]
    shown = [name for name in plain if any(r["method"] == name for r in usual)]
    usual = [r for r in usual if r["method"] in shown]
    output.mkdir(parents=True, exist_ok=True)
    for old in output.glob("*.png"):
        old.unlink()
    _figures(output, results, usual, shown)
    pictures = sorted(overlays.glob("*.png")) if overlays and overlays.is_dir() else []
    for picture in pictures:
        shutil.copyfile(picture, output / f"case-{picture.name}")
    names = [f"case-{picture.name}" for picture in pictures]
    texts = {
        "README.md": _first_page(results, usual, shown, methods, names, libraries, findings),
        "dice.md": pages.dice_page(usual, shown),
        "effort.md": pages.effort_page(usual, shown),
        "classes.md": pages.classes_page(usual),
        "harm.md": pages.harm_page(usual, shown),
        "ablations.md": pages.ablations_page(results),
        "drawings.md": pages.drawings_page(results, plain),
        "methods.md": pages.methods_page(methods),
        "tuning.md": pages.tuning_page(results, plain),
        "results.csv": pages.results_csv(results),
    }
    for name, text in texts.items():
        (output / name).write_text(text, encoding="utf-8", newline="\n")


def figure_name(dataset: str) -> str:
    """The file of a data set's curves."""
    return f"dice-{dataset.replace(' ', '-')}.png"


def _figures(output: Path, results: Sequence[Result], usual: Sequence[Result], shown: Sequence[str]) -> None:
    for dataset in _datasets(usual):
        plots.plot_dice(output / figure_name(dataset), usual, dataset, shown)
    if any(r["situation"] != "from scratch" for r in usual):
        plots.plot_harm(output / "harm.png", usual, shown)
        plots.plot_time(output / "time.png", usual, shown)
    report_half = [r for r in results if r["half"] == "report" and r["dataset"] != FULL_CT]
    for experiment in EXPERIMENTS.values():
        if experiment.variants:
            path = output / f"{experiment.name}.png"
            plots.plot_ablation(path, report_half, experiment.question, pages.as_rows(experiment.variants))


def _datasets(results: Sequence[Result]) -> list[str]:
    return list(dict.fromkeys(group[0] for group in summary.groups(results)))


def _first_page(
    results: Sequence[Result],
    usual: Sequence[Result],
    shown: Sequence[str],
    methods: Mapping[str, Method],
    pictures: Sequence[str],
    libraries: Mapping[str, str],
    findings: str,
) -> str:
    parts = ["# Evidence\n", QUESTION]
    if findings:
        parts.append(findings.strip() + "\n")
    checked = targets.check(results)
    met, judged = sum(t.met is True for t in checked), sum(t.met is not None for t in checked)
    parts.append("## Targets\n")
    parts.append(f"Set before the results were known; {met} of {judged} that could be judged are met.\n")
    parts.append(targets.targets_table(results))
    parts.append("Classes that lost Dice, one by one: [harm](harm.md).\n")
    over_all = [t for t in targets.check(summary.all_drawings(results)) if t.met is not None]
    if over_all:
        met = sum(t.met for t in over_all)
        parts.append(
            f"With every case drawn in three ways {met} of {len(over_all)} are met (without those of the full CT): "
            "[three ways to draw](drawings.md).\n"
        )
    parts.append("## All data sets together\n")
    parts.append(
        "Every data set and situation counts the same. *best in*: how many of them have their highest mean Dice after "
        "the last round with this method. *worst class drop*: the most Dice that any class of any case ever lost since "
        "the start. *>10 mm away*: what was right at the start and is wrong in the case's worst round, farther than "
        "10 mm from every stroke.\n"
    )
    parts += pages.together(usual, shown)
    parts.append("## Dice after one → after all interactions\n")
    parts.append(
        "Bold: the best of its column among methods with all cases. Every round: [Dice](dice.md); every class: "
        "[classes](classes.md); rounds, strokes and seconds to 0.90 and 0.95: [effort](effort.md).\n"
    )
    for dataset in _datasets(usual):
        parts += [f"### {dataset}\n", tables.overview_table(usual, dataset, shown)]
        parts.append(f"![Dice after every interaction, {dataset}]({figure_name(dataset)})\n")
    parts += ["### The claims of the paper's Table 1, for our method\n", pages.claims_table(usual)]
    parts.append("Points, boxes and strokes: [ablations](ablations.md#strokes-points-or-boxes).\n")
    parts += ["### The real CT at full size\n", pages.full_ct_table(results)]
    parts += ["## Harm and time\n", "![Harm by distance](harm.png)\n", "![Dice against time](time.png)\n"]
    parts.append("Numbers: [harm](harm.md), [effort](effort.md). A part left out: [ablations](ablations.md).\n")
    if pictures:
        parts.append("## One case of every data set, the one that starts worst\n")
        parts += [f"![{name}]({name})\n" for name in pictures]
    parts += ["## How it was played\n", PROTOCOL, _cases_table(results)]
    parts += ["## Methods\n", _methods_table(usual, methods), "In full: [methods](methods.md).\n"]
    parts += ["## Limits\n", LIMITS, "## Reproduce it\n", _commands(results, libraries)]
    return "\n".join(parts)


def _cases_table(results: Sequence[Result]) -> str:
    rows = []
    for group in summary.groups([r for r in results if r["dataset"] != FULL_CT]):
        own = summary.of_group(results, group)
        counts = [len(summary.cases([r for r in own if r["half"] == half])) for half in ("report", "tune")]
        names = sorted({name for r in own for name in r["names"].values()})
        rows.append([*group, ", ".join(names), *(str(c) if c else tables.MISSING for c in counts)])
    return tables.markdown(["data set", "situation", "scored classes", "report", "tune"], rows, left=3)


def _methods_table(usual: Sequence[Result], methods: Mapping[str, Method]) -> str:
    total = len({(r["dataset"], r["situation"], r["name"]) for r in usual})
    rows = []
    for name, method in methods.items():
        if name == OURS or not is_ours(name):
            rows.append([name, method.cites or tables.MISSING, f"{sum(r['method'] == name for r in usual)} of {total}"])
    return tables.markdown(["method", "stands for", "cases played"], rows, left=2)


def _minutes(experiment: Experiment, results: Sequence[Result]) -> float:
    """Wall time of the methods in those results of the report half that belong to an experiment."""
    seconds = 0.0
    played = {
        (RobotUser(**choices).key, method)
        for choices, methods in experiment.plays(sorted({r["method"] for r in results}))
        for method in methods
    }
    for r in results:
        spot = Spot(r["dataset"], r["situation"], r["name"], r["half"])
        if (r["robot"], r["method"]) in played and r["half"] == "report" and experiment.wants(spot):
            seconds += sum(one["machine_seconds"] for one in r["rounds"])
    return seconds / 60


def _commands(results: Sequence[Result], libraries: Mapping[str, str]) -> str:
    seconds = sum(one["machine_seconds"] for r in results for one in r["rounds"])
    lines = [
        "`make evidence` plays what is missing and writes this folder. One by one:\n",
        "```",
        "python -m Testing.evidence experiment all --half report --jobs 2",
        "python -m Testing.evidence report --output Docs/evidence",
        "```\n",
        tables.markdown(
            ["experiment", "question", "minutes on two cores, estimated", "methods' minutes in this report"],
            [
                [f"`{e.name}`", e.question, str(e.minutes), tables.amount_text(_minutes(e, results))]
                for e in EXPERIMENTS.values()
            ],
            left=2,
        ),
        "Results are kept in `evidence-output/`, one small file each; what is there is not played again, and an "
        "interrupted run goes on where it stopped. The first five experiments share their results.\n",
        f"The {len(results)} results of this report took {seconds / 60:.0f} minutes of the methods' own time, on one "
        "thread each. Seeds: the robot's is 0 (always the largest error, along its middle), that of every method is "
        "fixed in its module. All stored numbers: [results.csv](results.csv).\n",
        "Versions: " + ", ".join(f"{name} {version}" for name, version in libraries.items()) + ".\n",
    ]
    return "\n".join(lines)
