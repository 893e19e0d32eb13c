//! Keepsight plugin: fails on request, to try the runtime's containment.
