"""NVIDIA GPUs: NVML, nvidia-smi, Xids, topology."""
