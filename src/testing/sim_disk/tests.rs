use super::*;
use crate::testing::{Rng, SimWorld};

fn world() -> (SimDisk, PathBuf) {
    let disk = SimWorld::new(1).disk;
    disk.put(Path::new("/d/old"), b"old");
    (disk, PathBuf::from("/d/new"))
}

fn create(disk: &SimDisk, path: &Path, content: &[u8]) -> Arc<dyn DiskFile> {
    let file = disk.open(path, OpenMode::CreateNew).unwrap();
    file.write_all_at(content, 0).unwrap();
    file
}

#[test]
fn what_is_synced_with_its_name_survives_every_cut() {
    for seed in 0..200 {
        let (disk, path) = world();
        create(&disk, &path, &[7; 10_000]).sync_data().unwrap();
        disk.sync_dir(Path::new("/d")).unwrap();
        disk.restart(seed);
        assert_eq!(disk.content(&path), [7; 10_000]);
        assert_eq!(disk.content(Path::new("/d/old")), b"old");
    }
}

#[test]
fn unsynced_pages_and_names_are_lost_kept_and_torn() {
    let (mut gone, mut whole, mut holes, mut short, mut torn) = (0, 0, 0, 0, 0);
    for seed in 0..500 {
        let (disk, path) = world();
        create(&disk, &path, &[7; 3 * PAGE_BYTES]);
        disk.restart(seed);
        if !disk.exists(&path).unwrap() {
            gone += 1;
            continue;
        }
        let content = disk.content(&path);
        let page = |index: usize| content.get(index * PAGE_BYTES..(index + 1) * PAGE_BYTES).unwrap_or(&[]);
        let is_whole = |index| page(index).len() == PAGE_BYTES && page(index).iter().all(|&byte| byte == 7);
        whole += u32::from((0..3).all(is_whole));
        holes += u32::from(!is_whole(0) && is_whole(2));
        short += u32::from(content.len() < 3 * PAGE_BYTES);
        let sevens = page(1).iter().filter(|&&byte| byte == 7).count();
        torn += u32::from(
            content.len() == 3 * PAGE_BYTES && sevens % 512 == 0 && (1..PAGE_BYTES).contains(&sevens),
        );
    }
    for count in [gone, whole, holes, short, torn] {
        assert!(count > 5, "gone {gone}, whole {whole}, holes {holes}, short {short}, torn {torn}");
    }
}

#[test]
fn a_rename_happens_wholly_or_not_at_all() {
    let (mut before, mut after) = (0, 0);
    for seed in 0..100 {
        let (disk, path) = world();
        create(&disk, &path, b"new").sync_data().unwrap();
        disk.sync_dir(Path::new("/d")).unwrap();
        disk.rename(&path, Path::new("/d/old")).unwrap();
        disk.restart(seed);
        match &disk.content(Path::new("/d/old"))[..] {
            b"old" => {
                before += 1;
                assert_eq!(disk.content(&path), b"new");
            }
            b"new" => {
                after += 1;
                assert!(!disk.exists(&path).unwrap());
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(before > 10 && after > 10);
}

#[test]
fn a_replaced_file_is_old_or_new_after_a_cut_at_any_call() {
    for seed in 0..20 {
        for call in 1.. {
            let (disk, _) = world();
            disk.power_cut_at(call);
            let finished = disk.replace(Path::new("/d/old"), b"newer").is_ok();
            disk.power_cut();
            disk.restart(seed);
            let content = disk.content(Path::new("/d/old"));
            assert!(content == b"newer" || (content == b"old" && !finished));
            if finished {
                break;
            }
        }
    }
}

#[test]
fn a_failed_sync_loses_pages_that_stay_visible_until_the_cache_is_dropped() {
    let (disk, path) = world();
    let file = create(&disk, &path, b"lost");
    disk.inject(Fault::once(Op::SyncData, "new"));
    assert!(file.sync_data().is_err());
    file.sync_data().unwrap();
    assert_eq!(disk.content(&path), b"lost");
    file.drop_cache(0).unwrap();
    assert_eq!(disk.content(&path), [0; 4]);
}

#[test]
fn a_full_disk_takes_reserved_blocks_and_no_others() {
    let (disk, path) = world();
    let file = create(&disk, &path, b"");
    disk.set_capacity(Some(4 * PAGE_BYTES as u64));
    file.allocate(0, 2 * PAGE_BYTES as u64).unwrap();
    assert_eq!(disk.free(), PAGE_BYTES as u64);
    assert_eq!(file.allocate(0, 4 * PAGE_BYTES as u64).unwrap_err().kind(), io::ErrorKind::StorageFull);
    file.write_all_at(&[1; 3 * PAGE_BYTES], 0).unwrap();
    assert_eq!(
        file.write_all_at(&[1; 10], 3 * PAGE_BYTES as u64).unwrap_err().kind(),
        io::ErrorKind::StorageFull
    );
    disk.remove_file(Path::new("/d/old")).unwrap();
    file.write_all_at(&[1; 10], 3 * PAGE_BYTES as u64).unwrap();
}

#[test]
fn handles_and_locks_die_with_the_process() {
    let (disk, path) = world();
    let file = create(&disk, &path, b"x");
    let _held = disk.lock(Path::new("/d/lock"), "first").unwrap();
    assert!(
        matches!(disk.lock(Path::new("/d/lock"), "second"), Err(LockError::Held { holder }) if holder == "first")
    );
    disk.kill();
    assert!(file.write_all_at(b"y", 0).is_err());
    assert_eq!(disk.content(&path), b"x");
    let _held_again = disk.lock(Path::new("/d/lock"), "third").unwrap();
}

#[test]
#[should_panic(expected = "changed under a slice")]
fn changing_sliced_bytes_is_caught() {
    let (disk, path) = world();
    let file = create(&disk, &path, b"abcdef");
    let _slice = file.map(100).unwrap().slice(0, 3);
    let _ = file.write_all_at(b"xx", 2);
}

#[test]
#[should_panic(expected = "under a slice")]
fn cutting_sliced_bytes_is_caught() {
    let (disk, path) = world();
    let file = create(&disk, &path, b"abcdef");
    let _slice = file.map(100).unwrap().slice(0, 3);
    let _ = file.set_len(2);
}

#[test]
fn equal_seeds_and_calls_give_equal_disks_and_traces() {
    let run = || {
        let (disk, path) = world();
        let file = create(&disk, &path, &[5; 9000]);
        let mut rng = Rng::new(3);
        for _ in 0..20 {
            file.write_all_at(&[rng.next_u64() as u8; 700], rng.below(20_000)).unwrap();
        }
        disk.restart(99);
        let files = disk.files();
        let contents: Vec<Vec<u8>> = files.iter().map(|path| disk.content(path)).collect();
        (files, contents, disk.trace())
    };
    assert_eq!(run(), run());
}

#[test]
fn a_stalled_call_waits_until_the_disk_goes_on() {
    let (disk, path) = world();
    let file = create(&disk, &path, b"x");
    disk.stall();
    let writer = std::thread::spawn(move || file.write_all_at(b"y", 0));
    assert!(!writer.is_finished());
    disk.resume();
    writer.join().unwrap().unwrap();
    assert_eq!(disk.content(&path), b"y");
}
