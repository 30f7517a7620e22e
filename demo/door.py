"""How scans come in by the browser: the script for drops and uploads, and its words. Knows nothing of Gradio."""

from __future__ import annotations

import json
from pathlib import Path

from demo.limits import MIB, MOST_BYTES, MOST_FILE_BYTES, MOST_FILES
from demo.status import panel

FOLDER_CHOICE = (
    '<label class="folder-choice"><input type="file" id="scan-folder" webkitdirectory />'
    "<span>Choose a folder</span></label>"
)
# From the first moment, until the panel's own script is there: browsers open what is dropped in the page's place.
GUARD = """<script>
for (const name of ["dragenter", "dragover", "drop"]) {
  window.addEventListener(name, (event) => {
    if (![...(event.dataTransfer?.types ?? [])].includes("Files")) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = "none";
  }, true);
}
</script>"""
_SCRIPT = Path(__file__).with_name("door.js")


def door_script() -> str:
    """Script of the panel: takes drops and uploads, refuses what is too large before it is sent, keeps the link."""
    most, most_in_all = f"{MOST_FILE_BYTES // MIB} MB", f"{MOST_BYTES // MIB} MB"
    lines = {
        "FILE": panel(f"A file of {{}} MB. Expected at most {most}. Crop or compress it.", "refused"),
        "ALL": panel(f"{{}} MB in all. Expected at most {most_in_all}. Give the head series alone.", "refused"),
        "COUNT": panel(f"{{}} files. Expected at most {MOST_FILES}. Give the head series alone, or a zip.", "refused"),
        "EMPTY": panel("A folder without files. Expected a scan. Give the folder that the files lie in.", "refused"),
        "UNREADABLE": panel("The folder cannot be read by this browser. Give its files, or a zip of it.", "refused"),
        "BUSY": panel("Another scan is on its way. Wait until it has arrived, and give this one again.", "refused"),
        "COLLECTING": panel("Looking into the folder.", "sending"),
        "SENDING": panel("Your scan is on its way ({}).", "sending"),
    }
    sizes = {"count": MOST_FILES, "file": MOST_FILE_BYTES, "all": MOST_BYTES}
    text = _SCRIPT.read_text(encoding="utf-8")
    return text.replace("LINES;", f"{json.dumps(lines)};").replace("= SIZES;", f"= {json.dumps(sizes)};")
