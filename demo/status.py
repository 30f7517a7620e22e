"""What the page says of a request: one panel that stays, in words and in HTML. Knows nothing of Gradio."""

from __future__ import annotations

from html import escape

from demo.limits import MIB, MOST_BYTES, MOST_FILE_BYTES, MOST_FILES
from demo.privacy import KEEP_S

KEPT = f"{KEEP_S // 60} minutes"
WELCOME = (
    "DICOM (all files of a series, or a zip of it), NIfTI, MGZ, npz, or one PNG or JPEG at a time. A scan stays on "
    f"this server, without its name, for {KEPT}, and is then deleted."
)
DEFECT = (
    "Something went wrong here, and not with you. Nothing of the scan was kept in a log. Please try again, and if it "
    "goes wrong again, tell this page's owner the time."
)
WAITING = "Your scan has arrived."
NOTHING = "There is no scan to analyse. Drop one, or choose an example."
NOTHING_THERE = "There is nothing to delete."
DELETED = "Deleted: the scan and everything made of it."


def panel(words: str, kind: str = "idle", remarks: tuple[str, ...] = (), title: str = "Not analysed") -> str:
    """HTML of the panel. `kind`: idle, busy, done, refused (which screen readers speak at once) or failed; the last two
    begin with the title."""
    wrong = kind in ("refused", "failed")
    role = "alert" if wrong else "status"
    heading = f"<strong>{escape(title)}</strong> " if wrong else ""
    lines = "".join(f'<p class="remark">{escape(one)}</p>' for one in remarks)
    return f'<div class="status {kind}" role="{role}"><p>{heading}{escape(words)}</p>{lines}</div>'


def refused(line: str, title: str = "Not analysed") -> str:
    """The panel for a refusal: what came, what was expected, what to do, a sentence each."""
    parts = [part.strip() for part in line.split(";") if part.strip()]
    sentences = " ".join(f"{part[:1].upper()}{part[1:].rstrip('.')}." for part in parts)
    return panel(sentences, "refused", title=title)


def guard_script() -> str:
    """Script of the panel: refuses what is too large before it is sent, and says so in the panel."""
    words = {
        "FILE": f"A file of {{}} MB. Expected at most {MOST_FILE_BYTES // MIB} MB. Crop or compress it.",
        "ALL": f"{{}} MB in all. Expected at most {MOST_BYTES // MIB} MB. Upload the head series alone.",
        "COUNT": f"{{}} files. Expected at most {MOST_FILES}. Upload the head series alone, or a zip.",
    }
    text = _GUARD.replace("MOST_FILE_BYTES", str(MOST_FILE_BYTES)).replace("MOST_BYTES", str(MOST_BYTES))
    text = text.replace("MOST_FILES", str(MOST_FILES))
    for name, line in words.items():
        text = text.replace(f"WORDS_{name}", repr(panel(line, "refused")))
    return text


_GUARD = """
const size = (file) => file.size;
const megabytes = (bytes) => Math.round(bytes / 1048576).toString();
function refusal(files) {
  const sizes = files.map(size);
  const all = sizes.reduce((sum, one) => sum + one, 0);
  const largest = Math.max(0, ...sizes);
  if (files.length > MOST_FILES) return WORDS_COUNT.replace("{}", files.length);
  if (largest > MOST_FILE_BYTES) return WORDS_FILE.replace("{}", megabytes(largest));
  if (all > MOST_BYTES) return WORDS_ALL.replace("{}", megabytes(all));
  return "";
}
function guard(event) {
  if (!event.target.closest || !event.target.closest("#scan-upload")) return;
  const list = event.type === "drop" ? event.dataTransfer && event.dataTransfer.files : event.target.files;
  const words = refusal(Array.from(list || []));
  if (!words) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  if (event.type === "change") event.target.value = "";
  props.value = words;
}
document.addEventListener("drop", guard, true);
document.addEventListener("change", guard, true);
"""
