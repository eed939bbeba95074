"""Small exports of Tobii software."""

import numpy as np

from exports.sheet import Sheet

INTERVAL_US = 8333


def prolab() -> Sheet:
    """Two looks at the middle of one image, half a second each, with a jump between them."""
    header = [
        "Recording timestamp [μs]",
        "Sensor",
        "Participant name",
        "Recording name",
        "Eyetracker timestamp [μs]",
        "Event",
        "Recording resolution width [px]",
        "Recording resolution height [px]",
        "Gaze point X [DACS px]",
        "Gaze point Y [DACS px]",
        "Gaze point left X [DACS mm]",
        "Gaze point left Y [DACS mm]",
        "Gaze point right X [DACS mm]",
        "Gaze point right Y [DACS mm]",
        "Eye position left X [DACS mm]",
        "Eye position left Y [DACS mm]",
        "Eye position left Z [DACS mm]",
        "Eye position right X [DACS mm]",
        "Eye position right Y [DACS mm]",
        "Eye position right Z [DACS mm]",
        "Validity left",
        "Validity right",
        "Presented Stimulus name",
        "Presented Media name",
        "Presented Media position X [DACS px]",
        "Presented Media position Y [DACS px]",
        "Presented Media width [px]",
        "Presented Media height [px]",
        "Original Media width [px]",
        "Original Media height [px]",
        "Eye movement type",
        "Eye movement type index",
        "Eye movement event duration [ms]",
        "Fixation point X [DACS px]",
        "Fixation point Y [DACS px]",
    ]
    rows = [_marker(header, 0, "RecordingStart")]
    rows += [_sample(i, header) for i in range(120)]
    rows.append(_marker(header, 2_000_000, "RecordingEnd"))
    return Sheet([header, *rows])


def _marker(header: list[str], time_us: int, event: str) -> list[str]:
    known = {
        "Recording timestamp [μs]": str(time_us),
        "Participant name": "P01",
        "Recording name": "Recording1",
        "Event": event,
    }
    return [known.get(name, "") for name in header]


def _sample(i: int, header: list[str]) -> list[str]:
    second = i >= 60
    x_px, y_px = (1100, 640) if second else (900, 500)
    label = ("Saccade", "1") if i in (59, 60) else ("Fixation", "2" if second else "1")
    time_us = 10_000 + i * INTERVAL_US
    eyes = []
    for shift in (0.0, 0.1):
        eyes += [f"{x_px * 0.275 + shift + 0.01 * (i % 3):.2f}", f"{y_px * 0.275:.2f}"]
    fixation = [str(x_px), str(y_px)] if label[0] == "Fixation" else ["", ""]
    return [
        *(str(time_us), "Eye Tracker", "P01", "Recording1", str(7_000_000 + time_us), ""),
        *("1920", "1080", str(x_px), str(y_px), *eyes),
        *("230.0", "150.0", "650.0", "290.0", "150.0", "650.0", "Valid", "Valid"),
        *("lesion", "lesion.jpg", "460", "40", "1000", "1000", "500", "500"),
        *(*label, "492" if label[0] == "Fixation" else "17", *fixation),
    ]


# ---------------------------------------------------------------- Studio


def studio() -> Sheet:
    """The same two looks as Studio 3 writes them; the origin of its mm is the lower left."""
    header = [
        *("StudioVersionRec", "StudioTestName", "ParticipantName", "RecordingName"),
        *("RecordingResolution", "FixationFilter", "MediaName"),
        *("MediaPosX (ADCSpx)", "MediaPosY (ADCSpx)", "MediaWidth", "MediaHeight"),
        *("RecordingTimestamp", "EyeTrackerTimestamp", "StudioEvent"),
        *("FixationIndex", "SaccadeIndex", "GazeEventType", "GazeEventDuration"),
        *("FixationPointX (MCSpx)", "FixationPointY (MCSpx)", "GazePointIndex"),
        *(f"GazePoint{eye}{axis} (ADCSpx)" for eye in ("Left", "Right", "") for axis in "XY"),
        *("GazePointX (MCSpx)", "GazePointY (MCSpx)"),
        *(f"GazePoint{eye}{axis} (ADCSmm)" for eye in ("Left", "Right") for axis in "XY"),
        *(f"EyePos{eye}{axis} (ADCSmm)" for eye in ("Left", "Right") for axis in "XYZ"),
        *("PupilLeft", "PupilRight", "ValidityLeft", "ValidityRight"),
    ]
    names = ["3.4.5", "Test1", "P01", "Rec 01", "1920 x 1080", "I-VT filter"]
    event = [*names, "", "", "", "", "", "5", "", "ImageStart"]
    rows = [event + [""] * (len(header) - len(event))]
    for i in range(120):
        x_px, y_px, kind, number, jitter = _look(i)
        fixated = kind == "Fixation"
        mm = [f"{x_px * 0.275 + jitter:.2f}", f"{300 - y_px * 0.275:.2f}"]
        rows.append(
            [
                *(*names, "lesion.jpg", "460", "40", "1000", "1000"),
                *(f"{10 + i * INTERVAL_US / 1000:.0f}", str(7_010_000 + i * INTERVAL_US), ""),
                *((number, "") if fixated else ("", number)),
                *(kind, "492" if fixated else "17"),
                *((str(x_px - 460), str(y_px - 40)) if fixated else ("", "")),
                *(str(i + 1), *[str(x_px), str(y_px)] * 3, str(x_px - 460), str(y_px - 40)),
                *(*mm, *mm, "230.0", "150.0", "650.0", "290.0", "150.0", "650.0"),
                *("3.10", "-1.00", "0", "0"),
            ]
        )
    return Sheet([header, *rows])


def _look(i: int) -> tuple[int, int, str, str, float]:
    """Place, label, its number and jitter in mm of one of the 120 samples of an example."""
    second = i >= 60
    place = (1100, 640) if second else (900, 500)
    label = ("Saccade", "1") if i in (59, 60) else ("Fixation", "2" if second else "1")
    return *place, *label, 0.01 * (i % 3)


PROPERTIES = """System Properties:
Operating System:\t Microsoft Windows NT

Data properties:

Recording name:\t Rec 62
Recording date:\t 27/09/2011
Recording resolution:\t 1280 x 1024

Participant:\t P106

Filter settings:

Fixation filter: Tobii fixation filter
Fixation radius: 35

"""
"""What Studio 1 and 2 may write above a table."""


def studio2() -> Sheet:
    """All-Data of Studio 2: two looks, a lost eye, no sample between fixations."""
    header = [
        *("Timestamp", "DateTimeStamp", "Number", "GazePointXLeft", "GazePointYLeft"),
        *("CamXLeft", "DistanceLeft", "PupilLeft", "ValidityLeft"),
        *("GazePointXRight", "GazePointYRight", "CamXRight", "DistanceRight", "PupilRight"),
        *("ValidityRight", "FixationIndex", "GazePointX", "GazePointY", "Event", "StimuliName"),
        *("MediaWidth", "MediaHeight", "MediaPosX", "MediaPosY"),
        *("MappedFixationPointX", "MappedFixationPointY", "FixationDuration"),
        *("MappedGazeDataPointX", "MappedGazeDataPointY", "MicroSecondTimestamp"),
    ]
    rows = [["0", *[""] * 17, "ScreenRecStarted", *[""] * 11]]
    for i in range(120):
        x_px, y_px, _, _, jitter = _look(i)
        lost = i % 10 == 5
        right = ("-1280", "-1024", "-1", "-1", "-1", "4")
        time_us = 17_000 + i * INTERVAL_US
        rows.append(
            [
                *(f"{time_us / 1000:.0f}", "14:37:15.376", str(i)),
                *(f"{x_px + jitter:.2f}", str(y_px), "0.63", "690.5", "3.1", "0"),
                *(right if lost else (str(x_px), str(y_px), "0.37", "694.5", "3.2", "1")),
                *("1" if i >= 60 else "0", str(x_px), str(y_px), "", "map.jpg"),
                *("1000", "1000", "140", "12", str(x_px - 140), str(y_px - 12), "500"),
                *(str(x_px - 140), str(y_px - 12), str(time_us)),
            ]
        )
    return Sheet([header, *rows])


def fixation_data() -> Sheet:
    """Fixation-Data of Studio 2, as it stands under the block of properties."""
    header = ["FixationIndex", "Timestamp", "FixationDuration"]
    header += ["MappedFixationPointX", "MappedFixationPointY", ""]
    return Sheet(
        [header, ["0", "51", "250", "626", "521", ""], ["1", "301", "250", "598", "494", ""]]
    )


def pygaze() -> str:
    """What PyGaze logs of the same two looks; the left eye is lost at times."""
    lines = ["pygaze initiation report start", "display resolution: 1920x1080"]
    lines += ["display size in cm: 52.8x29.7", "fixation threshold: 1.5 degrees"]
    lines += ["distance between participant and display: 65.0 cm", "pygaze calibration report end"]
    header = ["TimeStamp", "Event"]
    for eye in ("Left", "Right"):
        header += [f"GazePointX{eye}", f"GazePointY{eye}", f"Validity{eye}"]
    header += ["GazePointX", "GazePointY"]
    for eye in ("Left", "Right"):
        header += [f"PupilSize{eye}", f"PupilValidity{eye}"]
    lines += ["\t".join(header), "0.0000\tstart_trial 1"]
    for i in range(120):
        x_px, y_px, _, _, _ = _look(i)
        left = ("-1", "-1", "0") if i % 10 == 5 else (str(x_px - 2), str(y_px), "1")
        pupil = ("-1.0000", "0") if i % 10 == 5 else ("3.1000", "1")
        row = [f"{8 + i * INTERVAL_US / 1000:.4f}", "", *left, str(x_px + 2), str(y_px), "1"]
        lines.append("\t".join([*row, str(x_px), str(y_px), *pupil, "3.2000", "1"]))
    return "\n".join([*lines, "1020.0000\tstop_trial", ""])


# ---------------------------------------------------------------- SDK


def sdk() -> Sheet:
    """Shares of a display of 528 x 297 mm that leans back by 20 degrees, as tobii_research."""
    header = ["device_time_stamp", "system_time_stamp"]
    for eye in ("left", "right"):
        header += [f"{eye}_gaze_point_on_display_area_{axis}" for axis in "xy"]
        header += [f"{eye}_gaze_point_in_user_coordinate_system_{axis}" for axis in "xyz"]
        header += [f"{eye}_gaze_point_validity", f"{eye}_pupil_diameter"]
        header += [f"{eye}_gaze_origin_in_user_coordinate_system_{axis}" for axis in "xyz"]
    rows = []
    for i in range(120):
        x_px, y_px, _, _, jitter = _look(i)
        share = np.array([x_px / 1920 + jitter / 528, y_px / 1080 + 0.004 * (i % 5)])
        row = [str(7_010_000 + i * INTERVAL_US), str(900_000_000 + i * INTERVAL_US)]
        for x_mm in (230.0, 290.0):
            row += [f"{value:.6f}" for value in (*share, *to_user([*(share * DISPLAY_MM), 0.0]))]
            row += ["1", "3.1", *(f"{value:.4f}" for value in to_user([x_mm, 150.0, 650.0]))]
        rows.append(row)
    return Sheet([header, *rows])


DISPLAY_MM = (528.0, 297.0)


def to_user(point_mm: list[float]) -> list[float]:
    """Bring a point from display coordinates to the tracker's, of the example's display."""
    lean = np.radians(20)
    right, down = np.array([1, 0, 0]), np.array([0, -np.cos(lean), np.sin(lean)])
    axes = np.array([right, down, -np.cross(right, down)])
    corner = np.array([-264.0, 300.0, -80.0])
    return (corner + np.array(point_mm) @ axes).tolist()


# ---------------------------------------------------------------- Glasses


def glasses() -> Sheet:
    """Two looks at a snapshot within an interval, at 50 Hz, and a gyroscope."""
    header = [
        *("Recording timestamp [μs]", "Sensor", "Participant name", "Recording name", "Event"),
        *("Gaze point X [MCS px]", "Gaze point Y [MCS px]", "Media width [snap]"),
        *("Media height [snap]", "Mapped eye movement type [snap]"),
        *("Mapped eye movement type index [snap]", "Mapped fixation X [snap]"),
        *("Mapped fixation Y [snap]", "Eye movement type", "Gaze event duration [ms]"),
        *("Eye movement type index", "Fixation point X [MCS px]", "Fixation point Y [MCS px]"),
        "Gyro X",
    ]
    rows = []
    for i in range(80):
        time_us = 10_000 + i * 20_000
        x_px, y_px, kind, number, _ = _look(i + 20)
        place = [str(x_px), str(y_px)] if kind == "Fixation" else ["", ""]
        mapped = ["800", "600", kind, number, *place] if 10 <= i < 70 else [""] * 6
        names = ["P01", "Recording1"]
        if i in (10, 70):
            event = f"snap Interval{'Start' if i == 10 else 'End'}"
            rows.append([str(time_us - 5000), "", *names, event, *[""] * 14])
        rows.append([str(time_us - 4000), "Gyroscope", *names, *[""] * 15])
        rows[-1][-1] = "0.5"
        rows.append(
            [
                *(str(time_us), "Eye Tracker", *names, "", str(x_px), str(y_px)),
                *(*mapped, kind, "780", number, *place, ""),
            ]
        )
    return Sheet([header, *rows])


SHEETS = {
    "tobii-prolab": prolab,
    "tobii-studio": studio,
    "tobii-studio2": studio2,
    "tobii-sdk": sdk,
    "tobii-glasses": glasses,
}
NUMBERS = {
    "tobii-prolab": ("Gaze point X [DACS px]", "Eye movement type index"),
    "tobii-studio": ("GazePointX (ADCSpx)", "FixationIndex"),
    "tobii-studio2": ("GazePointXLeft", "PupilLeft"),
    "tobii-sdk": ("left_gaze_point_on_display_area_x", "left_pupil_diameter"),
    "tobii-glasses": ("Mapped fixation X [snap]", "Eye movement type index"),
}
