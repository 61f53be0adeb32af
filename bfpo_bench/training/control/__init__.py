"""Control tokens (arXiv 2404.01295): levels from judges' scores, and training on what has levels."""
