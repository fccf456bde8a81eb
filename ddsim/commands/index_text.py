"""What `ddsim index` prints: what a run did, what it would do, and what the check at its end found."""

from __future__ import annotations

from ddsim.catalogue import Kind, Survey
from ddsim.commands.common import Typed, out, print_json
from ddsim.config import Settings
from ddsim.indexing import Audit, IndexReport
from ddsim.routing import Learned
from ddsim.search import Outlook
from ddsim.showing import counted, printable
from ddsim.vectors import recalled

_MET = {
    Kind.LITTER: "passed over as litter of machines",
    Kind.HIDDEN: "passed over as hidden",
    Kind.EXCLUDED: "passed over by patterns",
    Kind.LOOSE: "passed over beside the category folders",
    Kind.CIRCLES: "passed over as links in a circle, or to a folder that was followed before",
    Kind.LINKS: "links to folders followed",
    Kind.ODD: "tried though their endings are not of pictures",
    Kind.REPEATED: "rows passed over, whose uri an earlier row has with something else",
}
_ALWAYS = ("new", "changed", "vanished", "touched", "unchanged")
_SOMETIMES = {"waiting": "left to do by an earlier run", "failed": "failed before"}
_SHOWN = 20


def print_report(settings: Settings, report: IndexReport, typed: Typed) -> None:
    """Print what a run did, what it could not index, and what the check at its end found."""
    rate = report.sent / report.seconds if report.seconds else 0.0
    out.print(
        f"{counted(report.indexed, 'picture is', 'pictures are')} indexed "
        f"({report.home}, {report.dimension} values each); "
        f"{report.sent} sent in {report.seconds:.1f} s ({rate:.0f}/s)"
    )
    if report.reused:
        pictures = counted(report.reused, "picture", "pictures")
        out.print(f"  {pictures} not sent: their content was known, and their vectors with it")
    told = [f"{report.changes.get(word, 0)} {word}" for word in _ALWAYS]
    told += [f"{report.changes[word]} {words}" for word, words in _SOMETIMES.items() if report.changes.get(word)]
    out.print("  " + ", ".join(told))
    _print_survey(report.survey)
    if report.compared_anew:
        out.print(
            f"  vectors are compared in another way than before ({report.compared_anew}): distances and scores of "
            "pictures indexed before are others now; nothing of them was sent again",
            markup=False,
        )
    if report.approximate:
        out.print(f"  {recalled(report.approximate)}", markup=False)
    if report.twins:
        out.print(f"  {counted(report.twins, 'group')} of pictures with the same content under several names")
    if report.tombstones > settings.index.max_tombstones:
        share = f"  {report.tombstones:.0%} of the index belongs to removed or replaced pictures and slows it down. "
        out.print(typed.completed(f"{share}`ddsim index --rebuild` clears it out."), markup=False)
    for warning in report.warnings:
        out.print("  [yellow]warning:[/] ", end="")
        out.print(printable(typed.completed(warning)), markup=False)
    if report.failures:
        out.print(f"[yellow]{len(report.failures)} could not be indexed[/], listed in {report.failures_file}:")
        for failure in report.failures[:_SHOWN]:
            out.print(f"  {printable(failure.uri)}: {printable(failure.reason)}", markup=False)
        if len(report.failures) > _SHOWN:
            out.print(f"  ... and {len(report.failures) - _SHOWN} more")
    if report.learned is not None and report.learned.items:
        _print_learned(settings, report.learned)
    if report.audit is not None:
        print_audit(report.audit, typed)


def _print_learned(settings: Settings, learned: Learned) -> None:
    who = ""
    if learned.weight is not None:
        other = "trained classifier" if settings.trained else "classification service"
        who = f"; categories: {learned.weight:.0%} {other}, {1 - learned.weight:.0%} neighbours"
    out.print(f"scores learned from {counted(learned.items, 'picture')}{who}", markup=False)


def print_audit(audit: Audit, typed: Typed) -> None:
    """Print how many pictures were checked, or what is wrong."""
    if audit.passed and audit.checked:
        out.print(f"audit: {counted(audit.checked, 'picture')} checked, all found", markup=False)
    for problem in audit.problems:
        out.print("[red]audit:[/] ", end="")
        out.print(printable(typed.completed(problem)), markup=False)


def show_outlook(outlook: Outlook, json: bool, typed: Typed) -> None:
    """Print what a run would do."""
    counts = {change.value: count for change, count in outlook.changes.items()}
    if json:
        met = {"met": outlook.survey.to_dict(), "unreadable": outlook.survey.shut}
        print_json({"changes": counts, **met, "stops": outlook.stop})
        return
    for word, count in counts.items():
        out.print(f"{count:8d} {word}")
    for uri, reason in sorted(outlook.survey.shut.items()):
        out.print(f"unreadable: {printable(uri)}: {printable(reason)}", markup=False)
    _print_survey(outlook.survey)
    if outlook.stop:
        out.print("[yellow]A run would stop:[/] ", end="")
        out.print(printable(typed.completed(outlook.stop)), markup=False)


def _print_survey(survey: Survey) -> None:
    for kind, words in _MET.items():
        if tally := survey.met.get(kind):
            names = ", ".join(map(printable, tally.examples)) + (", ..." if tally.count > len(tally.examples) else "")
            out.print(f"  {tally.count} {words}: {names}", markup=False)
