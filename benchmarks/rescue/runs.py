"""Hard sets reconstructed without and with the rescue, each once."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from vggt_sfm import ReconstructConfig, VggtSfmError, reconstruct
from vggt_sfm._files import replacing
from vggt_sfm.benchmarks.rescue.outcome import Outcome, failed, judged
from vggt_sfm.benchmarks.rescue.photos import images_folder, read_truth
from vggt_sfm.inference import Predictor
from vggt_sfm.io.plain import from_plain, to_plain

_FILE = "outcomes.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """A set without and with the rescue."""

    name: str
    before: Outcome
    after: Outcome

    @property
    def cpu_seconds(self) -> tuple[float, float] | None:
        """Of fresh runs without and with the rescue; None where one of them did not end well.

        What the second run took over from the first counts in both.
        """
        if not self.before.stages or not self.after.stages:
            return None
        rescued = {**self.before.stages, **self.after.stages}
        return sum(self.before.stages.values()), sum(rescued.values())


def both_ways(
    name: str, photos: Path, output: Path, predictor: Predictor, config: ReconstructConfig
) -> Outcomes:
    """Reconstruct a set without the rescue, then with it from the same predictions and tracks.

    What an earlier run finished is read instead.

    Args:
        name: Of the set.
        photos: Folder of the set.
        output: Folder of its results.
        predictor: Of both runs.
        config: Of both runs, but for the rescue.
    """
    file = output / _FILE
    if file.is_file():
        return from_plain(Outcomes, json.loads(file.read_text(encoding="utf-8")))
    place = output / "run"
    shutil.rmtree(place, ignore_errors=True)  # seconds are those of runs that find nothing done
    output.mkdir(parents=True, exist_ok=True)
    truths = read_truth(photos)

    def run(rescue: bool) -> Outcome:
        chosen = replace(config, rescue=rescue)
        try:
            result = reconstruct(images_folder(photos), place, chosen, predictor=predictor)
        except VggtSfmError as error:
            return failed(str(error), truths)
        return judged(result, truths)

    outcomes = Outcomes(name=name, before=run(rescue=False), after=run(rescue=True))
    with replacing(file) as temporary:
        temporary.write_text(json.dumps(to_plain(outcomes), indent=1) + "\n", encoding="utf-8")
    return outcomes
