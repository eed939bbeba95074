"""Tables of no known vendor, and the mappings that describe them."""

from pathlib import Path

SAMPLES = """\
# a lab's own logger
row;t;gaze left x;gaze left y;gaze right x;gaze right y;pupil left;pupil right;\
trial;picture;confidence
gaze;0,000;0,25;0,75;0,26;0,75;3,1;3,2;1;a.jpg;0,9
message;0,004;0;0;0;0;0;0;;;0
gaze;0,004;0,25;0,75;0,26;0,75;3,1;3,2;1;a.jpg;0,9
gaze;0,008;-1;-1;0,28;0,5;3,1;3,2;1;a.jpg;0,9
gaze;0,012;lost;lost;lost;lost;3,1;3,2;1;a.jpg;0,9
gaze;0,012;0,5;0,5;0,5;0,5;3,1;3,2;1;a.jpg;0,9
gaze;0,016;0,5;0,5;0,5;0,5;3,1;3,2;2;b.jpg;0,2
gaze;0,020;0,5;0,25;0,5;0,25;3,1;3,2;2;b.jpg;0,7
"""

FIXATIONS = """\
who,start,stop,cx,cy,picture,w,h
p1,0.5,0.75,0.25,0.5,a.jpg,400,300
p1,0.8,1.0,0.5,0.5,a.jpg,400,300
p1,0.1,0.3,0.1,0.9,b.jpg,200,200
p2,0.2,0.5,0.2,0.2,a.jpg,400,300
"""

FIXATIONS_MAPPING = """\
kind = "fixations"

[columns]
subject = "who"
onset = "start"
end = "stop"
x = "cx"
y = "cy"
stimulus = "picture"
image_width = "w"
image_height = "h"

[units]
time = "s"
position = "image share"
"""


def samples(folder: Path) -> Path:
    """The table that examples/mapping.toml describes."""
    path = folder / "lab.csv"
    path.write_text(SAMPLES, encoding="utf-8")
    return path


def fixations(folder: Path) -> tuple[Path, Path]:
    path, mapping = folder / "lab.csv", folder / "mapping.toml"
    path.write_text(FIXATIONS, encoding="utf-8")
    mapping.write_text(FIXATIONS_MAPPING, encoding="utf-8")
    return path, mapping
