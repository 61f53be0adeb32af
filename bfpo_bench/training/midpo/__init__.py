"""MidPO, arXiv 2506.02460: a router over a LoRA expert for safety and one for helpfulness."""
