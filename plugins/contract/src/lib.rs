//! What plugin and source authors depend on: the Keepsight contract.
