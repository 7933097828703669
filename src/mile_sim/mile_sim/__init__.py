"""The simulated WidowX 250s, its block-insertion task, expert and simulated operator."""
