"""The data side of Equilibrate RLHF (FDC), arXiv 2502.11555: groups of safety data, and their shares."""
