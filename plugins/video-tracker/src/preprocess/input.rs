use keepsight_contract::{BoundingBox, FrameSize};

use super::error::PreprocessError;

/// The picture a model wants: one tensor of shape 1 × 3 × height × width, `f32`,
/// row-major, each element `level × scale + offset` with a level in 0–255.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ModelInput {
    /// Columns of the tensor, 1–4096.
    pub width: u32,
    /// Rows of the tensor, 1–4096.
    pub height: u32,
    /// Which colour comes first along the second axis.
    pub color_order: ColorOrder,
    /// What a level is multiplied with.
    pub scale: f32,
    /// What is added then.
    pub offset: f32,
    /// How a picture of another shape is fitted in.
    pub padding: Padding,
}

/// The order of the three colour planes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColorOrder {
    /// Red, green, blue.
    Rgb,
    /// Blue, green, red.
    Bgr,
}

/// How a picture of another shape than the model's is fitted in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Padding {
    /// Width and height are scaled each by itself; nothing is left over.
    Stretch,
    /// The shape is kept, the picture put into the top left corner, and the
    /// rest filled with this level, 0–255.
    LetterboxTopLeft(f32),
}

/// Where a picture lies in the model's input, and so how to get back.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Placement {
    picture: FrameSize,
    content: FrameSize,
}

impl ModelInput {
    /// Elements of the tensor.
    pub fn elements(&self) -> usize {
        3 * self.plane_elements()
    }

    /// Elements of one colour plane.
    pub fn plane_elements(&self) -> usize {
        self.width as usize * self.height as usize
    }

    /// The tensor's shape.
    pub fn shape(&self) -> [usize; 4] {
        [1, 3, self.height as usize, self.width as usize]
    }

    pub(super) fn check_tensor(&self, tensor: &[f32]) -> Result<(), PreprocessError> {
        let (needed, found) = (self.elements(), tensor.len());
        if needed == found { Ok(()) } else { Err(PreprocessError::Tensor { needed, found }) }
    }

    /// Where a picture of this size, which is not empty, is put.
    pub fn placement(&self, picture: FrameSize) -> Placement {
        let content = match self.padding {
            Padding::Stretch => FrameSize::new(self.width, self.height),
            Padding::LetterboxTopLeft(_) => {
                let [width, height] = [self.width, self.height].map(u64::from);
                let [picture_width, picture_height] =
                    [picture.width, picture.height].map(u64::from);
                // Rounded down, as the reference implementation of YOLOX does.
                if picture_width * height <= picture_height * width {
                    let content = picture_width * height / picture_height;
                    FrameSize::new((content as u32).max(1), self.height)
                } else {
                    let content = picture_height * width / picture_width;
                    FrameSize::new(self.width, (content as u32).max(1))
                }
            }
        };
        Placement { picture, content }
    }
}

impl Placement {
    /// The picture's size, in pixels.
    pub fn picture(&self) -> FrameSize {
        self.picture
    }

    /// The part of the model's input that the picture fills, from the top left
    /// corner, in elements.
    pub fn content(&self) -> FrameSize {
        self.content
    }

    /// A box from the model's input, given by its corners there (left, top,
    /// right, bottom), in pixels of the picture and clipped to it; `None` where
    /// nothing of it is in the picture or a number isn't finite.
    pub fn to_picture(&self, corners: [f32; 4]) -> Option<BoundingBox> {
        let [left, top, right, bottom] = corners;
        let x = self.picture.width as f32 / self.content.width as f32;
        let y = self.picture.height as f32 / self.content.height as f32;
        let mapped = BoundingBox::from_corners(left * x, top * y, right * x, bottom * y);
        mapped.is_valid().then(|| mapped.clipped(self.picture)).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(padding: Padding) -> ModelInput {
        ModelInput {
            width: 416,
            height: 416,
            color_order: ColorOrder::Bgr,
            scale: 1.0,
            offset: 0.0,
            padding,
        }
    }

    #[track_caller]
    fn check(picture: (u32, u32), content: (u32, u32)) {
        let placement =
            input(Padding::LetterboxTopLeft(114.0)).placement(FrameSize::new(picture.0, picture.1));
        assert_eq!(placement.content(), FrameSize::new(content.0, content.1));
    }

    #[test]
    fn a_letterbox_keeps_the_shape() {
        check((640, 480), (416, 312));
        check((480, 640), (312, 416));
        check((1920, 1080), (416, 234));
        check((416, 416), (416, 416));
        check((1, 1), (416, 416));
        check((65_535, 1), (416, 1));
        check((1, 65_535), (1, 416));
    }

    #[test]
    fn boxes_find_back_into_the_picture() {
        let size = FrameSize::new(640, 480);
        let letterbox = input(Padding::LetterboxTopLeft(114.0)).placement(size);
        assert_eq!(
            letterbox.to_picture([104.0, 78.0, 208.0, 156.0]),
            Some(BoundingBox::new(160.0, 120.0, 160.0, 120.0))
        );
        assert_eq!(
            letterbox.to_picture([-50.0, 0.0, 416.0, 416.0]),
            Some(BoundingBox::new(0.0, 0.0, 640.0, 480.0))
        );
        let stretched = input(Padding::Stretch).placement(size);
        assert_eq!(
            stretched.to_picture([104.0, 104.0, 208.0, 208.0]),
            Some(BoundingBox::new(160.0, 120.0, 160.0, 120.0))
        );
    }

    #[test]
    fn what_is_no_box_in_the_picture_is_dropped() {
        let placement = input(Padding::LetterboxTopLeft(114.0)).placement(FrameSize::new(640, 480));
        for corners in [
            [0.0, 320.0, 416.0, 400.0],
            [10.0, 10.0, 10.0, 20.0],
            [20.0, 10.0, 10.0, 20.0],
            [f32::NAN, 0.0, 1.0, 1.0],
            [0.0, 0.0, f32::INFINITY, 1.0],
        ] {
            assert_eq!(placement.to_picture(corners), None, "{corners:?}");
        }
    }
}
