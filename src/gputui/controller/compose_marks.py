"""The labels by which `docker compose` knows that a container matches its files."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from gputui.compose.docker_compose import config_hashes
from gputui.domain import compose_labels
from gputui.domain.compose import OVERRIDE_NAME, ComposeProject
from gputui.domain.container import LABEL_FILE, ContainerSpec
from gputui.domain.plan import Step
from gputui.engine.protocol import Engine

NOBODYS = "made-by-gputui"


@dataclass(frozen=True, slots=True, kw_only=True)
class ComposeMarks:
    """The input for the labels of a project's services: the hashes of its files, and of its files with gputui's
    override. They are Compose's own, and empty if it is not installed."""

    project: ComposeProject | None
    in_files: Mapping[str, str]
    with_override: Mapping[str, str]

    def labels(self, step: Step, spec: ContainerSpec, engine: Engine) -> dict[str, str | None]:
        """The labels of the container that a step creates from this spec.

        It gets the hash of its files with gputui's override only if it matches them: it is created from the file, or
        from a container that was, and the file has not changed since. All others get a hash that matches nothing,
        because Compose ignores a container without one.
        """
        name = step.service.name
        old_labels = spec.body.get("Labels") or {}
        if not step.service.project:
            return {}
        if self.project is None or step.service.project != self.project.name:
            return {compose_labels.CONFIG_HASH: NOBODYS, LABEL_FILE: None}
        in_file = self.in_files.get(name)
        from_file = step.action == "create" or step.from_file
        made_of = in_file if from_file else old_labels.get(LABEL_FILE) or old_labels.get(compose_labels.CONFIG_HASH)
        if in_file is None or made_of != in_file:
            return {compose_labels.CONFIG_HASH: NOBODYS, LABEL_FILE: None}
        hashed = self.with_override.get(name, NOBODYS)
        new_labels: dict[str, str | None] = {LABEL_FILE: in_file, compose_labels.CONFIG_HASH: hashed}
        if from_file:
            new_labels[compose_labels.IMAGE] = engine.image_id(str(spec.body.get("Image")))
        return new_labels


def compose_marks(project: ComposeProject | None) -> ComposeMarks:
    """Ask Compose for the hashes of a project."""
    if project is None:
        return ComposeMarks(project=None, in_files={}, with_override={})
    override = Path(project.directory) / OVERRIDE_NAME
    with ThreadPoolExecutor(max_workers=2) as pool:
        file_hashes = pool.submit(config_hashes, project.files, project.name)
        overridden = file_hashes
        if override.is_file():
            overridden = pool.submit(config_hashes, [*project.files, str(override)], project.name)
        in_files, with_override = file_hashes.result(), overridden.result()
    return ComposeMarks(project=project, in_files=in_files, with_override=with_override)
