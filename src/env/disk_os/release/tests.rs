use std::fs::File;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::super::OsDisk;
use super::*;
use crate::env::{Disk, DiskFile, OpenMode};

const BYTES: u64 = LARGE_BYTES + STEP_BYTES / 2;

/// A disk with one large file, which `watch` sees whatever becomes of its name.
struct World {
    _directory: tempfile::TempDir,
    disk: OsDisk,
    path: PathBuf,
    watch: File,
}

impl World {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (disk, path) = (OsDisk::new(), directory.path().join("inner").join("large"));
        disk.create_dir_all(path.parent().unwrap()).unwrap();
        let file = disk.open(&path, OpenMode::CreateNew).unwrap();
        file.write_all_at(&vec![7; usize::try_from(BYTES).unwrap()], 0).unwrap();
        let watch = File::open(&path).unwrap();
        Self { _directory: directory, disk, path, watch }
    }

    fn beside(&self, name: &str) -> PathBuf {
        self.path.with_file_name(name)
    }

    fn open(&self, path: &Path) -> Arc<dyn DiskFile> {
        self.disk.open(path, OpenMode::Read).unwrap()
    }

    /// What is left of the file once nothing is being released.
    fn left_bytes(&self) -> u64 {
        let thread = self.disk.releaser.queue.lock().thread.take();
        thread.into_iter().for_each(|thread| thread.join().unwrap());
        self.watch.metadata().unwrap().len()
    }
}

#[test]
fn a_removed_file_that_nobody_uses_is_cut_to_nothing() {
    let world = World::new();
    world.disk.remove_file(&world.path).unwrap();
    assert_eq!(world.left_bytes(), 0);
    assert!(world.disk.releaser.in_use.lock().is_empty());
}

#[test]
fn a_removed_file_is_whole_until_its_last_user_has_gone() {
    let world = World::new();
    let (one, other) = (world.open(&world.path), world.open(&world.path));
    let map = one.map(BYTES).unwrap();
    drop(one);
    world.disk.remove_file(&world.path).unwrap();
    drop(other);
    assert_eq!(world.left_bytes(), BYTES);
    let slice: Bytes = map.slice(LARGE_BYTES, 100);
    assert_eq!(world.left_bytes(), BYTES);
    assert_eq!(&slice[..], [7; 100]);
    drop(slice);
    assert_eq!(world.left_bytes(), 0);
    assert!(world.disk.releaser.in_use.lock().is_empty());
}

#[test]
fn a_file_that_another_takes_the_name_of_is_cut_and_the_other_is_not() {
    let world = World::new();
    let other = world.beside("other");
    world.disk.open(&other, OpenMode::CreateNew).unwrap().write_all_at(b"new", 0).unwrap();
    let user = world.open(&world.path);
    world.disk.rename(&other, &world.path).unwrap();
    assert_eq!(world.left_bytes(), BYTES);
    drop(user);
    assert_eq!(world.left_bytes(), 0);
    assert_eq!(world.disk.read(&world.path, 100).unwrap(), b"new");
}

#[test]
fn a_file_that_has_another_name_is_left_alone() {
    let world = World::new();
    std::fs::hard_link(&world.path, world.beside("backup")).unwrap();
    world.disk.remove_file(&world.path).unwrap();
    assert_eq!(world.left_bytes(), BYTES);
    // A rename to itself, or to another name of the same file, takes nothing away.
    world.disk.rename(&world.beside("backup"), &world.beside("backup")).unwrap();
    assert_eq!(world.left_bytes(), BYTES);
}

#[test]
fn the_files_of_a_removed_directory_are_cut_after_their_users_too() {
    let world = World::new();
    let user = world.open(&world.path);
    let directory = world.path.parent().unwrap();
    std::os::unix::fs::symlink(&world.path, world.beside("link")).unwrap();
    world.disk.remove_dir_all(directory).unwrap();
    assert!(!world.disk.exists(directory).unwrap());
    assert_eq!(world.left_bytes(), BYTES);
    drop(user);
    assert_eq!(world.left_bytes(), 0);
}

#[test]
fn what_a_link_leads_to_stays_when_the_link_is_removed() {
    let world = World::new();
    let directory = world.path.parent().unwrap();
    let link = directory.with_file_name("link");
    std::os::unix::fs::symlink(directory, &link).unwrap();
    world.disk.remove_dir_all(&link).unwrap();
    assert!(!world.disk.exists(&link).unwrap());
    assert!(world.disk.exists(&world.path).unwrap());
    assert_eq!(world.left_bytes(), BYTES);
}

#[test]
fn a_name_that_goes_while_its_file_is_opened_is_not_found() {
    let world = World::new();
    let opened = File::open(&world.path).unwrap();
    world.disk.remove_file(&world.path).unwrap();
    let noted = world.disk.releaser.note_use(&opened);
    assert_eq!(noted.unwrap_err().kind(), io::ErrorKind::NotFound);
}

#[test]
fn what_does_not_fit_into_the_queue_is_released_at_once() {
    let world = World::new();
    {
        // A thread that never comes.
        let mut queue = world.disk.releaser.queue.lock();
        queue.thread = Some(std::thread::spawn(|| {}));
        queue.files = FILES_MAX;
    }
    world.disk.remove_file(&world.path).unwrap();
    assert!(world.disk.releaser.queue.lock().arrived.is_empty());
    assert_eq!(world.left_bytes(), BYTES, "only closed: the system frees it");
}

#[test]
fn several_files_are_released_by_one_thread() {
    let world = World::new();
    let others = [world.beside("second"), world.beside("third")];
    let watches = others.each_ref().map(|path| {
        std::fs::copy(&world.path, path).unwrap();
        File::open(path).unwrap()
    });
    for path in others.iter().chain([&world.path]) {
        world.disk.remove_file(path).unwrap();
    }
    assert_eq!(world.left_bytes(), 0);
    assert!(watches.iter().all(|watch| watch.metadata().unwrap().len() == 0));
    assert_eq!(world.disk.releaser.queue.lock().files, 0);
}
