//! Figures that are no photographs: surfaces with a pattern, whose every part can be told from
//! the others.

use crate::random::Random;
use crate::sprite::{Level, texel};

/// A round target: rings and spokes in strong colours.
pub(crate) fn disc() -> Level {
    let mut random = Random::of(&[0x6469_7363]);
    let colours: Vec<[u32; 3]> = (0..32).map(|_| colour(&mut random)).collect();
    let radius = f64::from(SIDE) / 2.0;
    painted(SIDE, SIDE, |x, y| {
        let (dx, dy) = (f64::from(x) + 0.5 - radius, f64::from(y) + 0.5 - radius);
        let distance = (dx * dx + dy * dy).sqrt();
        let eighth = usize::from(dx < 0.0) * 4
            + usize::from(dy < 0.0) * 2
            + usize::from(dx.abs() < dy.abs());
        let ring = (distance / radius * 4.0) as usize;
        // One pixel at the rim is half transparent.
        let opacity = ((radius - distance).clamp(0.0, 1.0) * 255.0) as u32;
        (colours[(eighth * 4 + ring.min(3)) % colours.len()], opacity)
    })
}

/// An upright card: a fine grain over coarse fields.
pub(crate) fn card() -> Level {
    let mut random = Random::of(&[0x6361_7264]);
    let (across, down) = (6, 9);
    let fields: Vec<[u32; 3]> = (0..across * down).map(|_| colour(&mut random)).collect();
    let (width, height) = (SIDE * 2 / 3, SIDE);
    painted(width, height, |x, y| {
        let field = (y * down / height * across + x * across / width) as usize;
        let grain = random.below(64) as u32;
        (fields[field].map(|channel| channel * 3 / 4 + grain), 255)
    })
}

fn painted(width: u32, height: u32, mut paint: impl FnMut(u32, u32) -> ([u32; 3], u32)) -> Level {
    let mut texels = Vec::with_capacity((width * height) as usize);
    for y in 0..height {
        for x in 0..width {
            let (colour, opacity) = paint(x, y);
            let [red, green, blue] = colour.map(|channel| channel.min(255) * opacity / 255);
            texels.push(texel([red, green, blue, opacity]));
        }
    }
    Level::new(width, height, &texels)
}

fn colour(random: &mut Random) -> [u32; 3] {
    [0; 3].map(|_| random.below(256) as u32)
}

/// High enough for a near figure in a picture of 1080 rows.
const SIDE: u32 = 512;
