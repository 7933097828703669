"""Pad to arbitration to record."""
