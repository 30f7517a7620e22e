// Everything that is dropped anywhere on the page, folders too, goes the way of the upload box; nothing that is dropped
// takes the page away. What is too large is refused before it is sent. `props.value` is the panel with words.

const WORDS = LINES;
const LIMITS = SIZES;
const STRAY = /^(\.|__MACOSX$|Thumbs\.db$|desktop\.ini$)/i;
const box = () => document.querySelector("#scan-upload input[type=file]");
const say = (name, number = "") => { props.value = WORDS[name].replace("{}", String(number)); };
const megabytes = (bytes) => Math.round(bytes / 1048576).toString();

/** Whether files were refused, in words on the panel. */
function refused(files) {
  const sizes = files.map((file) => file.size);
  const all = sizes.reduce((sum, one) => sum + one, 0);
  const largest = Math.max(0, ...sizes);
  if (files.length > LIMITS.count) say("COUNT", files.length);
  else if (largest > LIMITS.file) say("FILE", megabytes(largest));
  else if (all > LIMITS.all) say("ALL", megabytes(all));
  else return false;
  return true;
}

/** Files under what was dropped, by path and in the order in which people count; no more than would be refused. */
async function filesUnder(entries) {
  const found = [];
  const visit = async (entry) => {
    if (STRAY.test(entry.name) || found.length > LIMITS.count) return;
    if (entry.isFile) {
      const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
      found.push({ path: entry.fullPath, file });
      return;
    }
    const reader = entry.createReader();
    for (;;) {
      // A reader gives a hundred at a time, and none when there are no more.
      const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
      if (!some.length) return;
      for (const one of some) await visit(one);
    }
  };
  for (const entry of entries) await visit(entry);
  const { compare } = new Intl.Collator("en", { numeric: true });
  return found.sort((one, other) => compare(one.path, other.path)).map((one) => one.file);
}

/** Give files to the upload box, as if they had been chosen there. */
function give(files) {
  if (!files.length) return say("EMPTY");
  if (refused(files)) return;
  const input = box();
  if (!input) return say("BUSY");
  const transfer = new DataTransfer();
  for (const file of files) transfer.items.add(file);
  input.files = transfer.files;
  input.dispatchEvent(new Event("change", { bubbles: true }));
}

/** Whether it is a picture of the page itself that is dragged, which browsers give as a file too. */
let ours = false;
document.addEventListener("dragstart", () => { ours = true; }, true);
// A picture that goes away while it is dragged ends nothing here; but no pointer moves before the drag is over.
for (const name of ["dragend", "pointermove"]) document.addEventListener(name, () => { ours = false; }, true);
const carriesFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
/** Another box on the page that takes files of its own, such as the leaderboard's. */
const elsewhere = (event) => event.target.closest?.("#board-file");
const dropping = (is) => document.body.classList.toggle("dropping", is);

async function dropped(event) {
  dropping(false);
  if (!carriesFiles(event)) return;
  event.preventDefault();
  if (ours || elsewhere(event)) return;
  event.stopImmediatePropagation();
  const items = [...event.dataTransfer.items].filter((item) => item.kind === "file");
  // Both must be asked for before anything is waited for: a drop's data are gone afterwards.
  const entries = items.map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  const plain = [...event.dataTransfer.files];
  if (!element.checkVisibility()) document.querySelector("[role=tab]")?.click();
  if (!entries.some((entry) => entry.isDirectory)) return give(plain);
  say("COLLECTING");
  try {
    give(await filesUnder(entries));
  } catch {
    say("UNREADABLE");
  }
}

/** Entering is answered as well: where the page changes under a resting pointer, browsers ask by that alone, and open
 * what is dropped in the page's place where the answer was no. */
function over(event) {
  if (!carriesFiles(event)) return;
  event.preventDefault();
  if (ours) { event.dataTransfer.dropEffect = "none"; return; }
  event.dataTransfer.dropEffect = "copy";
  if (elsewhere(event)) return dropping(false);
  dropping(true);
}

function chosen(event) {
  const input = event.target;
  if (input.id === "scan-folder") {
    const files = [...input.files].filter((file) => !file.webkitRelativePath.split("/").some((one) => STRAY.test(one)));
    const { compare } = new Intl.Collator("en", { numeric: true });
    give(files.sort((one, other) => compare(one.webkitRelativePath, other.webkitRelativePath)));
    input.value = "";
    return;
  }
  if (!input.closest?.("#scan-upload")) return;
  const files = [...(input.files ?? [])];
  if (refused(files)) {
    event.stopImmediatePropagation();
    input.value = "";
  } else if (files.length) say("SENDING", `${files.length === 1 ? "1 file" : `${files.length} files`}, ${
    megabytes(files.reduce((sum, file) => sum + file.size, 0))} MB`);
}

for (const name of ["dragenter", "dragover"]) document.addEventListener(name, over, true);
document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) dropping(false); }, true);
document.addEventListener("drop", dropped, true);
document.addEventListener("change", chosen, true);

// A link to the answer, in the part of the address that browsers send to nobody.
const secretOf = (hash) => new URLSearchParams(hash.slice(1)).get("scan") ?? "";
let linked = secretOf(location.hash);
window.hemobench = {
  linked: () => linked,
  /** The page now shows the answer of this request, or of none. */
  link(secret) {
    if (secret === linked) return;
    const address = location.pathname + location.search + (secret ? `#scan=${secret}` : "");
    // The first answer is a step that Back can undo; later ones take its place.
    if (linked) history.replaceState(history.state, "", address);
    else history.pushState(history.state, "", address);
    linked = secret;
  },
};
window.addEventListener("hashchange", () => {
  const secret = secretOf(location.hash);
  if (secret === linked) return;
  // Back from an answer keeps it; the next one leaves the page. Another answer's link opens that one.
  if (!secret) history.replaceState(history.state, "", `${location.pathname}${location.search}#scan=${linked}`);
  else location.reload();
});
// On a phone the panel is below the examples: whoever asks for a scan is brought to it.
watch("value", () => {
  const asked = element.querySelector(".status.busy, .status.sending");
  if (asked && window.innerWidth <= 900) element.scrollIntoView({ block: "start" });
});
