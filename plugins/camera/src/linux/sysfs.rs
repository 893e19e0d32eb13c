use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
};

/// Where the kernel and udev describe video devices.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DeviceRoots<'a> {
    /// One link a device, named as its node.
    pub(crate) class: &'a Path,
    /// Where the nodes are, and udev's links beneath `v4l/by-id` and `v4l/by-path`.
    pub(crate) dev: &'a Path,
}

/// A node that may capture; whether it does, only the device itself says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct VideoNode {
    /// The number in its name. It changes with the order of plugging in: never an identity.
    pub(crate) number: u32,
    /// The node, as `/dev/video0`.
    pub(crate) path: PathBuf,
    /// What the driver calls the device.
    pub(crate) name: String,
    /// Names the device for good; unique among the nodes of one scan.
    pub(crate) stable_id: String,
    /// Where it is plugged in.
    pub(crate) place: String,
    /// What the device calls itself, which others may do too; its place where it doesn't.
    identity: String,
    /// The names of udev's links.
    links: Vec<String>,
}

impl VideoNode {
    /// A node that by itself would be called `identity`.
    fn new(number: u32, path: PathBuf, name: String, identity: &str, place: &str) -> Self {
        let (stable_id, identity, place) = (identity.into(), identity.into(), place.into());
        Self { number, path, name, stable_id, place, identity, links: Vec::new() }
    }

    /// Whether `name` is one that lasts for this device: its [`stable_id`](Self::stable_id) now
    /// and beside other devices, its place, or one of udev's links.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        let mut parts = name.split('+');
        parts.next() == Some(&self.identity)
            && parts.all(|part| DISTINCTIONS.iter().any(|distinction| distinction(self) == part))
            || name == self.place
            || self.links.iter().any(|link| link == name)
    }

    /// Makes the name longer by something that tells it from others of the same name.
    fn distinguish(&mut self, by: &str) {
        if self.stable_id != by {
            self.stable_id = format!("{}+{by}", self.stable_id);
        }
    }

    /// Nodes at `/dev/videoN`, each at a port of its own.
    #[cfg(test)]
    pub(crate) fn for_test(identities: &[(u32, &str)]) -> Vec<Self> {
        let node = |&(number, identity): &(u32, &str)| {
            let path = format!("/dev/video{number}").into();
            Self::new(number, path, "camera".to_owned(), identity, &format!("port-{number}"))
        };
        let mut nodes: Vec<_> = identities.iter().map(node).collect();
        tell_apart(&mut nodes);
        nodes
    }
}

impl DeviceRoots<'static> {
    /// Those of the running system.
    pub(crate) fn of_system() -> Self {
        Self { class: Path::new("/sys/class/video4linux"), dev: Path::new("/dev") }
    }
}

/// All nodes named `video` and a number, by number. A system without any has no `class` folder,
/// which is an empty list.
///
/// # Errors
/// Where the folder is there and cannot be read.
pub(crate) fn scan(roots: DeviceRoots<'_>) -> io::Result<Vec<VideoNode>> {
    let entries = match fs::read_dir(roots.class) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let links = udev_links(roots.dev);
    let mut nodes: Vec<_> = entries
        .flatten()
        .filter_map(|entry| {
            let number = node_number(entry.file_name().to_str()?)?;
            let path = roots.dev.join(entry.file_name());
            let names = links.get(&path).cloned().unwrap_or_default();
            Some(describe(&entry.path(), number, path, names))
        })
        .collect();
    nodes.sort_by_key(|node| node.number);
    tell_apart(&mut nodes);
    Ok(nodes)
}

/// The number of a node's name: 12 of `video12`; `None` for anything else in the folder, such as
/// `v4l-subdev0`.
pub(crate) fn node_number(name: &str) -> Option<u32> {
    let digits = name.strip_prefix("video")?;
    let canonical = digits == "0" || !digits.starts_with(['0', '+']);
    canonical.then(|| digits.parse().ok()).flatten()
}

fn describe(class_entry: &Path, number: u32, path: PathBuf, links: Vec<String>) -> VideoNode {
    let name = attribute(class_entry, "name").unwrap_or_else(|| format!("video{number}"));
    let real = fs::canonicalize(class_entry).unwrap_or_else(|_| class_entry.to_path_buf());
    // A device may have several nodes; the first is the device's picture.
    let suffix = match attribute(class_entry, "index").as_deref() {
        None | Some("0") => String::new(),
        Some(index) => format!("-index{index}"),
    };
    let place = bus_place(&real).unwrap_or_else(|| format!("video{number}")) + &suffix;
    let identity = real.ancestors().find_map(usb_identity).map(|identity| identity + &suffix);
    let mut node = VideoNode::new(number, path, name, identity.as_ref().unwrap_or(&place), &place);
    node.links = links;
    node
}

/// `usb-VENDOR_PRODUCT_SERIAL`, as udev composes it, of the folder of a USB device. One without a
/// serial number has no identity of its own, only a place.
fn usb_identity(folder: &Path) -> Option<String> {
    let vendor_id = attribute(folder, "idVendor")?;
    let serial = attribute(folder, "serial")?;
    let vendor = attribute(folder, "manufacturer").unwrap_or(vendor_id);
    let product = attribute(folder, "product").or_else(|| attribute(folder, "idProduct"))?;
    Some(format!("usb-{}_{}_{}", plain(&vendor), plain(&product), plain(&serial)))
}

/// The place of a device on its bus, of its real path in sysfs: `pci-0000:00:14.0-usb-0:3:1.0`
/// for `…/pci0000:00/0000:00:14.0/usb1/1-3/1-3:1.0/video4linux/video0`. The number of the USB bus
/// is left out, since it depends on the order in which controllers were found.
fn bus_place(real: &Path) -> Option<String> {
    let folders: Vec<&str> = real.iter().filter_map(|folder| folder.to_str()).collect();
    let end = folders.iter().rposition(|folder| *folder == "video4linux")?;
    let above = &folders[..end];
    let mut parts = Vec::new();
    let bus = above.iter().rposition(|folder| is_usb_bus(folder));
    // The device that the bus, or the camera itself, hangs on.
    let host = *above.get(bus.unwrap_or(above.len()).checked_sub(1)?)?;
    parts.push(if is_pci_address(host) {
        format!("pci-{host}")
    } else {
        format!("platform-{}", plain(host))
    });
    if bus.is_some() {
        let (_, port) = above.last()?.split_once('-')?;
        parts.push(format!("usb-0:{port}"));
    }
    Some(parts.join("-"))
}

/// Lengthens the names of devices that claim to be the same one (vendors do copy serial numbers),
/// by their places and, where those are one device's, by what the driver calls them.
fn tell_apart(nodes: &mut [VideoNode]) {
    for distinction in DISTINCTIONS {
        let mut claims: HashMap<String, usize> = HashMap::new();
        for node in nodes.iter() {
            *claims.entry(node.stable_id.clone()).or_default() += 1;
        }
        for node in nodes.iter_mut().filter(|node| claims[&node.stable_id] > 1) {
            let by = distinction(node);
            node.distinguish(&by);
        }
    }
}

/// What tells devices of the same identity apart, one after the other.
const DISTINCTIONS: [fn(&VideoNode) -> String; 3] =
    [|node| node.place.clone(), |node| plain(&node.name), |node| format!("video{}", node.number)];

/// The names of udev's lasting links, by the node that each points at.
fn udev_links(dev: &Path) -> HashMap<PathBuf, Vec<String>> {
    let mut links: HashMap<PathBuf, Vec<String>> = HashMap::new();
    for folder in ["v4l/by-id", "v4l/by-path"] {
        let Ok(entries) = fs::read_dir(dev.join(folder)) else { continue };
        for entry in entries.flatten() {
            let Ok(target) = fs::read_link(entry.path()) else { continue };
            let (Some(node), Ok(name)) = (target.file_name(), entry.file_name().into_string())
            else {
                continue;
            };
            links.entry(dev.join(node)).or_default().push(name);
        }
    }
    for names in links.values_mut() {
        names.sort();
    }
    links
}

/// The trimmed text of one of sysfs's files; `None` where it is missing or empty.
fn attribute(folder: &Path, name: &str) -> Option<String> {
    let text = fs::read_to_string(folder.join(name)).ok()?;
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// `text` with what a URI or a shell would trip over replaced by `_`, runs of it by one.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for char in text.chars() {
        if char.is_ascii_alphanumeric() || "-.:".contains(char) {
            plain.push(char);
        } else if !plain.ends_with('_') {
            plain.push('_');
        }
    }
    plain
}

fn is_usb_bus(folder: &str) -> bool {
    folder.strip_prefix("usb").is_some_and(|number| {
        !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
    })
}

/// As `0000:00:14.0`: domain, bus, device and function, in hexadecimal digits.
fn is_pci_address(folder: &str) -> bool {
    folder.split([':', '.']).count() == 4
        && folder.bytes().all(|byte| byte.is_ascii_hexdigit() || b":.".contains(&byte))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A tree as the kernel and udev would make it.
    struct Tree(tempfile::TempDir);

    const CONTROLLER: &str = "devices/pci0000:00/0000:00:14.0/usb1";

    impl Tree {
        fn new() -> Self {
            let tree = Self(tempfile::tempdir().unwrap());
            fs::create_dir_all(tree.0.path().join("class/video4linux")).unwrap();
            fs::create_dir_all(tree.0.path().join("dev/v4l/by-id")).unwrap();
            tree
        }

        fn file(&self, path: &str, text: &str) {
            let path = self.0.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, format!("{text}\n")).unwrap();
        }

        fn node(&self, device: &str, number: u32, index: u32) {
            let folder = format!("{device}/video4linux/video{number}");
            self.file(&format!("{folder}/name"), "Some Camera: Some Camera");
            self.file(&format!("{folder}/index"), &index.to_string());
            let link = self.0.path().join(format!("class/video4linux/video{number}"));
            symlink(self.0.path().join(folder), link).unwrap();
        }

        /// A webcam at a port of the first USB bus, with the attributes it has.
        fn webcam(&self, port: &str, number: u32, attributes: &[(&str, &str)]) {
            for (name, value) in attributes {
                self.file(&format!("{CONTROLLER}/1-{port}/{name}"), value);
            }
            self.node(&format!("{CONTROLLER}/1-{port}/1-{port}:1.0"), number, 0);
        }

        fn scan(&self) -> Vec<VideoNode> {
            let (class, dev) = (self.0.path().join("class/video4linux"), self.0.path().join("dev"));
            scan(DeviceRoots { class: &class, dev: &dev }).unwrap()
        }

        fn ids(&self) -> Vec<String> {
            self.scan().into_iter().map(|node| node.stable_id).collect()
        }
    }

    const C920: [(&str, &str); 4] = [
        ("idVendor", "046d"),
        ("idProduct", "082d"),
        ("product", "HD Pro Webcam C920"),
        ("serial", "1A2B3C4D"),
    ];

    #[test]
    fn a_serial_number_is_an_identity() {
        let tree = Tree::new();
        tree.webcam("3", 0, &C920);
        assert_eq!(tree.ids(), ["usb-046d_HD_Pro_Webcam_C920_1A2B3C4D"]);
    }

    #[test]
    fn the_identity_stays_when_port_and_number_change() {
        let (before, after) = (Tree::new(), Tree::new());
        before.webcam("3", 0, &C920);
        after.webcam("4.1", 7, &C920);
        assert_eq!(before.ids(), after.ids());
    }

    #[test]
    fn without_a_serial_number_the_place_names_it() {
        let tree = Tree::new();
        tree.webcam("3.2", 0, &C920[..3]);
        assert_eq!(tree.ids(), ["pci-0000:00:14.0-usb-0:3.2:1.0"]);
    }

    #[test]
    fn a_manufacturer_and_odd_letters_read_plainly() {
        let tree = Tree::new();
        let attributes = [
            ("idVendor", "1bcf"),
            ("idProduct", "2284"),
            ("manufacturer", "Sunplus  Innovation/Ltd."),
            ("product", "Full HD ärger?x=1"),
            ("serial", "01.00.00"),
        ];
        tree.webcam("1", 0, &attributes);
        assert_eq!(tree.ids(), ["usb-Sunplus_Innovation_Ltd._Full_HD_rger_x_1_01.00.00"]);
    }

    #[test]
    fn copied_serial_numbers_are_told_apart_by_place() {
        let tree = Tree::new();
        tree.webcam("3", 0, &C920);
        tree.webcam("4", 1, &C920);
        assert_eq!(
            tree.ids(),
            [
                "usb-046d_HD_Pro_Webcam_C920_1A2B3C4D+pci-0000:00:14.0-usb-0:3:1.0",
                "usb-046d_HD_Pro_Webcam_C920_1A2B3C4D+pci-0000:00:14.0-usb-0:4:1.0",
            ]
        );
    }

    #[test]
    fn a_device_answers_to_all_its_lasting_names() {
        let tree = Tree::new();
        tree.webcam("3", 0, &C920);
        let node = &tree.scan()[0];
        let place = "pci-0000:00:14.0-usb-0:3:1.0";
        let beside_another = format!("{}+{place}", node.stable_id);
        let beside_more = format!("{beside_another}+Some_Camera:_Some_Camera");
        for name in [&node.stable_id, place, &beside_another, &beside_more] {
            assert!(node.is_called(name), "{name}");
        }
        let elsewhere = format!("{}+pci-0000:00:14.0-usb-0:4:1.0", node.stable_id);
        for name in ["usb-046d_HD_Pro_Webcam_C920", "", &elsewhere] {
            assert!(!node.is_called(name), "{name}");
        }
    }

    #[test]
    fn cameras_of_one_device_are_told_apart_by_name() {
        let tree = Tree::new();
        for number in [0, 1] {
            tree.node("devices/platform/vivid.0", number, 0);
            let name = format!("devices/platform/vivid.0/video4linux/video{number}/name");
            tree.file(&name, &format!("vivid-00{number}-vid-cap"));
        }
        let ids = ["platform-vivid.0+vivid-000-vid-cap", "platform-vivid.0+vivid-001-vid-cap"];
        assert_eq!(tree.ids(), ids);
        // As a last resort the number tells them apart, though it may change.
        tree.node("devices/platform/isp", 2, 0);
        tree.node("devices/platform/isp", 3, 0);
        let ids = tree.ids();
        assert_eq!(ids[2], "platform-isp+Some_Camera:_Some_Camera+video2");
        assert_eq!(ids[3], "platform-isp+Some_Camera:_Some_Camera+video3");
    }

    #[test]
    fn further_nodes_of_a_device_carry_their_index() {
        let tree = Tree::new();
        tree.webcam("3", 0, &C920);
        tree.node(&format!("{CONTROLLER}/1-3/1-3:1.0"), 1, 1);
        assert_eq!(
            tree.ids(),
            ["usb-046d_HD_Pro_Webcam_C920_1A2B3C4D", "usb-046d_HD_Pro_Webcam_C920_1A2B3C4D-index1"]
        );
    }

    #[test]
    fn platform_and_pci_devices_are_named_by_place() {
        let tree = Tree::new();
        tree.node("devices/platform/vivid.0", 0, 0);
        tree.node("devices/pci0000:00/0000:03:00.0", 1, 0);
        assert_eq!(tree.ids(), ["platform-vivid.0", "pci-0000:03:00.0"]);
    }

    #[test]
    fn nodes_come_by_number_and_nothing_else_comes() {
        let tree = Tree::new();
        for number in [10, 9, 0] {
            tree.node(&format!("devices/platform/camera.{number}"), number, 0);
        }
        for name in ["v4l-subdev0", "vbi0", "video", "videofoo", "video-1", "video+1", "video01"] {
            tree.file(&format!("class/video4linux/{name}/name"), "no camera");
        }
        let numbers: Vec<_> = tree.scan().into_iter().map(|node| node.number).collect();
        assert_eq!(numbers, [0, 9, 10]);
    }

    #[test]
    fn udev_links_are_further_names() {
        let tree = Tree::new();
        tree.webcam("3", 2, &C920);
        let dev = tree.0.path().join("dev");
        symlink("../../video2", dev.join("v4l/by-id/usb-046d_C920-video-index0")).unwrap();
        symlink("../../video3", dev.join("v4l/by-id/usb-other-video-index0")).unwrap();
        let node = &tree.scan()[0];
        assert!(node.is_called("usb-046d_C920-video-index0"));
        assert!(!node.is_called("usb-other-video-index0"));
        assert_eq!(node.path, dev.join("video2"));
        assert_eq!(node.name, "Some Camera: Some Camera");
    }

    #[test]
    fn a_system_without_video_has_no_nodes() {
        let empty = tempfile::tempdir().unwrap();
        let class = empty.path().join("class/video4linux");
        assert_eq!(scan(DeviceRoots { class: &class, dev: empty.path() }).unwrap(), []);
    }

    #[test]
    fn a_folder_that_cannot_be_read_is_an_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(scan(DeviceRoots { class: file.path(), dev: Path::new("/dev") }).is_err());
    }
}
