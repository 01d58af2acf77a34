//! Golden bytes: what is on the disk stays readable. See `docs/FORMATS.md`.

use super::harness::*;
use crate::log::LogConfig;

/// The files of a small log as hexadecimal digits, after an orderly stop.
fn hex_of(place: &Place, name: &str) -> String {
    let bytes = place.resources.env().disk.read(&place.path.join(name), 1 << 20).unwrap();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn stopped() -> Place {
    let place = Place::simulated(LogConfig { index_interval_bytes: 50, ..LogConfig::default() });
    let log = place.create();
    append(&log, batch_at(1000, &[b"a"])).unwrap();
    append(&log, sequenced(5, 2, 7, 2)).unwrap();
    log.sync().unwrap();
    log.close_clean(NOW_MS).unwrap();
    place
}

#[test]
fn the_files_of_a_log_are_these_bytes() {
    let place = stopped();
    let name = |suffix: &str| format!("00000000000000000000.{suffix}");
    // Base offset 0, length 57, epoch 1, magic 2 | crc | one record of value "a" at 1000 ms, no producer.
    assert!(hex_of(&place, &name("log")).starts_with(concat!(
        "0000000000000000",
        "00000039",
        "00000001",
        "02",
    )));
    // The second batch: last offset 2, at position 69.
    assert_eq!(hex_of(&place, &name("index")), "0000000200000045");
    // The largest timestamp is NOW_MS, of the batch that ends at offset 2.
    assert_eq!(hex_of(&place, &name("timeindex")), "0000018bcfe5680000000002");
    assert_eq!(
        hex_of(&place, "leader-epoch-checkpoint"),
        concat!(
            "4d4c6570",
            "0001",
            "0000",
            "00000018",
            "995d3ef6",
            "0000000000000000",
            "00000001",
            "00000001",
            "0000000000000000",
        )
    );
    assert_eq!(
        hex_of(&place, "index-checkpoint"),
        concat!(
            "4d4c6978",
            "0001",
            "0000",
            "00000029",
            "53038e5d",
            "00000001",
            "0000000000000000",
            "00000001",
            "19543916",
            "00000001",
            "88a003f3",
            "00",
            "0000018bcfe56800",
            "00000002",
        )
    );
    assert_eq!(
        hex_of(&place, "00000000000000000003.snapshot"),
        concat!(
            "4d4c7073",
            "0001",
            "0000",
            "0000003f",
            "6a0cbb6b",
            "0000000000000003",
            "00000001",
            "0000000000000005",
            "0002",
            "0000018bcfe56800",
            "01",
            "00000007",
            "00000008",
            "0000000000000001",
            "0000000000000002",
            "0000018bcfe56800",
        )
    );
}
