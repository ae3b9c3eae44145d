use std::{fs, io::Write as _, os::unix::fs::MetadataExt as _};

use super::*;

/// A layer's archive, entry by entry, hostile names included.
#[derive(Default)]
struct Layer(Vec<u8>);

impl Layer {
    fn raw(mut self, kind: EntryType, name: &[u8], link: &[u8], bytes: &[u8]) -> Self {
        let mut header = tar::Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name);
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link);
        header.set_entry_type(kind);
        header.set_size(bytes.len() as u64);
        header.set_mode(0o4755);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1000);
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.0.extend_from_slice(bytes);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    fn file(self, name: &str, text: &str) -> Self {
        self.raw(EntryType::Regular, name.as_bytes(), b"", text.as_bytes())
    }

    fn folder(self, name: &str) -> Self {
        self.raw(EntryType::Directory, name.as_bytes(), b"", b"")
    }

    fn symlink(self, name: &str, target: &str) -> Self {
        self.raw(EntryType::Symlink, name.as_bytes(), target.as_bytes(), b"")
    }

    fn hard_link(self, name: &str, target: &str) -> Self {
        self.raw(EntryType::Link, name.as_bytes(), target.as_bytes(), b"")
    }
}

struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("outside/root")).unwrap();
        fs::write(folder.path().join("outside/kept"), "kept").unwrap();
        Self { folder }
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("outside/root")
    }

    fn unpack(&self, layers: Vec<Layer>) -> Result<(), UnpackFault> {
        self.unpack_within(layers, 10 << 20)
    }

    fn unpack_within(&self, layers: Vec<Layer>, limit: u64) -> Result<(), UnpackFault> {
        let place = |(index, Layer(bytes)): (usize, Layer)| {
            let path = self.folder.path().join(format!("layer-{index}"));
            fs::write(&path, bytes).unwrap();
            (path, Compression::None)
        };
        let layers: Vec<_> = layers.into_iter().enumerate().map(place).collect();
        unpack(&layers, &self.root(), limit)
    }

    fn text(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.root().join(name)).ok()
    }

    /// Nothing beside the root was touched.
    fn untouched(&self) -> bool {
        let outside = self.folder.path().join("outside");
        let names = fs::read_dir(&outside).unwrap().count();
        names == 2 && fs::read_to_string(outside.join("kept")).unwrap() == "kept"
    }
}

#[test]
fn upper_layers_replace_hide_and_spare_what_is_below() {
    let place = Place::new();
    let below = Layer::default().folder("a/").file("a/old", "1").file("a/both", "1").file("b", "1").file("c/d/e", "1");
    let above = Layer::default()
        .file("a/new", "2")
        .file("a/.wh..wh..opq", "")
        .file("a/both", "2")
        .file(".wh.b", "")
        .file("c", "2");
    place.unpack(vec![below, above]).unwrap();
    let found = ["a/old", "a/both", "a/new", "b", "c"].map(|name| place.text(name));
    assert_eq!(found, [None, Some("2".into()), Some("2".into()), None, Some("2".into())]);
}

#[test]
fn links_lead_inside_the_root_wherever_they_point() {
    let place = Place::new();
    let climb = "../".repeat(20);
    let layer = Layer::default()
        .symlink("absolute", "/")
        .symlink("climbing", &climb)
        .symlink("usr", "target")
        .file("absolute/one", "1")
        .file("climbing/two", "2")
        .file("usr/three", "3");
    place.unpack(vec![layer]).unwrap();
    assert!(place.untouched());
    let found = ["one", "two", "target/three"].map(|name| place.text(name));
    assert_eq!(found, [Some("1".into()), Some("2".into()), Some("3".into())]);
}

#[test]
fn a_file_replaces_a_link_and_never_what_the_link_points_to() {
    let place = Place::new();
    let layer = Layer::default().symlink("link", "../kept").file("link", "mine").hard_link("hard", "link");
    place.unpack(vec![layer]).unwrap();
    assert!(place.untouched());
    assert_eq!(place.text("link"), Some("mine".into()));
    assert_eq!(fs::metadata(place.root().join("hard")).unwrap().nlink(), 2);
}

#[test]
fn whiteouts_and_hard_links_reach_nothing_outside() {
    for layer in [
        Layer::default().symlink("up", "..").file("up/.wh.kept", ""),
        Layer::default().symlink("up", "/..").file("up/.wh..wh..opq", ""),
        Layer::default().symlink("up", "..").hard_link("stolen", "up/kept"),
    ] {
        let place = Place::new();
        let _ = place.unpack(vec![layer]);
        assert!(place.untouched());
        assert_eq!(place.text("stolen"), None);
    }
}

#[test]
fn what_an_image_must_not_have_is_refused() {
    let loops = Layer::default().symlink("x", "y").symlink("y", "x").file("x/z", "");
    let cases: Vec<(Layer, &str)> = vec![
        (Layer::default().file("../kept", "x"), "climbs"),
        (Layer::default().file("a/../../kept", "x"), "climbs"),
        (Layer::default().hard_link("a", "../kept"), "climbs"),
        (Layer::default().file(".wh...", ""), "whiteout of nothing"),
        (Layer::default().file(".wh.", ""), "whiteout of nothing"),
        (Layer::default().raw(EntryType::Block, b"disk", b"", b""), "device"),
        (Layer::default().raw(EntryType::Char, b"a/mem", b"", b""), "device"),
        (Layer::default().raw(EntryType::Fifo, b"pipe", b"", b""), "device or pipe"),
        (Layer::default().raw(EntryType::GNUSparse, b"s", b"", b""), "kind"),
        (Layer::default().raw(EntryType::GNULongName, b"l", b"", &[b'a'; 5000]), "too long"),
        (Layer::default().raw(EntryType::XHeader, b"p", b"", &[b'a'; 70_000]), "too long"),
        (Layer::default().raw(EntryType::XHeader, b"p", b"", b"11 size=12\n"), "size"),
        (Layer::default().symlink("a", ""), "link to nothing"),
        (loops, "too many links"),
        (Layer::default().file("a", "").file("a/b", ""), "a file is on its way"),
        (Layer::default().file("iexec/enclave", "x"), "/iexec"),
        (Layer::default().symlink("iexec", "tmp"), "/iexec"),
        (Layer::default().file("iexec_out", "x"), "a file where a folder is mounted"),
    ];
    for (layer, words) in cases {
        let place = Place::new();
        let error = place.unpack(vec![layer]).unwrap_err().to_string();
        assert!(error.contains(words), "{error:?} has no {words:?}");
        assert!(place.untouched());
    }
}

#[test]
fn devices_in_dev_are_left_out_and_set_id_bits_are_dropped() {
    let place = Place::new();
    let layer = Layer::default().raw(EntryType::Char, b"dev/null", b"", b"").file("bin/su", "x");
    place.unpack(vec![layer]).unwrap();
    assert!(!place.root().join("dev/null").exists());
    assert_eq!(fs::metadata(place.root().join("bin/su")).unwrap().mode() & 0o7777, 0o755);
}

#[test]
fn an_image_larger_than_allowed_stops_being_unpacked_compressed_or_not() {
    let place = Place::new();
    let big = "x".repeat(2_000_000);
    let error = place.unpack_within(vec![Layer::default().file("big", &big)], 1_000_000).unwrap_err();
    assert!(matches!(error, UnpackFault::Bytes), "{error}");

    let Layer(bytes) = Layer::default().file("big", &"0".repeat(50_000_000));
    let path = place.folder.path().join("bomb");
    let mut gzip = flate2::write::GzEncoder::new(fs::File::create(&path).unwrap(), flate2::Compression::best());
    gzip.write_all(&bytes).unwrap();
    gzip.finish().unwrap();
    assert!(fs::metadata(&path).unwrap().len() < 100_000);
    let error = unpack(&[(path, Compression::Gzip)], &place.root(), 1_000_000).unwrap_err();
    assert!(matches!(error, UnpackFault::Bytes), "{error}");
}

#[test]
fn zstd_layers_are_refused_by_name() {
    let error = Compression::of("application/vnd.oci.image.layer.v1.tar+zstd").unwrap_err().to_string();
    assert!(error.contains("tar+zstd") && error.contains("tar and tar+gzip"), "{error}");
}

#[test]
fn a_seal_holds_until_anything_under_the_root_is_touched() {
    let place = Place::new();
    place.unpack(vec![Layer::default().file("a/b", "1").symlink("l", "a")]).unwrap();
    let sealed = seal(&place.root()).unwrap();
    assert_eq!(seal(&place.root()).unwrap(), sealed);
    let meddle: [fn(&Path); 4] = [
        |root| fs::write(root.join("a/b"), "2").unwrap(),
        |root| fs::write(root.join("a/new"), "").unwrap(),
        |root| fs::remove_file(root.join("l")).unwrap(),
        |root| fs::set_permissions(root.join("a"), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap(),
    ];
    let mut before = sealed;
    for change in meddle {
        change(&place.root());
        let after = seal(&place.root()).unwrap();
        assert_ne!(after, before);
        before = after;
    }
}
