//! wgpu devices for Keepsight plugins: choice, probe, device loss.
