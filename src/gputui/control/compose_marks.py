"""The labels by which `docker compose` knows that a container is as its files say."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from gputui.containers.engine import Engine
from gputui.domain.compose import ComposeProject
from gputui.domain.container import LABEL_CONFIG_HASH, LABEL_FILE, LABEL_IMAGE, ContainerSpec
from gputui.domain.plan import Step
from gputui.project.compose_command import config_hashes
from gputui.project.generated_files import OVERRIDE_NAME

NOBODYS = "made-by-gputui"


class ComposeMarks:
    """The labels of one project's services. The hashes are Compose's own, asked of it where it is installed."""

    def __init__(self, project: ComposeProject | None, engine: Engine) -> None:
        self._project = project
        self._engine = engine

    @cached_property
    def _in_files(self) -> Mapping[str, str]:
        return config_hashes(self._project.files, self._project.name) if self._project else {}

    @cached_property
    def _with_override(self) -> Mapping[str, str]:
        if self._project is None:
            return {}
        override = Path(self._project.directory) / OVERRIDE_NAME
        if not override.is_file():
            return self._in_files
        return config_hashes([*self._project.files, str(override)], self._project.name)

    def labels(self, step: Step, spec: ContainerSpec) -> dict[str, str | None]:
        """The labels of the container that a step makes from this spec.

        It gets the hash of its files with gputui's override only where it is what they say: made from the file, or from
        a container that was, and the file has not changed since. Compose does not see a container without any hash, so
        that all others get one that is nobody's.
        """
        name = step.service.name
        before = spec.body.get("Labels") or {}
        if not step.service.project:
            return {}
        if self._project is None or step.service.project != self._project.name:
            return {LABEL_CONFIG_HASH: NOBODYS, LABEL_FILE: None}
        in_file = self._in_files.get(name)
        from_file = step.action == "create" or step.from_file
        made_of = in_file if from_file else before.get(LABEL_FILE) or before.get(LABEL_CONFIG_HASH)
        if in_file is None or made_of != in_file:
            return {LABEL_CONFIG_HASH: NOBODYS, LABEL_FILE: None}
        hashed = self._with_override.get(name, NOBODYS)
        found: dict[str, str | None] = {LABEL_FILE: in_file, LABEL_CONFIG_HASH: hashed}
        if from_file:
            found[LABEL_IMAGE] = self._engine.image_id(str(spec.body.get("Image")))
        return found
