"""The longer words of the demo, as markdown: how to read a leaderboard, and what the third tab says. No Gradio."""

from __future__ import annotations

from demo.privacy import KEEP_S
from hemobench.inference.overview.style import RESEARCH_ONLY

RESEARCH = RESEARCH_ONLY
REFERENCE_ROW = "outside the ranking, trained on no image"

LEADERBOARD_INTRO = (
    "Which network or tool is better, by how much, and is the difference real. Every entry of a board was scored on "
    "the same test patients; those that were trained for it learnt from the same other patients."
)
LEADERBOARD_DROP = "Your own leaderboard.json"
LEADERBOARD_DROP_WORDS = (
    "Drop the `leaderboard.json` that `python -m hemobench.compare` writes. It is read here, shown to you alone, and "
    f"deleted after {KEEP_S // 60} minutes."
)
LEADERBOARD_HUB_WORDS = (
    "A leaderboard that somebody shared by `python -m hemobench.hub push-board`. What it says, and who measured it, is "
    "that person's word."
)
LEADERBOARD_LEGEND = """
**How to read it**

- A score is the mean over seeds; after ± stands the standard deviation over seeds, below it the 95% interval from
  resampling the test patients, the same resamples for every entry. An arrow shows which way a metric is better.
- Below a rank stand the ranks that the entry has in 95% of the resamples.
- *P(better than next)* is the share of resamples in which an entry beats the one below it: near 50% is a coin toss.
- Entries whose difference the patients do not settle are marked as tied, whatever their order.
- A row in italics stands outside the ranking: it saw no image. A network that does no better has learned nothing from
  one.
- Times are those of the machine that made the board, with whatever else it had to do meanwhile.
- Select a heading to sort by it.
"""

HOW_IT_WORKS = """
A scan goes through these steps. All of them run on this server; nothing is sent anywhere else.

1. **Reading.** DICOM series (also zipped), NIfTI, MGZ, npz, PNG or JPEG slices become one volume of Hounsfield units in
   the patient's millimetres. Gantry tilt, gaps and missing slices are put right or said.
2. **Which types.** A slice classifier gives each slice the probability of five types of haemorrhage, and of any. The
   scan's probability is made from the network's answers to its most suspicious slices. Answers become probabilities in
   two ways, one fitted to single slices and one to whole scans, so the scan's number and those slices' differ. A scan
   is *called* where its number reaches a threshold that was chosen on validation patients; the thresholds stand beside
   the bars.
3. **Where, and how much.** A second network marks the voxels of blood and their type. What hangs together becomes a
   lesion, if the network is sure of some part of it; its millilitres are counted in the scan's own voxels, and the
   bedside estimate ABC/2 stands beside them.
4. **The ventricles**, where a network for them is there: their millilitres, left and right of the plane about which
   the inside of the skull is most alike to its mirror image, how much of them is outlined as blood, Evans' index on the
   slice where the frontal horns are widest, and the shift of the septum where both horns are seen apart. Beside each
   number stands what it was held against.
5. **The report.** Probabilities, calls, lesions and warnings, as JSON, a mask in the scan's own space, a one-page
   overview, and a DICOM SEG if you ask for it. The two networks may contradict each other; then the report says so.

T1-weighted MRI takes another way: a 3D network outlines the ventricles and counts their millilitres.

Pictures (PNG, JPEG) have no millimetres and no Hounsfield units. Lesions are marked in them, and nothing is measured.
"""

LIMITS = """
- **Research use only.** This is no medical device. It is never a reason to look at a scan less carefully, and never a
  diagnosis.
- **A network knows what it was taught.** The shipped ones (a phantom is a computer-drawn head with drawn blood):
{origins}
- **They miss bleeds and invent them**, small and thin ones most, and they call too often. Types are mixed up: look at
  where the blood is, not at the word beside it.
- **Volumes are as coarse as the networks' grid**, whose millimetres stand in the cards, and wrong where the outline is.
- **Expect nothing of them** in operated heads, children, with contrast media, metal or tumours.
- **A probability here is no risk.** It was fitted to a group in which bleeds are common; among your patients it means
  something else.
- **A leaderboard of phantoms compares designs.** It says nothing about how well any of them does on patients.
"""

PRIVACY = f"""
- Your scan is read in this server's memory and in a folder that only this program can look into. It is **deleted after
  {KEEP_S // 60} minutes**, or at once with *Delete my scan now*. The same holds for what is made of it.
- **Nobody else sees it**, unless you give them the link: the address of your page then ends in a secret that brings the
  answer back, after a reload for example. Browsers send that part of an address to nobody. The link ends with the scan.
- Files have names that cannot be guessed, and nothing that one visitor uploads is kept for another.
- **Nothing is learned from it.** No network is trained here, and no copy is kept for later.
- **No names in the results.** Report, mask and overview hold nothing of the DICOM header. The one exception is the
  DICOM SEG, which must carry the study's ids to belong to it, and is made only when you ask. Where a study has several
  series, their names and kernels are shown to you on the page, and stand in nothing that you take away.
- **No names in the logs.** When something fails, its place in the program is logged, never a file name or a value.
- **No request leaves this page** for anywhere but this server: no analytics, no fonts, no third parties.
- All the same: **upload nothing that you may not share.** De-identify scans first; whoever runs this server (or the
  host it rents) could look into its memory. For patients' data, run it on your own machine: `python app.py`.
"""

DATA_INTRO = """
The examples are **phantoms**: heads made from the MNI152 template (Fonov et al. 2011, free with its notice), with blood
drawn in. No patient's scan is in this page. What each network was taught by and measured on stands in its card, data
set by data set.

These are the data sets that hemobench reads, from your own copy, under their own terms:
"""

MODELS_INTRO = """
Which networks ran is said beside every result, with the checksum of their weights. The cards below are those of the
networks in this repository: what each was trained on, what was measured, with intervals, and where not to trust it.
"""

CITE_INTRO = "If this helps your work, please cite it, and the data sets and networks that you used with it."
