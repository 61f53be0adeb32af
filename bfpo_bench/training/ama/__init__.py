"""Adaptive Message-wise Alignment (AMA) of Equilibrate RLHF, arXiv 2502.11555: gradient for some segments."""
