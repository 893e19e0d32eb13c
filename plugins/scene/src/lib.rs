//! Keepsight source: a generated scene with exact ground truth.
//!
//! `scene:` shows people and cats, cut out of photographs, that walk over a square: they cross
//! and hide each other, come nearer and go away, enter and leave. A detector finds them as it
//! finds real ones, and beside each frame stands the [`Truth`](keepsight_contract::Truth): which
//! object is where and how much of it can be seen.
//!
//! | parameter | default | |
//! |---|---|---|
//! | `targets` | 5 | objects in the scene, 0–64 |
//! | `seed` | 1 | chooses who walks where |
//! | `size` | what is wished, else 640x480 | 64x48 to 4096x4096, an even width |
//! | `fps` | what is wished, else 30 | 0.1–240 |
//! | `frames` | endless | ends after as many |
//! | `noise` | 2 | standard deviation of the sensor's noise, 0–50 of 255 |
//! | `format` | `yuyv` | `yuyv`, as cameras give, or `rgb` |
//! | `figures` | `photographs` | or `shapes`: discs and cards with a pattern; `mixed`: both |
//! | `turn` | 0 | degrees by which figures turn to either side, 0–180 |
//! | `background` | `still` | or `moving`: the square passes by as behind a camera that turns |
//! | `shake` | 0 | pixels by which the camera shakes at most, 0–64 |
//! | `light` | 0 | share of the light that comes and goes, by clouds and by a switch, 0–0.9 |
//!
//! The same parameters give the same bytes, on any machine: whatever is random comes from the
//! seed and the frame's number, and no function of the system's mathematics library is used.
//!
//! At native pace the scene is live: who asks late misses frames, as with a camera. Unpaced, or
//! with `frames`, no frame is left out.

mod background;
mod blit;
mod camera;
mod noise;
mod random;
mod renderer;
mod settings;
mod source;
mod sprite;
mod textures;
mod world;
mod yuyv;

pub use source::SceneSource;
