//! The scaled-out reader: several workers in processes of their own share the topic as one group, and are killed with
//! `kill -9` and started again while they work.
//!
//! What is checked at the end is what a group promises: every sample that was acknowledged is judged, and judged right;
//! nothing else is; no sample is committed by two workers. A sample is judged twice only when the first worker was killed
//! or lost its partition before the group had committed it.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, watch};

use crate::Error;
use crate::feed::{Placed, Plan};
use crate::worker::{Told, is_alarm};

/// How often a worker is killed during a run.
const KILLS: u32 = 4;

/// How long the last samples may take to be judged, and the workers to end: sessions of those that were killed have to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// A place in the topic.
type Place = (i32, i64);

/// What one process has done.
#[derive(Debug, Default)]
struct Work {
    /// Judged, and not committed yet.
    open: BTreeSet<Place>,
    was_killed: bool,
}

/// What all of them have done.
#[derive(Debug, Default)]
pub(crate) struct Workers {
    /// Each process, in the order of their starts.
    works: Vec<Work>,
    /// How often each sample was judged, and the verdict.
    judged: BTreeMap<Place, (usize, bool)>,
    /// How often each sample was committed.
    done: BTreeMap<Place, usize>,
}

/// The processes that run.
struct Running<'a> {
    plan: &'a Plan,
    /// One for each place, with its number among all processes.
    children: Vec<(usize, Child)>,
    started: usize,
    lines: mpsc::UnboundedSender<(usize, String)>,
}

/// The samples that were acknowledged, once all are.
pub(crate) type Acknowledged = watch::Receiver<Option<Vec<Placed>>>;

/// Runs the workers until they have judged all that was acknowledged.
pub(crate) async fn run(plan: Plan, mut acknowledged: Acknowledged) -> Result<Workers, Error> {
    let (lines, mut told) = mpsc::unbounded_channel();
    let mut running = Running { plan: &plan, children: Vec::new(), started: 0, lines };
    let mut workers = Workers::default();
    for place in 0..plan.workers {
        running.start(place)?;
    }
    let mut kills = tokio::time::interval(plan.duration / (KILLS + 1));
    kills.tick().await;
    let mut killed = 0;
    let work = async {
        loop {
            tokio::select! {
                line = told.recv() => {
                    let (number, line) = line.ok_or("a worker is left")?;
                    workers.on_told(number, line.parse()?);
                }
                _ = kills.tick(), if killed < KILLS => {
                    let number = running.kill_and_restart(usize::try_from(killed)? % plan.workers).await?;
                    workers.work(number).was_killed = true;
                    killed += 1;
                }
                changed = acknowledged.changed() => changed.map_err(|_| "the producer failed")?,
            }
            let all = acknowledged.borrow();
            if killed == KILLS && all.as_ref().is_some_and(|all| workers.have_judged(all)) {
                return Ok::<(), Error>(());
            }
        }
    };
    tokio::time::timeout(plan.duration + PATIENCE, work).await.map_err(|_| "the workers do not get on")??;
    tokio::time::timeout(PATIENCE, running.stop()).await.map_err(|_| "the workers do not end")??;
    // What they have said since.
    while let Some((number, line)) = told.recv().await {
        workers.on_told(number, line.parse()?);
    }
    Ok(workers)
}

// === impl Running ===

impl Running<'_> {
    /// Starts the worker at one of the places.
    fn start(&mut self, place: usize) -> Result<(), Error> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["--worker", "--broker", &self.plan.broker, "--topic", &self.plan.topic])
            .args(["--protocol", self.plan.protocol_name()])
            .args(["--session", &self.plan.session.as_secs_f64().to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let stdout = child.stdout.take().ok_or("stdout is piped")?;
        let (number, lines) = (self.started, self.lines.clone());
        self.started += 1;
        tokio::spawn(async move {
            let mut read = BufReader::new(stdout).lines();
            while let Ok(Some(line)) = read.next_line().await {
                let _nobody_listens_if_this_fails = lines.send((number, line));
            }
        });
        if place < self.children.len() {
            self.children[place] = (number, child);
        } else {
            self.children.push((number, child));
        }
        Ok(())
    }

    /// `kill -9`, and another one in its place; the number of the one that was killed.
    async fn kill_and_restart(&mut self, place: usize) -> Result<usize, Error> {
        let (number, child) = &mut self.children[place];
        let number = *number;
        child.kill().await?;
        self.start(place)?;
        Ok(number)
    }

    /// Has all of them leave, and waits until they have.
    async fn stop(self) -> Result<(), Error> {
        for (_, mut child) in self.children {
            drop(child.stdin.take());
            let status = child.wait().await?;
            if !status.success() {
                return Err(format!("a worker ended with {status}").into());
            }
        }
        Ok(())
    }
}

// === impl Workers ===

impl Workers {
    fn work(&mut self, number: usize) -> &mut Work {
        if self.works.len() <= number {
            self.works.resize_with(number + 1, Work::default);
        }
        &mut self.works[number]
    }

    fn on_told(&mut self, number: usize, told: Told) {
        match told {
            Told::Judged { partition, offset, is_alarm } => {
                self.work(number).open.insert((partition, offset));
                let verdict = self.judged.entry((partition, offset)).or_insert((0, is_alarm));
                *verdict = (verdict.0 + 1, is_alarm);
            }
            Told::Done { partition, offset } => {
                let open = &mut self.work(number).open;
                let done: Vec<Place> =
                    open.range((partition, i64::MIN)..(partition, offset)).copied().collect();
                for place in done {
                    self.work(number).open.remove(&place);
                    *self.done.entry(place).or_default() += 1;
                }
            }
            Told::Lost { partition } => self.work(number).open.retain(|place| place.0 != partition),
        }
    }

    fn have_judged(&self, acknowledged: &[Placed]) -> bool {
        acknowledged.iter().all(|placed| self.judged.contains_key(&(placed.partition, placed.offset)))
    }

    /// Checks the promises for the samples of this run, which begins at `starts`.
    pub(crate) fn check(&self, acknowledged: &[Placed], starts: &BTreeMap<i32, i64>) -> Result<(), Error> {
        let mut expected = BTreeMap::new();
        for placed in acknowledged {
            expected
                .insert((placed.partition, placed.offset), is_alarm(&serde_json::from_str(&placed.value)?));
        }
        let is_of_run = |place: &Place| starts.get(&place.0).is_some_and(|start| place.1 >= *start);
        for (place, (_, verdict)) in self.judged.iter().filter(|(place, _)| is_of_run(place)) {
            match expected.get(place) {
                Some(expected) if expected == verdict => {}
                Some(_) => return Err(format!("the sample at {place:?} was judged wrongly").into()),
                None => return Err(format!("a sample at {place:?} was judged that was never sent").into()),
            }
        }
        if let Some(missing) = expected.keys().find(|place| !self.judged.contains_key(place)) {
            return Err(format!("the sample at {missing:?} was never judged").into());
        }
        if let Some((place, count)) = self.done.iter().find(|(_, count)| **count > 1) {
            return Err(format!("the sample at {place:?} was committed {count} times").into());
        }
        // A worker that was neither killed nor lost anything has finished whatever it began.
        for (number, work) in self.works.iter().enumerate() {
            if let Some(open) = work.open.first().filter(|_| !work.was_killed) {
                return Err(
                    format!("worker {number} judged the sample at {open:?} and never finished it").into()
                );
            }
        }
        Ok(())
    }

    /// A word on what they did.
    pub(crate) fn summary(&self) -> String {
        let twice: usize = self.judged.values().map(|(count, _)| count - 1).sum();
        let alarms = self.judged.values().filter(|(_, is_alarm)| *is_alarm).count();
        let killed = self.works.iter().filter(|work| work.was_killed).count();
        format!(
            "{} samples judged by {} workers of which {killed} were killed: {alarms} alarms, {twice} judged twice",
            self.judged.len(),
            self.works.len()
        )
    }
}
