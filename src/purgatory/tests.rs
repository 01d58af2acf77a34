use std::sync::atomic::AtomicBool;

use proptest::prelude::*;

use super::*;

/// Completes once `ready`; counts what happens to it.
#[derive(Default)]
struct Waiter {
    ready: AtomicBool,
    completed: AtomicUsize,
    expired: AtomicUsize,
}

impl DelayedOperation for Waiter {
    fn try_complete(&self) -> bool {
        let ready = self.ready.load(Ordering::SeqCst);
        if ready {
            self.completed.fetch_add(1, Ordering::SeqCst);
        }
        ready
    }

    fn expire(&self) {
        self.expired.fetch_add(1, Ordering::SeqCst);
    }
}

impl Waiter {
    fn ends(&self) -> (usize, usize) {
        (self.completed.load(Ordering::SeqCst), self.expired.load(Ordering::SeqCst))
    }
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// What is done is in no list any more.
fn assert_keeps_nothing<K: Hash + Eq + Clone>(purgatory: &Purgatory<K>) {
    assert!(purgatory.is_empty());
    assert!(purgatory.shards.iter().all(|shard| shard.lock().is_empty()), "an operation is left under a key");
    assert_eq!(purgatory.next_deadline(), None, "an operation is left in the wheel");
}

#[test]
fn what_can_be_completed_at_once_is_never_kept() {
    let purgatory: Purgatory<u32> = Purgatory::new(|| {});
    let waiter = Arc::new(Waiter { ready: true.into(), ..Waiter::default() });
    assert!(purgatory.watch(Arc::clone(&waiter) as _, [1], ms(5)));
    assert_eq!((waiter.ends(), purgatory.len(), purgatory.next_deadline()), ((1, 0), 0, None));
}

#[test]
fn a_check_completes_what_waits_under_its_key_and_leaves_the_others() {
    let purgatory = Purgatory::new(|| {});
    let [first, second] = [1, 2].map(|key| {
        let waiter = Arc::new(Waiter::default());
        assert!(!purgatory.watch(Arc::clone(&waiter) as _, [key, 9], ms(50)));
        waiter
    });
    first.ready.store(true, Ordering::SeqCst);
    second.ready.store(true, Ordering::SeqCst);
    assert_eq!(purgatory.check(&3), 0);
    assert_eq!(purgatory.check(&1), 1);
    assert_eq!((first.ends(), second.ends()), ((1, 0), (0, 0)));
    assert_eq!(purgatory.check(&9), 1);
    assert_eq!((first.ends(), second.ends()), ((1, 0), (1, 0)));
    assert_eq!(purgatory.advance(ms(1000)), 0);
    assert!(purgatory.is_empty() && purgatory.shards.iter().all(|shard| shard.lock().is_empty()));
}

#[test]
fn an_operation_expires_at_its_deadline_and_not_before() {
    let purgatory = Purgatory::new(|| {});
    let waiter = Arc::new(Waiter::default());
    purgatory.watch(Arc::clone(&waiter) as _, [1], ms(5_000));
    assert_eq!(purgatory.advance(ms(4_999)), 0);
    assert_eq!(purgatory.advance(ms(5_000)), 1);
    assert_eq!(purgatory.check(&1), 0);
    assert_eq!(waiter.ends(), (0, 1));
    assert_eq!(purgatory.next_deadline(), None);
}

#[test]
fn what_is_withdrawn_is_kept_nowhere_and_never_ends() {
    let purgatory = Purgatory::new(|| {});
    let waiter = Arc::new(Waiter::default());
    let place = purgatory.park(Arc::clone(&waiter) as _, [1, 2], ms(90_000)).unwrap();
    assert!(purgatory.withdraw(&place));
    assert_keeps_nothing(&purgatory);
    waiter.ready.store(true, Ordering::SeqCst);
    assert_eq!((purgatory.check(&1), purgatory.advance(ms(100_000))), (0, 0));
    assert!(!purgatory.withdraw(&place), "it is not there any more");
    assert_eq!(waiter.ends(), (0, 0));
}

#[test]
fn an_earlier_deadline_wakes_the_sleeper_and_a_later_one_does_not() {
    let woken = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&woken);
    let purgatory = Purgatory::new(move || {
        counter.fetch_add(1, Ordering::SeqCst);
    });
    for (deadline, expected) in [(500, 1), (600, 1), (400, 2), (450, 2)] {
        purgatory.watch(Arc::new(Waiter::default()), [deadline], ms(deadline));
        assert_eq!(woken.load(Ordering::SeqCst), expected, "deadline {deadline}");
    }
    assert_eq!(purgatory.next_deadline(), Some(ms(400)));
}

#[test]
fn threads_that_race_complete_each_operation_exactly_once_and_leave_none_behind() {
    let purgatory = Arc::new(Purgatory::new(|| {}));
    let waiters: Vec<_> = (0..2_000).map(|_| Arc::new(Waiter::default())).collect();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for (index, waiter) in waiters.iter().enumerate() {
                // Some are near, so that they expire; some are so far that nobody but their completion removes them.
                let deadline = if index % 2 == 0 { 1 + index as u64 % 40 } else { 60_000 };
                purgatory.watch(Arc::clone(waiter) as _, [index % 7, index % 5 + 10], ms(deadline));
            }
        });
        scope.spawn(|| {
            for waiter in &waiters {
                waiter.ready.store(true, Ordering::SeqCst);
                (0..15).for_each(|key| _ = purgatory.check(&key));
            }
        });
        scope.spawn(|| (0..4_000).for_each(|step| _ = purgatory.advance(ms(step / 100))));
    });
    (0..15).for_each(|key| _ = purgatory.check(&key));
    purgatory.advance(ms(1_000));
    assert_keeps_nothing(&purgatory);
    for waiter in waiters {
        let (completed, expired) = waiter.ends();
        assert_eq!(completed + expired, 1);
    }
}

/// Completes when it is asked for the second time: during its registration, by whoever finds it first.
#[derive(Default)]
struct SecondTime(AtomicBool);

impl DelayedOperation for SecondTime {
    fn try_complete(&self) -> bool {
        self.0.swap(true, Ordering::SeqCst)
    }

    fn expire(&self) {}
}

#[test]
fn what_is_completed_while_it_is_being_registered_is_in_no_list_afterwards() {
    let purgatory = Arc::new(Purgatory::new(|| {}));
    let registered = AtomicBool::new(false);
    let keys = 0..20;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..5_000 {
                purgatory.watch(Arc::new(SecondTime::default()), keys.clone(), ms(60_000));
            }
            registered.store(true, Ordering::SeqCst);
        });
        scope.spawn(|| {
            while !registered.load(Ordering::SeqCst) {
                purgatory.check(&0);
            }
        });
    });
    assert_keeps_nothing(&purgatory);
}

proptest! {
    /// Against a list of deadlines: what a jump to any time expires, and when the next look is due.
    #[test]
    fn the_wheel_agrees_with_a_sorted_list(deadlines in prop::collection::vec(0u64..80_000, 0..60), jumps in prop::collection::vec(1u64..48_000, 1..8)) {
        let mut wheel = Wheel::new();
        let mut model: Vec<(u64, u64)> = Vec::new();
        for (id, tick) in deadlines.iter().enumerate() {
            let id = id as u64;
            wheel.insert(*tick, id, id);
            model.push(((*tick).max(1), id));
        }
        let mut now = 0;
        for jump in jumps {
            let earliest = model.iter().map(|(tick, _)| *tick).min();
            prop_assert_eq!(wheel.next_tick().is_some(), earliest.is_some());
            if let (Some(next), Some(earliest)) = (wheel.next_tick(), earliest) {
                prop_assert!(next <= earliest && next > now);
            }
            now += jump;
            let mut due = wheel.take_due(now);
            due.sort_unstable();
            let mut expected: Vec<u64> = model.iter().filter(|(tick, _)| *tick <= now).map(|(_, id)| *id).collect();
            expected.sort_unstable();
            prop_assert_eq!(due, expected);
            model.retain(|(tick, _)| *tick > now);
        }
    }
}
