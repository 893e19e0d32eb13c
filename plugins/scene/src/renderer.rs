//! Draws a frame of the scene and writes down what is in it.

use keepsight_contract::{BoundingBox, PixelFormat, Truth, TruthObject};

use crate::background::Backdrop;
use crate::blit::{Layers, Placement, Seen};
use crate::camera::Camera;
use crate::noise::Noise;
use crate::settings::Settings;
use crate::sprite::{Level, Sprites};
use crate::world::{HEIGHT_MAX, Pose, World};
use crate::yuyv::yuyv_from_rgb;

/// Everything that is needed for any frame of the scene.
pub(crate) struct Renderer {
    world: World,
    sprites: Sprites,
    camera: Camera,
    backdrop: Backdrop,
    layers: Layers,
    noise: Option<Noise>,
    rate: f64,
    format: PixelFormat,
}

impl Renderer {
    pub(crate) fn new(settings: &Settings) -> Self {
        let (width, height) = (settings.size.width as usize, settings.size.height as usize);
        let world = World::new(settings.seed, settings.targets, width as f64 / height as f64);
        let camera = Camera::new(settings);
        let [columns, rows] = camera.margin();
        Self {
            world: world.with_figures(settings.figures, settings.turn),
            sprites: Sprites::of(settings.figures, HEIGHT_MAX * height as f64),
            backdrop: Backdrop::new(width + columns, height + rows),
            camera,
            layers: Layers::new(width, height),
            noise: Noise::new(settings.seed, settings.noise),
            rate: settings.rate,
            format: settings.format,
        }
    }

    /// The pixels of frame `sequence` in the scene's format, rows without padding, and the truth
    /// about them.
    pub(crate) fn render(&mut self, sequence: u64) -> (Vec<u8>, Truth) {
        let seconds = sequence as f64 / self.rate;
        let poses = self.world.poses(seconds);
        let (width, height) = (self.layers.width as f64, self.layers.height as f64);
        self.layers.begin(&self.backdrop, self.camera.corner(seconds));
        let [right, down] = self.camera.shift(seconds);
        let mut whole = Vec::with_capacity(poses.len());
        for pose in &poses {
            let pixels = pose.height * height;
            let sprite = self.sprites.sprite(pose.figure);
            let level = sprite.level_for(pixels);
            let scale = pixels / f64::from(level.height);
            let foot = [width / 2.0 + pose.foot[0] * height + right, pose.foot[1] * height + down];
            let half_width = f64::from(level.width) / 2.0 * scale;
            self.layers.shade(foot, [half_width * 1.1, half_width * 0.22]);
            let Pose { tilt, mirrored, light, .. } = *pose;
            self.layers.draw(level, &Placement { foot, scale, tilt, mirrored, light });
            whole.push(solid_pixels(level, scale));
        }

        let seen = self.layers.seen();
        let objects = poses.iter().zip(seen).zip(whole).filter(|((_, seen), _)| seen.drawn > 0);
        let objects = objects.map(|((pose, seen), whole)| TruthObject {
            id: pose.id,
            bbox: bounding_box(seen),
            class: self.sprites.sprite(pose.figure).class.to_owned(),
            visibility: self.visibility(seen, whole),
        });
        let truth = Truth { objects: objects.collect() };

        let brightness = self.camera.brightness(seconds);
        if brightness < 256 {
            for value in &mut self.layers.rgb {
                *value = ((u32::from(*value) * brightness) >> 8) as u8;
            }
        }
        if let Some(noise) = &self.noise {
            noise.add(&mut self.layers.rgb, self.layers.width * 3, sequence);
        }
        let pixels = match self.format {
            PixelFormat::Yuyv => yuyv_from_rgb(&self.layers.rgb),
            _ => self.layers.rgb.clone(),
        };
        (pixels, truth)
    }

    /// Visible pixels in shares of all. Of a figure that the picture's edge cuts, all are those
    /// of its sprite, scaled; of another, those that were drawn, which is exact.
    fn visibility(&self, seen: &Seen, whole: f64) -> f32 {
        let [left, top, right, bottom] = seen.edges;
        let cut =
            left == 0 || top == 0 || right == self.layers.width || bottom == self.layers.height;
        let drawn = f64::from(seen.drawn);
        let all = if cut { whole.max(drawn) } else { drawn };
        (f64::from(seen.visible) / all) as f32
    }
}

/// How many pixels of the picture a figure covers.
fn solid_pixels(level: &Level, scale: f64) -> f64 {
    f64::from(level.solid) * scale * scale
}

fn bounding_box(seen: &Seen) -> BoundingBox {
    let [left, top, right, bottom] = seen.edges.map(|edge| edge as f32);
    BoundingBox::from_corners(left, top, right, bottom)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use keepsight_contract::{CaptureWish, FrameSize};

    use super::*;

    fn renderer(uri: &str) -> Renderer {
        let settings = Settings::of(&uri.parse().unwrap(), &CaptureWish::default()).unwrap();
        Renderer::new(&settings)
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes() {
        let uri = "scene:?size=320x240&targets=6";
        let (mut once, mut again) = (renderer(uri), renderer(uri));
        // In another order, too: a frame depends on its number alone.
        for sequence in [0, 50, 10] {
            assert_eq!(once.render(sequence), again.render(sequence));
        }
        let first = renderer(uri).render(10);
        assert_eq!(once.render(10), first);
        assert_ne!(renderer("scene:?size=320x240&targets=6&seed=2").render(10).0, first.0);
    }

    #[test]
    fn truth_lies_within_the_picture_and_says_what_is_hidden() {
        let mut renderer = renderer("scene:?size=320x240&targets=8");
        let size = FrameSize::new(320, 240);
        let (mut hidden, mut free) = (0, 0);
        let mut classes = BTreeMap::new();
        for sequence in (0..900).step_by(15) {
            for object in renderer.render(sequence).1.objects {
                assert!(object.bbox.is_valid());
                assert_eq!(object.bbox.clipped(size), Some(object.bbox), "frame {sequence}");
                assert!((0.0..=1.0).contains(&object.visibility));
                if object.visibility < 0.5 {
                    hidden += 1
                }
                if object.visibility == 1.0 {
                    free += 1
                }
                *classes.entry(object.class).or_insert(0) += 1;
            }
        }
        assert!(hidden > 20 && free > 20, "{hidden} mostly hidden, {free} free");
        assert_eq!(classes.keys().collect::<Vec<_>>(), ["cat", "person"]);
    }

    #[test]
    fn the_box_holds_all_that_differs_from_the_background() {
        let mut alone = renderer("scene:?size=640x480&targets=1&noise=0&format=rgb");
        let empty = alone.backdrop.rgb.clone();
        let (pixels, truth) = alone.render(40);
        let [object] = &truth.objects[..] else { panic!("one object, not {truth:?}") };
        let [left, top, right, bottom] = object.bbox.corners().map(|edge| edge as usize);
        let mut found = [usize::MAX, usize::MAX, 0, 0];
        for (at, (now, before)) in pixels.chunks(3).zip(empty.chunks(3)).enumerate() {
            let (x, y) = (at % 640, at / 640);
            // The shadow reaches out beside the foot; above, all that differs is the figure.
            let differs = now.iter().zip(before).any(|(a, b)| a.abs_diff(*b) > 40);
            if differs && y + 40 < bottom {
                found =
                    [found[0].min(x), found[1].min(y), found[2].max(x + 1), found[3].max(y + 1)];
            }
        }
        assert!(found[0] + 1 >= left && found[2] <= right + 1 && found[1] + 1 >= top, "{found:?}");
        assert!(found[1].abs_diff(top) <= 3, "the top of the box is the top of the figure");
        assert_eq!(object.visibility, 1.0);
    }

    #[test]
    fn a_scene_may_be_empty_or_crowded() {
        let (pixels, truth) = renderer("scene:?targets=0&noise=0&size=64x48").render(0);
        assert!(truth.objects.is_empty());
        assert_eq!(pixels.len(), 64 * 48 * 2);
        let crowd = renderer("scene:?targets=64&size=320x240").render(7).1;
        assert!(crowd.objects.len() > 40);
        let sum: f32 = crowd.objects.iter().map(|object| object.visibility).sum();
        assert!(sum < crowd.objects.len() as f32 * 0.7, "in a crowd most are partly hidden");
    }

    #[test]
    fn figures_turn_and_their_boxes_with_them() {
        let mut renderer = renderer("scene:?size=320x240&targets=6&figures=shapes&turn=90");
        let mut shapes = (0, 0);
        for sequence in (0..600).step_by(20) {
            for object in renderer.render(sequence).1.objects {
                assert_eq!(object.class, "shape");
                if object.visibility == 1.0 {
                    let wide = object.bbox.width > object.bbox.height * 1.2;
                    if wide { shapes.0 += 1 } else { shapes.1 += 1 }
                }
            }
        }
        assert!(shapes.0 > 3 && shapes.1 > 20, "lying, and not: {shapes:?}");
    }

    #[test]
    fn what_shakes_takes_its_truth_along() {
        let uri = "scene:?size=320x240&targets=1&noise=0&format=rgb";
        let (mut still, mut shaken) = (renderer(uri), renderer(&format!("{uri}&shake=12")));
        let mut moved = 0;
        for sequence in (0..90).step_by(3) {
            let [right, down] = shaken.camera.shift(sequence as f64 / 30.0);
            let (before, now) = (still.render(sequence).1, shaken.render(sequence).1);
            let ([before], [now]) = (&before.objects[..], &now.objects[..]) else {
                panic!("one object in each")
            };
            let [left, top, ..] = before.bbox.corners();
            let cut = now.visibility < 1.0 || before.visibility < 1.0;
            if !cut && (right != 0.0 || down != 0.0) {
                let found = now.bbox.corners();
                let expected = [left + right as f32, top + down as f32];
                assert!((found[0] - expected[0]).abs() <= 1.0, "{found:?} for {expected:?}");
                assert!((found[1] - expected[1]).abs() <= 1.0, "{found:?} for {expected:?}");
                moved += 1;
            }
        }
        assert!(moved > 10, "only {moved} frames were moved");
    }

    #[test]
    fn light_and_background_change_and_the_truth_does_not() {
        let uri = "scene:?size=320x240&targets=3&noise=0&format=rgb";
        let mut plain = renderer(uri);
        let mean = |pixels: &[u8]| {
            pixels.iter().map(|it| u64::from(*it)).sum::<u64>() as f64 / pixels.len() as f64
        };
        for params in ["&light=0.8", "&background=moving"] {
            let mut other = renderer(&format!("{uri}{params}"));
            let mut differ = 0;
            for sequence in (0..300).step_by(30) {
                let (before, now) = (plain.render(sequence), other.render(sequence));
                assert_eq!(before.1, now.1, "{params}, frame {sequence}");
                differ += i32::from(before.0 != now.0);
                if params.contains("light") {
                    assert!(mean(&now.0) < mean(&before.0), "frame {sequence}");
                }
            }
            assert!(differ >= 9, "{params}: {differ} frames differ");
        }
    }
}
