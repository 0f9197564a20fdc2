"""The checks of `gputui doctor`: from the driver to how containers get their GPUs."""

from collections.abc import Iterator

from gputui.domain.container import EngineInfo
from gputui.domain.errors import GputuiError
from gputui.domain.finding import Check
from gputui.domain.gpu import Gpu
from gputui.domain.injection import CDI_KIND, MECHANISM_TITLES, Capabilities, Choice
from gputui.domain.snapshot import Snapshot

NAMES_SHOWN = 6


def checks(snapshot: Snapshot, choice: Choice | GputuiError) -> tuple[Check, ...]:
    """All checks, each after those it depends on. `choice` is the GPU injection method for a new container, or why
    there is none."""
    return (*_gpus(snapshot), *_engine(snapshot, choice), *_state(snapshot), *_predictions(snapshot))


def _predictions(snapshot: Snapshot) -> Iterator[Check]:
    """The prediction error on this host, measured against what services logged themselves."""
    errors = [error for service in snapshot.services if (error := service.prediction_error) is not None]
    if not errors:
        text = "no service has logged yet how much its weights take"
    else:
        mean = sum(abs(error) for error in errors) / len(errors)
        text = f"weights of {len(errors)} services were predicted with a mean error of {mean:.1%}"
    yield Check(name="predictions", state="ok", text=text)


def _gpus(snapshot: Snapshot) -> Iterator[Check]:
    inventory = snapshot.inventory
    if snapshot.simulated:
        yield Check(name="host", state="ok", text="SIMULATED: nothing here is real")
    if not inventory.gpus:
        yield Check(name="driver", state="error", text=inventory.reason or "no GPU", fix=inventory.fix or "")
        return
    driver = f"NVIDIA driver {inventory.driver_version or 'of unknown version'}"
    if inventory.source:
        text = f"{driver}; NVML is out of reach, so readings come from {inventory.source}"
        fix = "install libnvidia-ml.so.1 (it is part of the driver) where gputui runs"
        yield Check(name="driver", state="warning", text=text, fix=fix)
    else:
        yield Check(name="driver", state="ok", text=driver)
    physical = [gpu for gpu in inventory.gpus if gpu.parent_uuid is None]
    instances = len(inventory.gpus) - len(physical)
    unhealthy = [reading for reading in snapshot.readings if reading.state != "ok"]
    text = f"{len(physical)} GPUs" + (f", {instances} MIG instances" if instances else "")
    if unhealthy:
        problems = "; ".join(
            f"GPU {reading.gpu.label} is {reading.state}: {reading.reason or 'no answer'}" for reading in unhealthy
        )
        fix = "look at `dmesg` for Xid; a lost GPU takes a reset or a reboot"
        yield Check(name="GPUs", state="error", text=f"{text}; {problems}", fix=fix)
    else:
        yield Check(name="GPUs", state="ok", text=text)


def _engine(snapshot: Snapshot, choice: Choice | GputuiError) -> Iterator[Check]:
    info = snapshot.engine.info
    if info is None:
        text = snapshot.engine.reason or "no container engine"
        yield Check(name="engine", state="error", text=text, fix=snapshot.engine.fix or "")
        return
    capabilities = info.capabilities
    rootless = ", rootless" if capabilities.rootless else ""
    cgroups = capabilities.cgroup_driver or "n/a"
    text = f"{info.name} {info.version}, API {info.api_version}, cgroups by {cgroups}{rootless}"
    yield Check(name="engine", state="ok", text=text)
    yield _requests(info, capabilities)
    yield _cdi(capabilities, snapshot.inventory.gpus)
    runtimes = ", ".join(capabilities.runtimes) or "none that a container can ask for"
    yield Check(name="runtimes", state="ok", text=f"{runtimes}; default {capabilities.default_runtime or 'unknown'}")
    if capabilities.variable_counts is False:
        text = "NVIDIA_VISIBLE_DEVICES is ignored in containers without privileges"
        yield Check(name="toolkit", state="warning", text=text, fix="so only CDI gives them GPUs")
    if isinstance(choice, GputuiError):
        yield Check(name="mechanism", state="error", text=choice.what, fix=choice.fix)
    else:
        yield Check(
            name="mechanism",
            state="ok",
            text=f"new containers get GPUs by {MECHANISM_TITLES[choice.mechanism]}: {choice.reason}",
        )
        yield from _reload(capabilities, choice)


def _requests(info: EngineInfo, capabilities: Capabilities) -> Check:
    name = "nvidia requests"
    if capabilities.too_old is not None:
        text = f"{info.name} {info.version} starts containers without the GPUs that they ask for"
        return Check(name=name, state="error", text=text, fix=f"upgrade to {capabilities.too_old} or newer")
    if capabilities.nvidia_driver is None:
        text = "whether the engine has NVIDIA's device driver is not known"
        fix = "it is known once a container that asks for GPUs runs, or without --readonly"
        return Check(name=name, state="unknown", text=text, fix=fix)
    if capabilities.nvidia_driver:
        return Check(name=name, state="ok", text="supported")
    text = "not supported: the engine has no device driver for NVIDIA GPUs"
    return Check(name=name, state="ok" if capabilities.cdi_devices else "warning", text=text)


def _cdi(capabilities: Capabilities, gpus: tuple[Gpu, ...]) -> Check:
    if not capabilities.cdi:
        return Check(name="CDI", state="ok" if capabilities.nvidia_driver is not False else "warning", text="off")
    if capabilities.cdi_devices is None:
        return Check(name="CDI", state="unknown", text="on; its devices cannot be listed from here")
    names = {device.name for device in capabilities.cdi_devices}
    missing = [
        gpu.label
        for gpu in gpus
        if gpu.assignable and not {f"{CDI_KIND}={gpu.uuid}", f"{CDI_KIND}={gpu.label}"} & names
    ]
    listing = ", ".join(sorted(name.removeprefix(f"{CDI_KIND}=") for name in names)[:NAMES_SHOWN])
    more = ", …" if len(names) > NAMES_SHOWN else ""
    text = f"on, {len(names)} devices of {CDI_KIND}" + (f": {listing}{more}" if names else "")
    if names and missing:
        fix = "generate the specification again: `nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml`"
        return Check(name="CDI", state="warning", text=f"{text}; none for GPU {', '.join(missing)}", fix=fix)
    return Check(name="CDI", state="ok", text=text)


def _reload(capabilities: Capabilities, choice: Choice) -> Iterator[Check]:
    """systemd does not know about the devices a hook added to a container, and removes them (NVIDIA Container Toolkit,
    "Troubleshooting"; its issue 48)."""
    if capabilities.cgroup_driver == "systemd" and choice.mechanism != "cdi":
        text = "cgroups are systemd's: after `systemctl daemon-reload` running containers may lose their GPUs"
        fix = 'use CDI, or set "exec-opts": ["native.cgroupdriver=cgroupfs"] in daemon.json'
        yield Check(name="cgroups", state="warning", text=text, fix=fix)


def _state(snapshot: Snapshot) -> Iterator[Check]:
    for note in snapshot.notes:
        yield Check(name="note", state="warning", text=note.text)
    apply = snapshot.apply
    if apply is not None and apply.cut_off:
        text = f"the apply of {apply.operator} was interrupted"
        yield Check(name="apply", state="error", text=text, fix="`gputui rollback` rolls back what it left")
    if snapshot.engine.info is None:
        return  # running services are unknown
    severe = [finding for finding in snapshot.findings if finding.severity in ("error", "refusal")]
    if severe:
        yield Check(name="services", state="error", text=f"{len(severe)} errors", fix="see `gputui findings`")
    else:
        yield Check(name="services", state="ok", text=f"{len(snapshot.services)} use GPUs")
