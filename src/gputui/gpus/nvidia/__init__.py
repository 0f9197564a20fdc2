"""GPUs of NVIDIA: NVML, nvidia-smi, Xids, topology."""
