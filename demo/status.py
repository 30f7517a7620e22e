"""What the page says of a request: one panel that stays, in words and in HTML. Knows nothing of Gradio."""

from __future__ import annotations

from html import escape

from demo.privacy import KEEP_S
from hemobench.inference.report import UNLIKE, StudyReport
from hemobench.inference.study_sentence import verdict_of, worth_in_words

KEPT = f"{KEEP_S // 60} minutes"
WELCOME = (
    "Drop a scan anywhere on this page: a DICOM folder, files or a zip, NIfTI, MGZ, npz, or PNG and JPEG slices. It "
    f"stays on this server, without its name, for {KEPT}, and is then deleted."
)
# In one line on a laptop, so that the picture below is whole.
ARRIVED = (
    f"An example, so that there is something to look at. Drop a scan anywhere on this page; it is deleted after {KEPT}."
)
DEFECT = (
    "Something went wrong here, and not with you. Nothing of the scan was kept in a log. Please try again, and if it "
    "goes wrong again, tell this page's owner the time."
)
WAITING = "Your scan has arrived."
NOTHING = "There is no scan to analyse. Drop one, or choose an example."
NOTHING_THERE = "There is nothing to delete."
DELETED = "Deleted: the scan and everything made of it."
GONE = f"The scan of this link is not here any more: it was deleted, or its {KEPT} are over."


def panel(words: str, kind: str = "idle", remarks: tuple[str, ...] = (), title: str = "Not analysed") -> str:
    """HTML of the panel. `kind`: idle, sending, busy, done, refused (which screen readers speak at once) or failed; the
    last two begin with the title."""
    wrong = kind in ("refused", "failed")
    role = "alert" if wrong else "status"
    heading = f"<strong>{escape(title)}</strong> " if wrong else ""
    lines = "".join(f'<p class="remark">{escape(one)}</p>' for one in remarks)
    return f'<div class="status {kind}" role="{role}"><p>{heading}{escape(words)}</p>{lines}</div>'


def answered(report: StudyReport, remarks: tuple[str, ...] = (), note: str = "") -> str:
    """The panel for an answer: its sentence leads, in the colour of its grade; what such an answer is worth, where that
    was measured, stands beneath, and `note` below. What is no head is an alert, which screen readers speak at once. Who
    computed it is the viewer's to say."""
    said, worth = verdict_of(report), worth_in_words(report)
    lines = [(kind, line) for kind, line in (("worth", worth), ("note", note)) if line]
    lines += [("remark", one) for one in remarks]
    below = "".join(f'<p class="{kind}">{escape(line)}</p>' for kind, line in lines)
    grade = f" {said.grade}" if said.grade else ""
    role = "alert" if said.grade == UNLIKE else "status"
    return f'<div class="status done{grade}" role="{role}"><p class="answer">{escape(said.sentence)}.</p>{below}</div>'


def refused(line: str, title: str = "Not analysed") -> str:
    """The panel for a refusal: what came, what was expected, what to do, a sentence each."""
    parts = [part.strip() for part in line.split(";") if part.strip()]
    sentences = " ".join(f"{part[:1].upper()}{part[1:].rstrip('.')}." for part in parts)
    return panel(sentences, "refused", title=title)
