"""From tuned probabilities to labels: blend, random walker, allowed changes."""
