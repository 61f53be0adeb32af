"""One recipe over several values, or soups over several weights: trained, measured, and their front."""
