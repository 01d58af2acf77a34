use super::*;

fn directory() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn what_was_written_is_read_through_file_and_map() {
    let dir = directory();
    let disk = OsDisk::new();
    let file = disk.open(&dir.path().join("a"), OpenMode::CreateNew).unwrap();
    // Mapped before anything is written, far beyond the file's end.
    let map = file.map(1 << 20).unwrap();
    let parts = [Bytes::from_static(b"abc"), Bytes::new(), Bytes::from_static(b"defg")];
    file.write_all_vectored_at(&parts, 10_000).unwrap();
    assert_eq!(file.len().unwrap(), 10_007);
    map.populate(10_000, 7).unwrap();
    let slice = Arc::clone(&map).slice(10_000, 7);
    drop(map);
    assert_eq!(&slice[..], b"abcdefg");
    let mut read = [0; 7];
    file.read_exact_at(&mut read, 10_000).unwrap();
    assert_eq!(&read, b"abcdefg");
    assert_eq!(file.read_exact_at(&mut read, 10_001).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
}

#[test]
fn a_vectored_write_takes_more_buffers_than_the_system_does_at_once() {
    let dir = directory();
    let file = OsDisk::new().open(&dir.path().join("a"), OpenMode::CreateNew).unwrap();
    let parts: Vec<Bytes> = (0..3000_u32).map(|index| Bytes::copy_from_slice(&index.to_be_bytes())).collect();
    file.write_all_vectored_at(&parts, 5).unwrap();
    let mut read = vec![0; 12_000];
    file.read_exact_at(&mut read, 5).unwrap();
    assert!(read.chunks(4).zip(0..3000_u32).all(|(found, index)| found == index.to_be_bytes()));
}

#[test]
fn what_is_longer_than_one_call_takes_arrives_whole() {
    let dir = directory();
    let file = OsDisk::new().open(&dir.path().join("a"), OpenMode::CreateNew).unwrap();
    let pattern = |seed: u8, size_bytes: usize| -> Bytes {
        (0..size_bytes).map(|index| (index % 251) as u8 ^ seed).collect::<Vec<u8>>().into()
    };
    // Below, at and above the limit, and together above it from every side.
    let parts = [
        pattern(1, 100),
        pattern(2, WRITE_BYTES_MAX - 100),
        pattern(3, 3 * WRITE_BYTES_MAX + 1),
        pattern(4, WRITE_BYTES_MAX),
        pattern(5, 7),
    ];
    file.write_all_vectored_at(&parts, 11).unwrap();
    let whole = parts.concat();
    let mut read = vec![0; whole.len()];
    file.read_exact_at(&mut read, 11).unwrap();
    assert!(read == whole);
    file.write_all_at(&whole, 5_000_000).unwrap();
    file.read_exact_at(&mut read, 5_000_000).unwrap();
    assert!(read == whole);
}

#[test]
fn allocating_ahead_keeps_the_length_and_a_cut_releases_the_blocks() {
    use std::os::unix::fs::MetadataExt as _;
    let dir = directory();
    let path = dir.path().join("a");
    let file = OsDisk::new().open(&path, OpenMode::CreateNew).unwrap();
    file.write_all_at(&[1; 100], 0).unwrap();
    file.allocate(0, 1 << 20).unwrap();
    assert_eq!(file.len().unwrap(), 100);
    let blocks_ahead = std::fs::metadata(&path).unwrap().blocks();
    file.set_len(100).unwrap();
    let blocks_cut = std::fs::metadata(&path).unwrap().blocks();
    // A file system that cannot reserve leaves both small.
    assert!(blocks_cut <= 8 || blocks_cut < blocks_ahead, "{blocks_ahead} then {blocks_cut} blocks");
}

#[test]
fn a_slice_outlives_the_unlinked_file() {
    let dir = directory();
    let disk = OsDisk::new();
    let path = dir.path().join("a");
    let file = disk.open(&path, OpenMode::CreateNew).unwrap();
    file.write_all_at(&[7; 9000], 0).unwrap();
    let slice = file.map(9000).unwrap().slice(4000, 5000);
    drop(file);
    disk.remove_file(&path).unwrap();
    assert!(slice.iter().all(|&byte| byte == 7));
    assert!(!disk.exists(&path).unwrap());
}

#[test]
#[should_panic(expected = "beyond the map")]
fn a_slice_beyond_the_map_is_a_broken_invariant() {
    let dir = directory();
    let file = OsDisk::new().open(&dir.path().join("a"), OpenMode::CreateNew).unwrap();
    file.write_all_at(&[7; 100], 0).unwrap();
    let _ = file.map(100).unwrap().slice(90, 11);
}

#[test]
fn a_replaced_file_has_the_new_content_and_leaves_nothing_beside_it() {
    let dir = directory();
    let disk = OsDisk::new();
    let path = dir.path().join("a");
    disk.replace(&path, b"old").unwrap();
    disk.replace(&path, b"newer").unwrap();
    assert_eq!(disk.read(&path, 100).unwrap(), b"newer");
    assert_eq!(disk.read(&path, 4).unwrap_err().kind(), io::ErrorKind::InvalidData);
    assert_eq!(disk.read_dir(dir.path()).unwrap(), ["a"]);
}

#[test]
fn a_second_lock_is_refused_and_names_the_holder() {
    let dir = directory();
    let disk = OsDisk::new();
    let path = dir.path().join("lock");
    let held = disk.lock(&path, "process 1, long text").unwrap();
    match disk.lock(&path, "process 2") {
        Err(LockError::Held { holder }) => assert_eq!(holder, "process 1, long text"),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("two holders"),
    }
    drop(held);
    let _held = disk.lock(&path, "process 3").unwrap();
    assert_eq!(disk.read(&path, 100).unwrap(), b"process 3");
}

#[test]
fn syncs_and_free_space_are_answered() {
    let dir = directory();
    let disk = OsDisk::new();
    let file = disk.open(&dir.path().join("a"), OpenMode::CreateNew).unwrap();
    file.write_all_at(b"x", 0).unwrap();
    file.sync_data().unwrap();
    file.drop_cache(0).unwrap();
    disk.sync_dir(dir.path()).unwrap();
    disk.sync_file_system(dir.path()).unwrap();
    disk.sync_file_system(dir.path()).unwrap();
    assert!(disk.free_bytes(dir.path()).unwrap() > 0);
    assert!(file.modified_ms().unwrap() > 1_600_000_000_000);
}
