use std::sync::Arc;

use super::{Assignor, Partitions, Reader, Task};
use crate::engine::tests::seeds::each_seed;
use crate::testing::Rng;
use crate::types::{TopicId, TopicPartition};

/// Members with their subscriptions, and topics, by index; previous targets grow old as these change.
struct World {
    /// Numbers of partitions.
    topics: Vec<u32>,
    members: Vec<(String, Vec<usize>, Partitions)>,
}

fn topic(index: usize) -> TopicId {
    TopicId((index as u128 + 1).to_be_bytes())
}

fn part(index: usize, partition: i32) -> TopicPartition {
    TopicPartition { topic: topic(index), partition }
}

impl World {
    fn alike(topics: &[u32], members: usize) -> Self {
        let everything: Vec<usize> = (0..topics.len()).collect();
        let members =
            (0..members).map(|index| (format!("m{index:04}"), everything.clone(), Partitions::new()));
        Self { topics: topics.to_vec(), members: members.collect() }
    }

    fn assign(&mut self, assignor: Assignor) -> Vec<usize> {
        let topics = (0..).zip(&self.topics).map(|(index, &partitions)| (topic(index), partitions));
        let members = (0..).zip(&self.members).map(|(class, (id, _, previous))| Reader {
            class,
            previous,
            rank: Arc::from(id.as_str()),
        });
        let mut classes: Vec<Vec<usize>> = Vec::new();
        let members = members.map(|reader| {
            let wanted = &self.members[reader.class].1;
            let known = classes.iter().position(|class| class == wanted);
            let class = known.unwrap_or_else(|| {
                classes.push(wanted.clone());
                classes.len() - 1
            });
            Reader { class, ..reader }
        });
        let members = members.collect();
        let task = Task { topics: topics.collect(), classes, members };
        let targets = assignor.assign(&task);
        self.check(&targets);
        for ((_, _, previous), target) in self.members.iter_mut().zip(targets) {
            *previous = target;
        }
        self.loads()
    }

    fn loads(&self) -> Vec<usize> {
        self.members.iter().map(|(_, _, target)| target.len()).collect()
    }

    /// Each partition that anybody wants has one owner, who wants it.
    fn check(&self, targets: &[Partitions]) {
        assert_eq!(targets.len(), self.members.len());
        for (index, &partitions) in self.topics.iter().enumerate() {
            let wanted = self.members.iter().any(|(_, topics, _)| topics.contains(&index));
            for partition in 0..partitions as i32 {
                let owners = targets.iter().filter(|target| target.contains(&part(index, partition)));
                assert_eq!(owners.count(), usize::from(wanted), "{index}-{partition}");
            }
        }
        for ((_, topics, _), target) in self.members.iter().zip(targets) {
            for read in target {
                let known = topics.iter().find(|&&index| topic(index) == read.topic).expect("it wants it");
                assert!((0..self.topics[*known] as i32).contains(&read.partition));
            }
        }
    }

    fn kept(&self, before: &[(String, Vec<usize>, Partitions)]) -> usize {
        let of = |id: &String| before.iter().find(|(other, ..)| other == id).map(|(_, _, target)| target);
        self.members.iter().filter_map(|(id, _, target)| Some(of(id)?.intersection(target).count())).sum()
    }

    /// Something changes.
    fn changes(&mut self, rng: &mut Rng, alike: bool) {
        let topics = self.topics.len() as u64;
        match rng.below(6) {
            0 => {
                let index = rng.below(topics) as usize;
                self.topics[index] += rng.below(4) as u32;
            }
            1 if self.members.len() > 1 => {
                self.members.remove(rng.below(self.members.len() as u64) as usize);
            }
            2 if !alike => {
                let index = rng.below(self.members.len() as u64) as usize;
                self.members[index].1 = some_topics(topics, rng);
            }
            _ => {
                let wanted = if alike { (0..topics as usize).collect() } else { some_topics(topics, rng) };
                self.members.push((format!("m{:016x}", rng.next_u64()), wanted, Partitions::new()));
                self.members.sort_by(|a, b| a.0.cmp(&b.0));
            }
        }
    }
}

fn some_topics(topics: u64, rng: &mut Rng) -> Vec<usize> {
    (0..topics as usize).filter(|_| rng.one_in(2)).collect()
}

#[test]
fn uniform_shares_differ_by_one_and_no_more_moves_than_has_to() {
    each_seed("group::consumer::assign", 200, |seed| {
        let mut rng = Rng::new(seed);
        let topics: Vec<u32> = (0..1 + rng.below(4)).map(|_| rng.below(12) as u32).collect();
        let mut world = World::alike(&topics, 1 + rng.below(5) as usize);
        world.assign(Assignor::Uniform);
        for _ in 0..10 {
            world.changes(&mut rng, true);
            let before = world.members.clone();
            let loads = world.assign(Assignor::Uniform);
            let (least, most) = (loads.iter().min().unwrap(), loads.iter().max().unwrap());
            assert!(most - least <= 1, "{loads:?}");
            // Everybody keeps what it had up to its share; those who had more than others keep one more.
            let had: Vec<usize> = before.iter().map(|(_, _, target)| target.len()).collect();
            let (share, mut extra) =
                (loads.iter().sum::<usize>() / loads.len(), loads.iter().sum::<usize>() % loads.len());
            let could_keep: usize = had
                .iter()
                .map(|&had| {
                    let one_more = usize::from(had > share && extra > 0);
                    extra -= one_more;
                    had.min(share + one_more)
                })
                .sum();
            assert_eq!(world.kept(&before), could_keep, "had {had:?}, has {loads:?}");
        }
    });
}

#[test]
fn uniform_shares_of_different_subscriptions_leave_no_move_that_evens_them_out() {
    each_seed("group::consumer::assign", 300, |seed| {
        let mut rng = Rng::new(seed);
        let topics: Vec<u32> = (0..1 + rng.below(6)).map(|_| rng.below(9) as u32).collect();
        let mut world = World::alike(&topics, 1);
        for _ in 0..12 {
            world.changes(&mut rng, false);
            let loads = world.assign(Assignor::Uniform);
            for ((_, _, target), load) in world.members.iter().zip(&loads) {
                for read in target {
                    for ((_, topics, _), other) in world.members.iter().zip(&loads) {
                        let reads = topics.iter().any(|&index| topic(index) == read.topic);
                        assert!(!reads || *load <= other + 1, "{read:?} of {loads:?}");
                    }
                }
            }
            let before = world.members.clone();
            world.assign(Assignor::Uniform);
            assert_eq!(world.members, before, "nothing moves when nothing has changed");
        }
    });
}

#[test]
fn ranges_are_runs_of_almost_the_same_length_in_the_same_order_for_every_topic() {
    each_seed("group::consumer::assign", 200, |seed| {
        let mut rng = Rng::new(seed);
        let topics: Vec<u32> = (0..1 + rng.below(4)).map(|_| rng.below(12) as u32).collect();
        let mut world = World::alike(&topics, 1 + rng.below(5) as usize);
        for _ in 0..10 {
            world.changes(&mut rng, true);
            world.assign(Assignor::Range);
            let mut starts: Vec<Vec<i32>> = vec![Vec::new(); world.members.len()];
            for (index, &partitions) in world.topics.iter().enumerate() {
                let share = partitions as usize / world.members.len();
                for (member, (_, _, target)) in world.members.iter().enumerate() {
                    let run: Vec<i32> = target
                        .iter()
                        .filter(|part| part.topic == topic(index))
                        .map(|part| part.partition)
                        .collect();
                    assert!(run.len() == share || run.len() == share + 1, "{run:?}");
                    assert!(run.windows(2).all(|pair| pair[1] == pair[0] + 1), "{run:?}");
                    starts[member].push(run.first().copied().unwrap_or(i32::MAX));
                }
            }
            // Who is before another in one topic is not behind it in any.
            starts.sort();
            for index in 0..world.topics.len() {
                assert!(starts.windows(2).all(|pair| pair[0][index] <= pair[1][index]), "{starts:?}");
            }
            let before = world.members.clone();
            world.assign(Assignor::Range);
            assert_eq!(world.members, before, "nothing moves when nothing has changed");
        }
    });
}

#[test]
fn a_newcomer_comes_last_whatever_its_name() {
    let mut world = World::alike(&[6], 2);
    world.assign(Assignor::Range);
    world.members.insert(0, ("a".into(), vec![0], Partitions::new()));
    world.assign(Assignor::Range);
    let runs: Vec<Vec<i32>> = world
        .members
        .iter()
        .map(|(_, _, target)| target.iter().map(|part| part.partition).collect())
        .collect();
    assert_eq!(runs, [vec![4, 5], vec![0, 1], vec![2, 3]]);
}

#[test]
fn nobody_and_nothing_can_be_shared_out() {
    for assignor in Assignor::ALL {
        assert_eq!(World::alike(&[3], 0).assign(assignor), [0; 0]);
        assert_eq!(World::alike(&[], 2).assign(assignor), [0, 0]);
        assert_eq!(World::alike(&[0, 0], 2).assign(assignor), [0, 0]);
        assert_eq!(Assignor::from_name(assignor.name()), Some(assignor));
    }
    assert_eq!(Assignor::from_name("sticky"), None);
}
