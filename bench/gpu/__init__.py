"""Benchmarks on a real GPU with a real ComfyUI."""
