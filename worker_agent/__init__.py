"""Drives the ComfyUI workers of one GPU host."""
