//! One suite that every kind of storage passes; here for local files.

use bioprune::error::Code;
use bioprune::storage::{Committed, Location, Storage};
use std::io::{Read, Write};
use tempfile::TempDir;

fn storage() -> Storage {
    Storage::from_env().unwrap()
}

fn put(location: &Location, bytes: &[u8]) -> Committed {
    let mut writer = storage().create(location).unwrap();
    writer.write_all(bytes).unwrap();
    writer.commit().unwrap()
}

fn read_from(location: &Location, offset: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    let info = storage().stat(location).unwrap();
    storage().open_at(&info, offset).unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

/// The suite, below an empty directory or prefix.
pub fn conforms(base: &Location) {
    objects_are_written_whole_and_read_in_parts(base);
    unfinished_objects_are_never_seen(base);
    large_objects_come_back_as_they_were_written(base);
    patterns_name_objects(base);
    a_version_is_pinned(base);
}

fn objects_are_written_whole_and_read_in_parts(base: &Location) {
    let location = base.join("new/dir/a.txt");
    assert!(!storage().exists(&location).unwrap());
    let missing = storage().stat(&location).unwrap_err();
    assert_eq!(missing.code, Code::InputNotFound);
    assert!(missing.message.contains(location.as_str()));

    let committed = put(&location, b"0123456789");
    assert_eq!(committed.size, 10);
    assert_eq!(committed.sha256, "84d89877f0d4041efb6bf91a16f0248f2fd573e6af05c19f96bedb9f882f7882");
    let info = storage().stat(&location).unwrap();
    assert_eq!((info.size, &info.etag), (10, &committed.etag));
    assert!(info.etag.is_some() && storage().exists(&location).unwrap());

    assert_eq!(read_from(&location, 0), b"0123456789");
    assert_eq!(read_from(&location, 7), b"789");
    assert_eq!(read_from(&location, 10), b"");
    assert_eq!(storage().read_range(&info, 2..5).unwrap()[..], *b"234");
    assert_eq!(storage().read_range(&info, 5..5).unwrap()[..], *b"");
    assert_eq!(storage().read_range(&info, 5..11).unwrap_err().code, Code::Internal);
    assert_eq!(storage().get_small(&location, 10).unwrap()[..], *b"0123456789");
    assert_eq!(storage().get_small(&location, 9).unwrap_err().code, Code::BadInput);

    put(&location, b"");
    assert_eq!(read_from(&location, 0), b"");
    storage().delete(&location).unwrap();
    assert!(!storage().exists(&location).unwrap());
    storage().delete(&location).unwrap();
}

fn unfinished_objects_are_never_seen(base: &Location) {
    let location = base.join("unfinished/a.bin");
    for size in [10, 40 << 20] {
        let mut writer = storage().create(&location).unwrap();
        writer.write_all(&vec![1; size]).unwrap();
        assert!(!storage().exists(&location).unwrap());
        drop(writer);
        assert!(!storage().exists(&location).unwrap());
        let left = storage().list(base.join("unfinished").as_str());
        assert_eq!(left.unwrap_err().code, Code::InputNotFound);
    }
}

fn large_objects_come_back_as_they_were_written(base: &Location) {
    let location = base.join("large.bin");
    let bytes: Vec<u8> = (0..41_000_003u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let committed = put(&location, &bytes);
    assert_eq!(committed.size, bytes.len() as u64);
    for offset in [0, 1, 16_777_215, 41_000_002] {
        assert!(read_from(&location, offset) == bytes[offset as usize..], "from byte {offset}");
    }
    let info = storage().stat(&location).unwrap();
    assert!(storage().read_range(&info, 1_000_000..30_000_001).unwrap() == bytes[1_000_000..30_000_001]);
    storage().delete(&location).unwrap();
}

fn patterns_name_objects(base: &Location) {
    let base = base.join("listed");
    let names = [
        "a.fa",
        "b.fa.gz",
        "sub/c.fa",
        "sub/deep/d.fa",
        "sub.fa",
        "_SUCCESS",
        ".hidden",
        "_tmp/e.fa",
        "sub/.f.fa",
        "x[1].fa",
    ];
    names.iter().for_each(|name| drop(put(&base.join(name), b">a\n")));
    let list = |pattern: &str| -> Vec<String> {
        let found = storage().list(base.join(pattern).as_str()).unwrap();
        let start = base.as_str().len() + 1;
        found.iter().map(|info| info.location.as_str()[start..].to_string()).collect()
    };
    assert_eq!(list("a.fa"), ["a.fa"]);
    assert_eq!(list(""), ["a.fa", "b.fa.gz", "sub.fa", "sub/c.fa", "sub/deep/d.fa", "x[1].fa"]);
    assert_eq!(list("sub"), ["sub/c.fa", "sub/deep/d.fa"]);
    assert_eq!(list("sub/"), ["sub/c.fa", "sub/deep/d.fa"]);
    assert_eq!(list("*.fa"), ["a.fa", "sub.fa", "x[1].fa"]);
    assert_eq!(list("?.fa*"), ["a.fa", "b.fa.gz"]);
    assert_eq!(list("[ab].*"), ["a.fa", "b.fa.gz"]);
    assert_eq!(list("**/*.fa"), ["_tmp/e.fa", "a.fa", "sub.fa", "sub/c.fa", "sub/deep/d.fa", "x[1].fa"]);
    assert_eq!(list("s*/*.fa"), ["sub/c.fa"]);
    assert_eq!(list("_SUCCESS"), ["_SUCCESS"]);
    assert_eq!(list("x[1].fa"), ["x[1].fa"], "a name that is there is no pattern");
    assert_eq!(list("_tmp"), ["_tmp/e.fa"], "what is named itself is not left out");
    for pattern in ["nothing.fa", "*.txt", "su", "deeper/"] {
        let location = base.join(pattern);
        let error = storage().list(location.as_str()).unwrap_err();
        assert_eq!(error.code, Code::InputNotFound, "{pattern}");
        assert!(error.message.contains(location.as_str()), "{error}");
    }
}

fn a_version_is_pinned(base: &Location) {
    let location = base.join("pinned.bin");
    put(&location, &vec![1; 3 << 20]);
    let old = storage().stat(&location).unwrap();
    put(&location, &vec![2; 3 << 20]);
    assert_eq!(storage().read_range(&old, 0..1).unwrap_err().code, Code::SourceChanged);
    let read = storage().open(&old).and_then(|mut reader| {
        reader.read_to_end(&mut Vec::new()).map_err(|error| bioprune::storage::io_error(&location, error))
    });
    assert_eq!(read.unwrap_err().code, Code::SourceChanged);

    // Changed while it is read: what was read ahead may still come, but never bytes of the new version.
    let info = storage().stat(&location).unwrap();
    let mut reader = storage().open(&info).unwrap();
    let mut first = [0; 10];
    reader.read_exact(&mut first).unwrap();
    put(&location, &vec![3; 3 << 20]);
    let mut rest = Vec::new();
    match reader.read_to_end(&mut rest) {
        Ok(_) => assert!(rest.iter().all(|byte| *byte == 2) && rest.len() == (3 << 20) - 10),
        Err(error) => assert_eq!(bioprune::storage::io_error(&location, error).code, Code::SourceChanged),
    }
    storage().delete(&location).unwrap();
    assert_eq!(storage().read_range(&info, 0..1).unwrap_err().code, Code::InputNotFound);
}

#[test]
fn local_files_conform() {
    let directory = TempDir::new().unwrap();
    conforms(&Location::local(directory.path()).unwrap());
    let uri = format!("file://{}/by-uri", directory.path().display());
    conforms_by_uri(&uri.parse().unwrap());
}

/// A `file://` location lists as paths, so only the rest of the suite applies.
fn conforms_by_uri(base: &Location) {
    objects_are_written_whole_and_read_in_parts(base);
    a_version_is_pinned(base);
}

#[test]
fn a_file_rewritten_in_place_while_it_is_read_is_noticed() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("a.bin");
    for (name, grown) in
        [("longer", vec![2; 5000]), ("shorter", vec![2; 10]), ("of the same length", vec![2; 4000])]
    {
        std::fs::write(&path, vec![1; 4000]).unwrap();
        let location = Location::local(&path).unwrap();
        let mut reader = storage().open(&storage().stat(&location).unwrap()).unwrap();
        reader.read_exact(&mut [0; 100]).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(20));
        std::fs::write(&path, &grown).unwrap();
        let error = reader.read_to_end(&mut Vec::new()).expect_err(name);
        assert_eq!(bioprune::storage::io_error(&location, error).code, Code::SourceChanged, "{name}");

        std::fs::write(&path, vec![1; 4000]).unwrap();
        let mut reader = storage().open(&storage().stat(&location).unwrap()).unwrap();
        let mut bytes = Vec::new();
        assert_eq!(reader.append(&mut bytes, 1000).unwrap(), 1000);
        std::thread::sleep(std::time::Duration::from_millis(20));
        std::fs::write(&path, &grown).unwrap();
        let mut rest = std::iter::repeat_with(|| reader.append(&mut bytes, 1000));
        let error = rest.find(|read| !matches!(read, Ok(1..))).unwrap().expect_err(name);
        assert_eq!(bioprune::storage::io_error(&location, error).code, Code::SourceChanged, "{name}");
    }
}

#[test]
fn an_unfinished_local_file_is_hidden_and_then_gone_and_a_finished_one_has_plain_permissions() {
    use std::os::unix::fs::PermissionsExt;
    let directory = TempDir::new().unwrap();
    let names = || -> Vec<String> {
        let entries = std::fs::read_dir(directory.path()).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    let location = Location::local(directory.path().join("out.tsv")).unwrap();
    let writer = storage().create(&location).unwrap();
    assert!(names()[0].starts_with(".out.tsv.bioprune-") && names()[0].ends_with(".tmp"), "{:?}", names());
    drop(writer);
    assert!(names().is_empty());

    put(&location, b"x");
    std::fs::write(directory.path().join("peer"), "x").unwrap();
    let mode = |name: &str| std::fs::metadata(directory.path().join(name)).unwrap().permissions().mode();
    assert_eq!(mode("out.tsv"), mode("peer"));
}

#[test]
fn directories_and_devices_are_no_files() {
    let directory = TempDir::new().unwrap();
    let location = Location::local(directory.path()).unwrap();
    assert_eq!(storage().stat(&location).unwrap_err().code, Code::InputNotFound);
    assert_eq!(storage().create(&location).err().unwrap().code, Code::StorageFailed);
    assert_eq!(storage().create(&location.join("")).err().unwrap().code, Code::Usage);
    let device = storage().list("/dev/null").unwrap_err();
    assert_eq!(device.code, Code::BadInput);
    assert!(device.message.contains("regular file"));
}

#[test]
fn links_in_a_directory_are_followed_once() {
    let directory = TempDir::new().unwrap();
    let staged = directory.path().join("staged");
    std::fs::create_dir(&staged).unwrap();
    std::fs::write(directory.path().join("origin.fa"), ">a\n").unwrap();
    std::os::unix::fs::symlink(directory.path().join("origin.fa"), staged.join("a.fa")).unwrap();
    std::os::unix::fs::symlink(&staged, staged.join("circle")).unwrap();
    let found = storage().list(staged.to_str().unwrap()).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].location.file_name(), "a.fa");
}

#[test]
fn a_file_that_is_held_is_read_to_its_end_whoever_replaces_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("scores");
    std::fs::write(&path, "0123456789").unwrap();
    let location: Location = path.to_str().unwrap().parse().unwrap();
    let held = storage().hold(&location).unwrap();
    put(&location, b"another");
    assert_eq!(held.read_range(2..5).unwrap()[..], *b"234");
    std::fs::remove_file(&path).unwrap();
    assert_eq!((held.info().size, &held.read_range(5..10).unwrap()[..]), (10, &b"56789"[..]));

    std::fs::write(&path, "0123456789").unwrap();
    let held = storage().hold(&location).unwrap();
    std::fs::write(&path, "rewritten in its place").unwrap();
    assert_eq!(held.read_range(2..5).unwrap_err().code, Code::SourceChanged);
}
