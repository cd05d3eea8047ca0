"""Every odd file of the reference data, through extraction and a data set."""

from test_extract_folder import FAILED
from test_mutations import check_coverage, check_records, check_report
from tiny_flow import QUICK

from flow.extract_folder import extract_folder
from flow.video_files import find_videos
from i3d_tf.datasets.folder.builder import TwoStreamFolder


def test_every_odd_file_is_used_or_lost_with_its_reason(tmp_path, data_dir):
    videos, flow = tmp_path / "videos", tmp_path / "flow"
    for path in (data_dir / "clips" / "odd_files").iterdir():
        # A data set of folders has no video beside its class folders.
        link = videos / path.name if path.is_dir() else videos / "single" / path.name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path)
    listed = {path.as_posix() for path in find_videos(videos)}
    report = extract_folder(videos, flow, QUICK, workers=2)
    failed = check_report(report, listed, videos, flow)
    assert failed.keys() == FAILED.keys()
    options = {"data_dir": tmp_path / "data", "name": "odd", "workers": 1}
    builder = TwoStreamFolder.of(videos, flow, **options)
    coverage = builder.build()
    lost = check_coverage(builder, coverage, listed, check_records(builder, flow))
    assert len(listed) == 41 and lost.keys() == FAILED.keys()
    for video, reason in lost.items():
        path = (flow / video).with_suffix(".mkv")
        assert reason == f"{path}: is missing; extraction said: {failed[video]}"
        assert failed[video].startswith(f"{videos / video}: {FAILED[video]}")
