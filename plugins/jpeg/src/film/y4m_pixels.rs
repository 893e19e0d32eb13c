use super::y4m_header::{Chroma, Y4mHeader};

/// The planes of a Y4M picture as pixels of [`Y4mHeader::format`], in limited range where that
/// has a range (ITU-R BT.601-7, section 2.5).
pub(super) fn pixels(header: &Y4mHeader, mut planes: Vec<u8>) -> Vec<u8> {
    let (width, height) = (header.size.width as usize, header.size.height as usize);
    let (chroma_width, chroma_height) = header.chroma_size();
    let luma_bytes = width * height;
    if header.chroma == Chroma::Mono {
        if !header.full_range {
            expand(&mut planes);
        }
        return planes;
    }
    if header.full_range {
        let (luma, chroma) = planes.split_at_mut(luma_bytes);
        luma.iter_mut().for_each(|y| *y = (16 + (u32::from(*y) * 219 + 127) / 255) as u8);
        chroma.iter_mut().for_each(|c| *c = (16 + (u32::from(*c) * 224 + 127) / 255) as u8);
    }
    match header.chroma {
        Chroma::C420 if width % 2 == 0 => {
            // Brightness stays where it is.
            let colours = planes.split_off(luma_bytes);
            let (u, v) = colours.split_at(chroma_width * chroma_height);
            planes.reserve_exact(colours.len());
            planes.extend(u.iter().zip(v).flat_map(|(u, v)| [*u, *v]));
            planes
        }
        Chroma::C420 => {
            let (luma, colours) = planes.split_at(luma_bytes);
            let (u, v) = colours.split_at(chroma_width * chroma_height);
            let mut nv12 = Vec::with_capacity((width + 1) * (height + chroma_height));
            for row in luma.chunks_exact(width) {
                nv12.extend_from_slice(row);
                nv12.push(row[width - 1]);
            }
            nv12.extend(u.iter().zip(v).flat_map(|(u, v)| [*u, *v]));
            nv12
        }
        Chroma::C422 => {
            let (luma, colours) = planes.split_at(luma_bytes);
            let (u, v) = colours.split_at(chroma_width * chroma_height);
            let mut yuyv = vec![0; luma_bytes * 2];
            let pairs = luma.as_chunks::<2>().0.iter().zip(u.iter().zip(v));
            for (out, ([first, second], (u, v))) in
                yuyv.as_chunks_mut::<4>().0.iter_mut().zip(pairs)
            {
                *out = [*first, *u, *second, *v];
            }
            yuyv
        }
        Chroma::C444 => {
            let (luma, colours) = planes.split_at(luma_bytes);
            let (u, v) = colours.split_at(luma_bytes);
            let mut rgb = vec![0; luma_bytes * 3];
            let samples = luma.iter().zip(u.iter().zip(v));
            for (out, (y, (u, v))) in rgb.as_chunks_mut::<3>().0.iter_mut().zip(samples) {
                *out = rgb_of_yuv(*y, *u, *v);
            }
            rgb
        }
        Chroma::Mono => unreachable!("returned above"),
    }
}

/// Brightness 16–235 to 0–255.
fn expand(luma: &mut [u8]) {
    for y in luma {
        *y = ((i32::from(*y) - 16) * 255 / 219).clamp(0, 255) as u8;
    }
}

/// BT.601 in limited range to full-range RGB, in 1/256ths.
fn rgb_of_yuv(y: u8, u: u8, v: u8) -> [u8; 3] {
    let luma = 298 * (i32::from(y) - 16) + 128;
    let (u, v) = (i32::from(u) - 128, i32::from(v) - 128);
    [luma + 409 * v, luma - 100 * u - 208 * v, luma + 516 * u]
        .map(|channel| (channel >> 8).clamp(0, 255) as u8)
}

#[cfg(test)]
mod tests {
    use keepsight_contract::{Frame, PixelBuffer};

    use super::*;
    use crate::Limits;

    /// Planes of one colour each, converted as the header says and then to RGB.
    #[track_caller]
    fn check(header: &str, yuv: [u8; 3], expected: [u8; 3]) {
        let header = Y4mHeader::parse(header.as_bytes(), &Limits::default()).unwrap();
        let (width, height) = header.chroma_size();
        let mut planes = vec![yuv[0]; header.size.pixel_count() as usize];
        planes.extend(vec![yuv[1]; width * height]);
        planes.extend(vec![yuv[2]; width * height]);
        assert_eq!(planes.len(), header.picture_bytes());
        let pixels = PixelBuffer::from(pixels(&header, planes));
        let frame = Frame::builder(header.format(), header.size, pixels).build().unwrap();
        let rgb = frame.to_rgb().unwrap();
        assert_eq!(rgb.pixels().len() as u64, header.size.pixel_count() * 3);
        for pixel in rgb.pixels().chunks(3) {
            let near = pixel.iter().zip(expected).all(|(a, b)| a.abs_diff(b) <= 2);
            assert!(near, "{header:?}: {pixel:?} for {expected:?}");
        }
    }

    #[test]
    fn every_kind_gives_its_colours() {
        // Red is (81, 90, 240) in limited range, (76, 85, 255) in full range.
        for kind in ["W4 H4 C420", "W5 H3 C420jpeg", "W1 H1", "W4 H3 C422", "W3 H3 C444"] {
            check(&format!("YUV4MPEG2 {kind}"), [81, 90, 240], [255, 0, 0]);
            check(&format!("YUV4MPEG2 {kind} XCOLORRANGE=FULL"), [76, 85, 255], [255, 0, 0]);
            check(&format!("YUV4MPEG2 {kind}"), [16, 128, 128], [0, 0, 0]);
        }
        check("YUV4MPEG2 W3 H3 Cmono", [77, 0, 0], [77, 77, 77]);
        check("YUV4MPEG2 W3 H3 Cmono XCOLORRANGE=LIMITED", [235, 0, 0], [255, 255, 255]);
    }

    #[test]
    fn pixels_stay_where_they_are() {
        let header = |text: &str| Y4mHeader::parse(text.as_bytes(), &Limits::default()).unwrap();
        let planes: Vec<u8> = (0..).take(12).collect();
        let nv12 = pixels(&header("YUV4MPEG2 W4 H2 C420"), planes.clone());
        assert_eq!(nv12, [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 9, 11]);
        let odd = pixels(&header("YUV4MPEG2 W3 H2 C420"), planes[..10].to_vec());
        assert_eq!(odd, [0, 1, 2, 2, 3, 4, 5, 5, 6, 8, 7, 9]);
        let yuyv = pixels(&header("YUV4MPEG2 W2 H3 C422"), planes);
        assert_eq!(yuyv, [0, 6, 1, 9, 2, 7, 3, 10, 4, 8, 5, 11]);
    }
}
