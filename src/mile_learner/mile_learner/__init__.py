"""Intervention model, policies, learning methods, training, evaluation, bags and run folders."""
