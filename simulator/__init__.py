"""GPUs and ComfyUI workers for machines that have neither."""
