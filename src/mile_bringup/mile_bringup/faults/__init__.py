"""Faults injected into a running deployment of real processes, and what became of it: `mile bench faults`."""
