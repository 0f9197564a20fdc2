"""The lab: a real container engine and a stand-in NVIDIA driver on a machine without a GPU."""
