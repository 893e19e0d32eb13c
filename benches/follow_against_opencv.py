#!/usr/bin/env python3
"""Called by follow-against-opencv.sh: ours and OpenCV's trackers over the same pictures.

    follow_against_opencv.py FOLLOW [SEQUENCE...]

FOLLOW is the example's binary; a SEQUENCE is a folder of the MOT Challenge's kind (img1, gt/gt.txt)
or of OTB's (img, groundtruth_rect*.txt). Of each MOT sequence the first object is followed that is
nine tenths visible at first and in every frame. AUC is OTB's: the share of frames whose overlap
with the truth exceeds 0, 0.05 … 1, averaged.
"""
import pathlib, subprocess, sys, tempfile, time

import cv2

cv2.setNumThreads(1)
TRACKERS = {}
for name in ("MOSSE", "KCF", "CSRT"):
    for module in (cv2, getattr(cv2, "legacy", None)):
        make = getattr(module, f"Tracker{name}_create", None)
        if make:
            TRACKERS[name] = make
            break


def numbers(line):
    return [float(n) for n in line.replace(",", " ").split()]


def targets_of(folder):
    """(name, boxes by frame) of each target to follow."""
    if (folder / "gt/gt.txt").exists():
        rows = [numbers(line) for line in (folder / "gt/gt.txt").read_text().splitlines()]
        last = max(row[0] for row in rows)
        for wanted in sorted({row[1] for row in rows if row[0] == 1 and row[8] >= 0.9}):
            boxes = [row[2:6] for row in rows if row[1] == wanted]
            if len(boxes) == last:
                return [(folder.name, boxes)]
        return []
    return [
        (file.stem.replace("groundtruth_rect", folder.name), [numbers(l) for l in file.read_text().split("\n") if l.strip()])
        for file in sorted(folder.glob("groundtruth_rect*.txt"))
    ]


def pictures_of(folder):
    inner = folder / "img1" if (folder / "img1").is_dir() else folder / "img"
    return inner, sorted(inner.glob("*.jpg"))


def overlap(a, b):
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    return width * height / (a[2] * a[3] + b[2] * b[3] - width * height)


def auc(boxes, truth):
    overlaps = [overlap(a, b) if a else 0.0 for a, b in zip(boxes, truth)]
    steps = [nth / 20 for nth in range(21)]
    return 100 * sum(sum(o > step for o in overlaps) / len(overlaps) for step in steps) / len(steps)


def theirs(make, pictures, firsts):
    """Boxes by target and frame, and seconds a frame."""
    trackers = [make() for _ in firsts]
    boxes = [[first] for first in firsts]
    spent = 0.0
    for nth, picture in enumerate(pictures):
        image = cv2.imread(str(picture))
        began = time.perf_counter()
        if nth == 0:
            for tracker, first in zip(trackers, firsts):
                tracker.init(image, [int(round(n)) for n in first])
            continue
        for tracker, found in zip(trackers, boxes):
            there, box = tracker.update(image)
            found.append(box if there else found[-1])
        spent += time.perf_counter() - began
    return boxes, spent / max(len(pictures) - 1, 1)


def ours(follow, folder, frames, firsts):
    with tempfile.NamedTemporaryFile(suffix=".txt") as out:
        boxes = [",".join(str(n) for n in first) for first in firsts]
        said = subprocess.run(
            [follow, str(folder), "--frames", str(frames), *boxes, out.name],
            check=True, capture_output=True, text=True,
        ).stderr
        rows = [numbers(line) for line in pathlib.Path(out.name).read_text().splitlines()]
    found = [[row[2:6] for row in rows if row[1] == nth + 1] for nth in range(len(firsts))]
    return found, float(said.split(" ms")[0].split()[-1]) / 1e3


def main():
    follow, *folders = sys.argv[1:]
    folders = [pathlib.Path(folder) for folder in folders]
    names = ["Keepsight", *TRACKERS]
    print(f"OpenCV {cv2.__version__}, one thread each; AUC in percent")
    print(f"{'sequence':24}{'frames':>7}" + "".join(f"{name:>11}" for name in names))
    scores = {name: [] for name in names}
    for folder in folders:
        inner, pictures = pictures_of(folder)
        for name, truth in targets_of(folder):
            used = pictures[: len(truth)]
            found, _ = ours(follow, inner, len(used), truth[:1])
            row = [auc(found[0], truth)]
            for make in TRACKERS.values():
                found, _ = theirs(make, used, truth[:1])
                row.append(auc(found[0], truth))
            for tracker, score in zip(names, row):
                scores[tracker].append(score)
            print(f"{name:24}{len(used):7}" + "".join(f"{score:11.1f}" for score in row), flush=True)
    means = [sum(scores[name]) / len(scores[name]) for name in names]
    print(f"{'mean':24}{'':7}" + "".join(f"{mean:11.1f}" for mean in means))

    # Every box of the first frame, again and again until there are enough.
    timed = next((f for f in folders if (f / "gt/gt.txt").exists()), None)
    if timed is None:
        return
    inner, pictures = pictures_of(timed)
    rows = [numbers(line) for line in (timed / "gt/gt.txt").read_text().splitlines()]
    firsts = [row[2:6] for row in rows if row[0] == 1]
    print(f"\nms a frame, pictures of {timed.name}")
    for count in (1, 8, 32):
        boxes = [firsts[nth % len(firsts)] for nth in range(count)]
        frames = 100 if count < 32 else 40
        row = [ours(follow, inner, frames, boxes)[1]]
        row += [theirs(make, pictures[:frames], boxes)[1] for make in TRACKERS.values()]
        label = f"{count} target" + ("s" if count > 1 else "")
        print(f"{label:31}" + "".join(f"{1e3 * each:11.2f}" for each in row), flush=True)


main()
