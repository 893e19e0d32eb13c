use keepsight_contract::{
    BoundingBox, Frame, FrameSize, PixelBuffer, PixelFormat,
    testing::frames::{from_bytes, rgb},
};

use super::picture::{Level, Part, Picture};
use super::*;

/// A card of coloured fields in front of a soft background, at a place and in a size.
pub(super) fn scene(card: &BoundingBox, seed: u32) -> Frame {
    rgb(320, 240, |x, y| {
        let (u, v) = (
            (x as f32 + 0.5 - card.x) / card.width * 4.0,
            (y as f32 + 0.5 - card.y) / card.height * 6.0,
        );
        if (0.0..4.0).contains(&u) && (0.0..6.0).contains(&v) {
            let field = hash(seed, u as u32, v as u32);
            [field as u8, (field >> 8) as u8, (field >> 16) as u8]
        } else {
            let wave = 110.0 + 40.0 * (x as f32 / 17.0).sin() + 30.0 * (y as f32 / 23.0).cos();
            [wave as u8, (wave * 0.9) as u8, (wave * 0.8) as u8]
        }
    })
}

fn hash(seed: u32, x: u32, y: u32) -> u32 {
    let mut mixed = seed.wrapping_mul(0x9e37_79b9) ^ x.wrapping_mul(0x85eb_ca6b) ^ (y << 16);
    for _ in 0..3 {
        mixed = (mixed ^ (mixed >> 15)).wrapping_mul(0x2c1b_3c6d);
    }
    mixed ^ (mixed >> 13)
}

fn locate(follower: &mut CpuFollower, bbox: BoundingBox) -> Found {
    let mut found = Vec::new();
    follower.locate(&[Sought { slot: 0, bbox }], &mut found);
    found[0]
}

#[test]
fn a_card_that_moves_and_grows_is_followed() {
    let config = FollowConfig::default();
    let mut follower = CpuFollower::new(config);
    let at = |frame: u32| {
        let frame = frame as f32;
        BoundingBox::new(
            60.0 + 2.3 * frame,
            50.0 + 0.9 * frame,
            32.0 + 0.4 * frame,
            48.0 + 0.6 * frame,
        )
    };
    follower.take(&scene(&at(0), 1)).unwrap();
    follower.learn(&[Lesson { slot: 0, bbox: at(0), rate: 1.0 }]);
    let mut bbox = at(0);
    for frame in 1..50 {
        follower.take(&scene(&at(frame), 1)).unwrap();
        let found = locate(&mut follower, bbox);
        assert!(found.is_clear(&config), "frame {frame}: {found:?}");
        bbox = found.bbox;
        assert!(bbox.iou(&at(frame)) > 0.75, "frame {frame}: {bbox:?}, {:?}", at(frame));
        follower.learn(&[Lesson { slot: 0, bbox, rate: config.learning_rate }]);
    }
}

#[test]
fn what_has_gone_is_not_found() {
    let config = FollowConfig::default();
    let mut follower = CpuFollower::new(config);
    let card = BoundingBox::new(100.0, 80.0, 40.0, 60.0);
    follower.take(&scene(&card, 1)).unwrap();
    follower.learn(&[Lesson { slot: 0, bbox: card, rate: 1.0 }]);
    let there = locate(&mut follower, card);
    follower.take(&scene(&BoundingBox::new(-500.0, 0.0, 40.0, 60.0), 1)).unwrap();
    let gone = locate(&mut follower, card);
    assert!(there.is_clear(&config), "{there:?}");
    assert!(there.likeness > 0.9, "{there:?}");
    assert!(!gone.is_there(&config), "{gone:?}");
    assert!(gone.likeness < 0.3, "{gone:?}");
}

#[test]
fn each_filter_likes_its_own_target_best() {
    let mut follower = CpuFollower::new(FollowConfig::default());
    let card = BoundingBox::new(100.0, 80.0, 40.0, 60.0);
    for slot in 0..3 {
        follower.take(&scene(&card, slot as u32)).unwrap();
        follower.learn(&[Lesson { slot, bbox: card, rate: 1.0 }]);
    }
    let mut found = Vec::new();
    for shown in 0..3 {
        follower.take(&scene(&card, shown as u32)).unwrap();
        let sought = [0, 1, 2].map(|slot| Sought { slot, bbox: card });
        follower.compare(&sought, &mut found);
        for (slot, found_) in found.iter().enumerate() {
            if slot == shown {
                assert!(found_.likeness > 0.9, "{found:?}");
            } else {
                assert!(found_.likeness < 0.6, "{found:?}");
            }
        }
    }
}

#[test]
fn boxes_that_are_anywhere_or_nothing_do_no_harm() {
    let mut follower = CpuFollower::new(FollowConfig::default());
    let card = BoundingBox::new(100.0, 80.0, 40.0, 60.0);
    follower.take(&scene(&card, 1)).unwrap();
    follower.learn(&[Lesson { slot: 3, bbox: card, rate: 1.0 }]);
    for bbox in [
        BoundingBox::new(-1e6, 1e6, 10.0, 10.0),
        BoundingBox::new(0.0, 0.0, 1e6, 1e6),
        BoundingBox::new(0.0, 0.0, 1e-6, 1e6),
        BoundingBox::new(f32::NAN, 0.0, f32::INFINITY, 1.0),
    ] {
        let mut found = Vec::new();
        follower.locate(&[Sought { slot: 3, bbox }], &mut found);
        assert_eq!(found.len(), 1);
        follower.learn(&[Lesson { slot: 0, bbox, rate: 1.0 }]);
    }
    let tiny = from_bytes(PixelFormat::Gray, 1, 1, vec![7]);
    follower.take(&tiny).unwrap();
    let mut found = Vec::new();
    follower.locate(&[Sought { slot: 3, bbox: card }], &mut found);
    assert_eq!(found.len(), 1);
}

fn whole(picture: &mut Picture, index: usize) -> &Level {
    let [width, height] = picture.level_size(index);
    picture.level(index, &Part { columns: 0..width, rows: 0..height })
}

/// The same picture in every format, 6 × 4: two colours side by side.
#[test]
fn formats_agree_about_luma_and_chroma() {
    let size = FrameSize::new(6, 4);
    let (yuv_left, yuv_right) = ([81, 90, 240], [145, 54, 34]);
    let of = |x: usize| if x < 2 { yuv_left } else { yuv_right };
    let yuyv: Vec<u8> = (0..4)
        .flat_map(|_| {
            (0..3).flat_map(move |pair| {
                let [y, u, v] = of(2 * pair);
                [y, u, y, v]
            })
        })
        .collect();
    // With padded rows.
    let mut nv12 = Vec::new();
    for _ in 0..4 {
        nv12.extend((0..6).map(|x| of(x)[0]).chain([99, 99]));
    }
    for _ in 0..2 {
        nv12.extend((0..3).flat_map(|pair| [of(2 * pair)[1], of(2 * pair)[2]]).chain([99, 99]));
    }
    let nv12 =
        Frame::builder(PixelFormat::Nv12, size, PixelBuffer::from(nv12)).stride(8).build().unwrap();
    let (mut left, mut right) = (Picture::default(), Picture::default());
    left.take(&from_bytes(PixelFormat::Yuyv, 6, 4, yuyv)).unwrap();
    right.take(&nv12).unwrap();
    for picture in [&mut left, &mut right] {
        let level = whole(picture, 0);
        assert_eq!(level.luma.row(3), [81, 81, 145, 145, 145, 145]);
        assert_eq!(level.chroma[0].row(1), [90, 54, 54]);
        assert_eq!(level.chroma[1].row(1), [240, 34, 34]);
    }

    let mut colours = Picture::default();
    colours.take(&rgb(3, 3, |x, _| if x == 2 { [0, 0, 255] } else { [255, 0, 0] })).unwrap();
    let level = whole(&mut colours, 0);
    assert_eq!(level.luma.row(2), [77, 77, 29]);
    assert_eq!([level.chroma[0].row(1), level.chroma[1].row(1)], [[85, 255], [255, 107]]);

    let mut gray = Picture::default();
    gray.take(&from_bytes(PixelFormat::Gray, 2, 1, vec![5, 250])).unwrap();
    let level = whole(&mut gray, 0);
    assert_eq!((level.luma.row(0), level.chroma[0].row(0)), (&[5, 250][..], &[128][..]));
}

#[test]
fn levels_are_means_of_four_and_end_while_something_is_left() {
    let mut picture = Picture::default();
    let pixels = (0..70 * 65).map(|at| (at % 70 * 3) as u8).collect();
    picture.take(&from_bytes(PixelFormat::Gray, 70, 65, pixels)).unwrap();
    assert_eq!(picture.level_count(), 3);
    assert_eq!(picture.level_size(2), [17, 16]);
    let level = whole(&mut picture, 1);
    assert_eq!((level.luma.width, level.luma.height), (35, 32));
    assert_eq!(level.luma.row(31)[..3], [2, 8, 14]);
}

#[test]
fn a_frame_that_cannot_be_decoded_says_so() {
    let mut follower = CpuFollower::new(FollowConfig::default());
    let broken = from_bytes(PixelFormat::Mjpeg, 8, 8, vec![1, 2, 3]);
    assert!(matches!(follower.take(&broken), Err(FollowError::Decode(_))));
}
