"""Cuts the scene's figures out of their photographs and composes its background.

Usage: python cut.py SKIMAGE_DATA_FOLDER MATPLOTLIB_SAMPLE_DATA_FOLDER OUT_FOLDER
Needs opencv-python and numpy. NOTICE tells where the photographs come from.
"""
import sys

import cv2
import numpy as np

SKIMAGE, MATPLOTLIB, OUT = sys.argv[1:4]

# Per figure: photograph, a polygon that holds all of the figure, one that lies wholly within
# it, and the height of the result in pixels.
FIGURES = {
    "astronaut": (
        f"{SKIMAGE}/astronaut.png",
        [(145, 60), (170, 15), (240, 5), (300, 30), (312, 90), (300, 130), (285, 150), (312, 205),
         (345, 250), (370, 352), (20, 352), (25, 300), (55, 235), (108, 195), (118, 150), (165, 140)],
        [(165, 80), (180, 40), (225, 22), (280, 40), (292, 90), (270, 115), (255, 165), (292, 220),
         (335, 262), (350, 351), (45, 351), (50, 290), (75, 245), (125, 215), (130, 165), (185, 150)],
        300,
    ),
    "cameraman": (
        f"{SKIMAGE}/camera.png",
        [(150, 100), (165, 70), (205, 58), (262, 72), (278, 120), (322, 132), (330, 160), (338, 172),
         (325, 215), (305, 255), (302, 300), (280, 305), (235, 295), (200, 312), (150, 360), (155, 440),
         (0, 440), (0, 240), (30, 190), (80, 130)],
        [(165, 110), (175, 82), (210, 70), (258, 85), (262, 115), (255, 180), (300, 170), (315, 185),
         (300, 210), (285, 250), (282, 285), (240, 280), (195, 290), (130, 370), (140, 439), (8, 439), (8, 250), (40, 200), (90, 145)],
        340,
    ),
    "admiral": (
        f"{MATPLOTLIB}/grace_hopper.jpg",
        [(150, 110), (170, 70), (185, 45), (250, 20), (330, 45), (360, 75), (376, 110), (372, 160), (380, 200),
         (362, 270), (335, 310), (345, 330), (490, 385), (512, 450), (512, 600), (5, 600), (20, 450), (50, 390),
         (190, 318), (160, 270), (148, 190)],
        [(165, 115), (180, 75), (250, 32), (340, 75), (362, 110), (360, 180), (345, 255), (318, 318), (340, 345),
         (480, 400), (495, 470), (500, 599), (20, 599), (35, 470), (65, 405), (205, 335), (180, 270), (165, 190)],
        320,
    ),
    "cat": (
        f"{SKIMAGE}/chelsea.png",
        [(28, 0), (402, 0), (405, 20), (385, 70), (368, 80), (368, 130), (345, 200), (310, 255), (290, 280),
         (285, 300), (0, 300), (0, 120), (20, 110), (30, 60)],
        [(45, 5), (345, 5), (380, 30), (365, 75), (352, 130), (325, 200), (290, 250), (270, 299), (3, 299),
         (3, 160), (40, 110)],
        200,
    ),
}


def cut(name, photograph, outer, inner, height):
    picture = cv2.imread(photograph)
    mask = np.full(picture.shape[:2], cv2.GC_BGD, np.uint8)
    cv2.fillPoly(mask, [np.array(outer)], cv2.GC_PR_FGD)
    cv2.fillPoly(mask, [np.array(inner)], cv2.GC_FGD)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(picture, mask, None, *models, 6, cv2.GC_INIT_WITH_MASK)
    alpha = np.isin(mask, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8) * 255
    alpha = cv2.morphologyEx(alpha, cv2.MORPH_OPEN, np.ones((3, 3)))
    alpha = cv2.morphologyEx(alpha, cv2.MORPH_CLOSE, np.ones((7, 7)))
    # The largest part alone, one pixel smaller, since edges carry the old background's colour.
    _, labels, stats, _ = cv2.connectedComponentsWithStats(alpha)
    alpha[labels != 1 + stats[1:, cv2.CC_STAT_AREA].argmax()] = 0
    alpha = cv2.erode(alpha, np.ones((3, 3)), borderValue=255)
    x, y, w, h = cv2.boundingRect(alpha)
    size = (round(w * height / h), height)
    alpha = cv2.resize(alpha[y:y + h, x:x + w], size, interpolation=cv2.INTER_AREA)
    alpha = cv2.GaussianBlur(alpha, (0, 0), 0.7)
    colour = cv2.resize(picture[y:y + h, x:x + w], size, interpolation=cv2.INTER_AREA)
    # Where nothing shows, the picture's mean: costs few bytes.
    hidden = cv2.dilate(alpha, np.ones((5, 5))) == 0
    colour[hidden] = colour[alpha > 128].mean(axis=0)
    cv2.imwrite(f"{OUT}/{name}.jpg", colour, [cv2.IMWRITE_JPEG_QUALITY, 85])
    cv2.imwrite(f"{OUT}/{name}.mask.png", alpha // 17 * 17, [cv2.IMWRITE_PNG_COMPRESSION, 9])


def mirrored(picture, columns, rows):
    row = np.hstack([picture if n % 2 == 0 else picture[:, ::-1] for n in range(columns)])
    return np.vstack([row if n % 2 == 0 else row[::-1] for n in range(rows)])


def background():
    """A paved square in front of a distant skyline, 960 x 640."""
    width, height, horizon = 960, 640, 190
    brick = mirrored(cv2.imread(f"{SKIMAGE}/brick.png"), 7, 2)
    h, w = brick.shape[:2]
    # The ground plane: far edge shrunk most, near edge filling the picture.
    ground = cv2.getPerspectiveTransform(
        np.float32([(0, 0), (w, 0), (w, h), (0, h)]),
        np.float32([(-300, horizon), (width + 300, horizon), (width + 2300, height), (-2300, height)]))
    picture = cv2.warpPerspective(brick, ground, (width, height), flags=cv2.INTER_AREA).astype(np.float32)
    picture *= np.float32([0.92, 1.02, 1.10])
    skyline = cv2.imread(f"{SKIMAGE}/camera.png")[40:235, 345:505]
    skyline = mirrored(cv2.resize(skyline, (312, horizon + 60), interpolation=cv2.INTER_CUBIC), 4, 1)
    skyline = cv2.GaussianBlur(skyline, (0, 0), 1.2)[:horizon + 40, 40:40 + width].astype(np.float32)
    skyline *= np.float32([1.08, 1.0, 0.93])
    picture[:horizon + 40] = skyline[:horizon + 40]
    # Haze near the horizon joins the two.
    rows = np.arange(height, dtype=np.float32)[:, None, None]
    haze = 0.45 * np.exp(-np.abs(rows - horizon - 40) / 55)
    picture = picture * (1 - haze) + np.float32([196, 194, 190]) * haze
    picture = np.clip(picture, 0, 255).astype(np.uint8)
    cv2.imwrite(f"{OUT}/background.jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 72])


background()
for name, figure in FIGURES.items():
    cut(name, *figure)
