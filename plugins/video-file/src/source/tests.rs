use std::fs;
use std::path::Path;

use keepsight_contract::testing::{RecordingHost, call_context};
use keepsight_jpeg::{AviWriter, Picture, encode};
use tempfile::TempDir;

use super::*;

fn jpeg(brightness: u8) -> Vec<u8> {
    encode(&Picture::filled(32, 16, [brightness; 3]), 90).unwrap()
}

/// A gray PNG of 2 × 1 pixels, 7 and 9.
const PNG: &[u8] = &[
    0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0x00, 0x00, 0x00, 0x0d, 0x49, 0x48, 0x44, 0x52,
    0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x01, 0x08, 0x00, 0x00, 0x00, 0x00, 0xd1, 0x49, 0x20,
    0x56, 0x00, 0x00, 0x00, 0x0b, 0x49, 0x44, 0x41, 0x54, 0x78, 0x9c, 0x63, 0x60, 0xe7, 0x04, 0x00,
    0x00, 0x1a, 0x00, 0x11, 0x60, 0xcd, 0x24, 0x92, 0x00, 0x00, 0x00, 0x00, 0x49, 0x45, 0x4e, 0x44,
    0xae, 0x42, 0x60, 0x82,
];

/// A folder with the given files.
fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (name, bytes) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    folder
}

fn open_at(path: &Path, params: &str, pace: Pace) -> Result<FileSource, SourceError> {
    let uri = format!("file:{}{params}", path.display()).parse().unwrap();
    let wish = CaptureWish { pace, ..CaptureWish::default() };
    let call = call_context(Duration::from_secs(5));
    FileSource::open(&uri, &wish, &call, &RecordingHost::new().host())
}

fn open(path: &Path) -> FileSource {
    open_at(path, "", Pace::Unpaced).unwrap()
}

fn event(source: &mut FileSource) -> Result<SourceEvent, SourceError> {
    source.next(&call_context(Duration::from_secs(5)))
}

fn next(source: &mut FileSource) -> Frame {
    match event(source).unwrap() {
        SourceEvent::Frame(frame) => frame,
        other => panic!("{other:?} instead of a frame"),
    }
}

/// Brightness of a frame's first pixel, in steps of ten: which picture it is.
fn tens(frame: &Frame) -> u8 {
    (frame.luma().unwrap().pixels[0] + 5) / 10
}

#[track_caller]
fn check_fault(path: &Path, fault: SourceFault, named: &str) {
    let error = open_at(path, "", Pace::Unpaced).err().expect("an error");
    assert_eq!(error.fault(), fault, "{error}");
    assert!(error.reason().contains(named), "{error}");
}

#[test]
fn pictures_come_in_natural_order_and_then_it_ends() {
    let [one, two, ten] = [jpeg(10), jpeg(20), jpeg(100)];
    let files: [(&str, &[u8]); 4] =
        [("2.JPG", &two), ("10.jpeg", &ten), ("1.jpg", &one), ("notes.txt", b"no picture")];
    let folder = folder(&files);
    let mut source = open(folder.path());
    let info = source.info();
    assert_eq!((info.format, info.size), (PixelFormat::Mjpeg, FrameSize::new(32, 16)));
    assert_eq!((info.rate, info.live), (Some(30.0), false));
    let frames = [next(&mut source), next(&mut source), next(&mut source)];
    assert_eq!(frames.each_ref().map(tens), [1, 2, 10]);
    assert_eq!(frames.each_ref().map(Frame::sequence), [0, 1, 2]);
    let step = frames[2].captured() - frames[1].captured();
    assert!(step.abs_diff(Duration::from_secs_f64(1.0 / 30.0)) < Duration::from_micros(1));
    for _ in 0..2 {
        assert!(matches!(event(&mut source).unwrap(), SourceEvent::Ended));
    }
}

#[test]
fn a_sequence_is_found_by_its_folder_or_its_pictures() {
    let (picture, ini) = (jpeg(10), b"[Sequence]\nimDir=img1\nframeRate=14\n");
    let folder = folder(&[("seq/img1/000001.jpg", &picture), ("seq/seqinfo.ini", ini)]);
    for path in ["seq", "seq/img1", "seq/img1/", "seq/../seq/img1/."] {
        let source = open(&folder.path().join(path));
        assert_eq!(source.info().rate, Some(14.0), "{path}");
    }
    let other = open_at(&folder.path().join("seq"), "?fps=5", Pace::Unpaced).unwrap();
    assert_eq!(other.info().rate, Some(5.0), "what the URI says counts more");
}

#[test]
fn a_film_of_jpegs_is_read_and_repeated() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("film.avi");
    let mut film = AviWriter::create(&path, FrameSize::new(32, 16), 12.5).unwrap();
    for brightness in [10, 20, 30] {
        film.push(&jpeg(brightness)).unwrap();
    }
    film.finish().unwrap();

    let mut source = open_at(&path, "?loop=1", Pace::Unpaced).unwrap();
    assert_eq!(source.info().rate, Some(12.5));
    for round in 0..3 {
        for nth in 0..3 {
            let frame = match event(&mut source).unwrap() {
                SourceEvent::Restarted(frame) if nth == 0 && round > 0 => frame,
                SourceEvent::Frame(frame) if nth > 0 || round == 0 => frame,
                other => panic!("round {round}, frame {nth}: {other:?}"),
            };
            assert_eq!(frame.sequence(), round * 3 + nth);
            assert_eq!(u64::from(tens(&frame)), nth + 1);
        }
    }
}

#[test]
fn a_png_is_decoded_at_once() {
    let folder = folder(&[("a.png", PNG)]);
    for path in [folder.path().to_owned(), folder.path().join("a.png")] {
        let mut source = open(&path);
        assert_eq!(source.info().format, PixelFormat::Rgb);
        assert_eq!(next(&mut source).pixels(), [7, 7, 7, 9, 9, 9]);
        assert!(matches!(event(&mut source).unwrap(), SourceEvent::Ended));
    }
}

#[test]
fn what_cannot_be_opened_is_named() {
    let (picture, ini) = (jpeg(10), b"frameRate=never");
    let folder = folder(&[
        ("empty/notes.txt", b""),
        ("film.mp4", b"\0\0\0\x18ftypmp42"),
        ("nothing.avi", b""),
        ("cut.jpg", &picture[..picture.len() - 40]),
        ("damaged/1.jpg", b"\xff\xd8\xff\xe0 but no JPEG"),
        ("damaged.png", &PNG[..40]),
        ("seq/seqinfo.ini", ini),
        ("seq/img1/1.jpg", &picture),
        ("lost/seqinfo.ini", b"imDir=elsewhere"),
    ]);
    let at = |name: &str| folder.path().join(name);
    check_fault(&at("missing"), SourceFault::NotFound, "missing");
    check_fault(&at("empty"), SourceFault::Invalid, "empty has no JPEG");
    check_fault(&at("film.mp4"), SourceFault::Unsupported, "film.mp4");
    check_fault(&at("nothing.avi"), SourceFault::Unsupported, "nothing.avi");
    check_fault(&at("cut.jpg"), SourceFault::Invalid, "cut.jpg: damaged");
    check_fault(&at("damaged"), SourceFault::Invalid, "1.jpg: damaged");
    check_fault(&at("damaged.png"), SourceFault::Invalid, "damaged.png: damaged PNG");
    check_fault(&at("seq"), SourceFault::Invalid, "seqinfo.ini: frameRate=never");
    check_fault(&at("lost"), SourceFault::NotFound, "elsewhere");
}

#[test]
fn a_film_without_frames_or_of_another_codec_is_named() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("film.avi");
    let film = AviWriter::create(&path, FrameSize::new(32, 16), 25.0).unwrap();
    film.finish().unwrap();
    check_fault(&path, SourceFault::Invalid, "has no frames");
    fs::write(&path, b"RIFF\x04\0\0\0AVI ").unwrap();
    check_fault(&path, SourceFault::Unsupported, "no Motion JPEG");
}

#[test]
fn pictures_of_other_sizes_and_formats_come_as_they_are() {
    let wide = encode(&Picture::filled(48, 16, [20; 3]), 90).unwrap();
    let folder =
        folder(&[("1.jpg", &jpeg(10)), ("2.jpg", &wide), ("3.png", PNG), ("4.jpg", &wide)]);
    let mut source = open(folder.path());
    assert_eq!(source.info().size, FrameSize::new(32, 16), "what the first one has");
    let frames = [(); 4].map(|()| next(&mut source));
    let seen = frames.each_ref().map(|frame| (frame.format(), frame.size().to_string()));
    let seen = seen.each_ref().map(|(format, size)| (*format, size.as_str()));
    let (jpeg, rgb) = (PixelFormat::Mjpeg, PixelFormat::Rgb);
    assert_eq!(seen, [(jpeg, "32x16"), (jpeg, "48x16"), (rgb, "2x1"), (jpeg, "48x16")]);
    assert_eq!(frames[1].decoded().unwrap().size(), FrameSize::new(48, 16));
    assert!(matches!(event(&mut source).unwrap(), SourceEvent::Ended));
}

#[test]
fn a_picture_whose_middle_is_damaged_is_named_when_it_is_decoded() {
    let mut picture = Picture::filled(64, 64, [0; 3]);
    for (at, value) in picture.rgb_mut().iter_mut().enumerate() {
        *value = (at * at % 251) as u8;
    }
    // Header and end are there, but in between another picture begins.
    let mut bytes = encode(&picture, 80).unwrap();
    let scan = bytes.windows(2).position(|pair| pair == [0xff, 0xda]).unwrap();
    let middle = (scan + bytes.len()) / 2;
    bytes[middle..middle + 2].copy_from_slice(&[0xff, 0xd8]);
    let folder = folder(&[("1.jpg", &bytes)]);
    let error = next(&mut open(folder.path())).decoded().unwrap_err();
    assert!(error.to_string().contains("1.jpg"), "{error}");
}

#[test]
fn a_picture_too_large_to_be_one_is_refused() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("1.jpg");
    // Sparse: costs no disk.
    let file = fs::File::create(&path).unwrap();
    file.set_len((64 << 20) + 1).unwrap();
    check_fault(folder.path(), SourceFault::Invalid, "67108865 bytes large");
}

#[test]
fn at_native_pace_no_frame_comes_early_and_a_call_returns_soon() {
    let pictures = [jpeg(10), jpeg(20)];
    let folder = folder(&[("1.jpg", &pictures[0]), ("2.jpg", &pictures[1])]);
    let mut source = open_at(folder.path(), "?fps=0.1", Pace::Native).unwrap();
    next(&mut source);
    assert!(matches!(event(&mut source).unwrap(), SourceEvent::Pending));
    // Ten seconds later:
    source.started -= Duration::from_secs(10);
    let frame = next(&mut source);
    assert_eq!((frame.sequence(), tens(&frame)), (1, 2));
    assert!(frame.captured() <= Instant::now());
}

#[test]
fn a_damaged_picture_is_counted_and_left_out() {
    let [one, three] = [jpeg(10), jpeg(30)];
    let folder = folder(&[
        ("0.jpg", b"\xff\xd8\xff\xe0 but no JPEG"),
        ("1.jpg", &one),
        ("2.jpg", &one[..300]),
        ("3.jpg", &three),
        ("4.png", &PNG[..40]),
        ("5.jpg", b""),
    ]);
    let (host, uri) = (RecordingHost::new(), format!("file:{}", folder.path().display()));
    let wish = CaptureWish { pace: Pace::Unpaced, ..CaptureWish::default() };
    let call = call_context(Duration::from_secs(5));
    let mut source = FileSource::open(&uri.parse().unwrap(), &wish, &call, &host.host()).unwrap();
    let frames = [next(&mut source), next(&mut source)];
    assert_eq!(frames.each_ref().map(tens), [1, 3]);
    assert_eq!(frames.each_ref().map(Frame::sequence), [1, 3], "the gaps can be seen");
    assert!(matches!(event(&mut source).unwrap(), SourceEvent::Ended));
    assert_eq!(host.host().counter("frames_damaged").value(), 4);
    let reasons: Vec<String> = host.events().iter().map(|(_, data)| data.to_string()).collect();
    assert_eq!(reasons.len(), 3, "one for each row of them: {reasons:?}");
    assert!(reasons[1].contains("2.jpg: damaged"), "{reasons:?}");
}

#[test]
fn too_many_damaged_pictures_in_a_row_are_an_error() {
    let good = jpeg(10);
    let names: Vec<String> = (0..=101).map(|number| format!("{number}.jpg")).collect();
    let mut files: Vec<(&str, &[u8])> = vec![("0.jpg", &good)];
    files.extend(names[1..].iter().map(|name| (name.as_str(), &good[..100])));
    let folder = folder(&files);
    let mut source = open(folder.path());
    next(&mut source);
    let error = event(&mut source).unwrap_err();
    assert!(error.reason().contains("/1.jpg: damaged"), "{error}");
}

#[test]
fn a_picture_without_its_end_mark_is_read() {
    let picture = jpeg(20);
    let folder = folder(&[("1.jpg", &picture[..picture.len() - 2])]);
    assert_eq!(tens(&next(&mut open(folder.path()))), 2);
}

/// A gray Y4M film of 4 × 2 pixels.
fn y4m(brightness: &[u8]) -> Vec<u8> {
    let mut film = b"YUV4MPEG2 W4 H2 F20:1 Cmono\n".to_vec();
    for value in brightness {
        film.extend(b"FRAME\n");
        film.extend([*value; 8]);
    }
    film
}

#[test]
fn films_without_an_index_are_read_and_repeated() {
    let (film, jpegs) = (y4m(&[10, 20, 30]), [jpeg(10), jpeg(20), jpeg(30)].concat());
    let folder = folder(&[("a.y4m", &film), ("a.mjpeg", &jpegs)]);
    for (name, format, rate) in
        [("a.y4m", PixelFormat::Gray, 20.0), ("a.mjpeg", PixelFormat::Mjpeg, 30.0)]
    {
        let mut source =
            open_at(&folder.path().join(name), "?loop=1&fps=max", Pace::Native).unwrap();
        assert_eq!((source.info().format, source.info().rate), (format, Some(rate)));
        for round in 0..3 {
            for nth in 0..3 {
                let frame = match event(&mut source).unwrap() {
                    SourceEvent::Restarted(frame) if nth == 0 && round > 0 => frame,
                    SourceEvent::Frame(frame) if nth > 0 || round == 0 => frame,
                    other => panic!("{name}, round {round}, frame {nth}: {other:?}"),
                };
                assert_eq!(frame.sequence(), round * 3 + nth);
                assert_eq!(u64::from(tens(&frame)), nth + 1);
            }
        }
    }
}

#[test]
fn a_film_that_goes_wrong_is_named_with_the_byte() {
    let mut cut = y4m(&[10, 20]);
    cut.truncate(50);
    let mut damaged = y4m(&[10, 20]);
    damaged[42] = b'X';
    let jpegs = [jpeg(10), jpeg(20)[..300].to_vec(), jpeg(30)].concat();
    let folder = folder(&[
        ("cut.y4m", &cut),
        ("damaged.y4m", &damaged),
        ("deep.y4m", b"YUV4MPEG2 W4 H2 C420p10\n"),
        ("large.y4m", b"YUV4MPEG2 W90000 H90000\n"),
        ("empty.y4m", b"YUV4MPEG2 W4 H2\n"),
        ("a.mjpg", &jpegs),
    ]);
    let at = |name: &str| folder.path().join(name);
    for (name, named) in [
        ("cut.y4m", "cut.y4m: it ends in the middle of a picture that begins at byte 42"),
        ("damaged.y4m", "damaged.y4m: damaged at byte 42"),
    ] {
        let mut source = open(&at(name));
        assert_eq!(tens(&next(&mut source)), 1);
        let error = event(&mut source).unwrap_err();
        assert_eq!(error.fault(), SourceFault::Invalid);
        assert!(error.reason().contains(named), "{error}");
    }
    check_fault(
        &at("deep.y4m"),
        SourceFault::Unsupported,
        "deep.y4m: YUV4MPEG2 with the colours C420p10",
    );
    check_fault(&at("large.y4m"), SourceFault::Unsupported, "90000x90000");
    check_fault(&at("empty.y4m"), SourceFault::Invalid, "has no frames");
    let mut source = open(&at("a.mjpg"));
    let frames = [next(&mut source), next(&mut source)];
    assert_eq!(frames.each_ref().map(Frame::sequence), [0, 2]);
    assert!(matches!(event(&mut source).unwrap(), SourceEvent::Ended));
}
