"""What is claimed about speed and agreement, as scripts; `python -m benchmarks` runs those of speed."""
