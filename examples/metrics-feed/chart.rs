//! The second consumer: appends every sample to a CSV and draws a chart of the run at its end.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use millrace::client::Consumer;
use plotters::prelude::*;

use crate::Error;
use crate::feed::{self, Finish, Placed};
use crate::sample::Sample;

const HEADER: &str =
    "host,sequence,time_ms,cpu_percent,memory_used_bytes,load,disk_read,disk_written,net_received,net_sent";

/// Follows the topic until the finish; returns what it read.
pub(crate) async fn run(consumer: Consumer, finish: Finish, out: PathBuf) -> Result<Vec<Placed>, Error> {
    let path = out.join("metrics.csv");
    let mut csv = OpenOptions::new().create(true).append(true).open(&path)?;
    if csv.metadata()?.len() == 0 {
        writeln!(csv, "{HEADER}")?;
    }
    let mut samples = Vec::new();
    let seen = feed::follow(consumer, finish, |sample| {
        writeln!(
            csv,
            "{},{},{},{:.2},{},{:.2},{:.0},{:.0},{:.0},{:.0}",
            sample.host,
            sample.sequence,
            sample.time_ms,
            sample.cpu_percent,
            sample.memory_used_bytes,
            sample.load,
            sample.disk_read_bytes_per_second,
            sample.disk_written_bytes_per_second,
            sample.network_received_bytes_per_second,
            sample.network_sent_bytes_per_second,
        )?;
        samples.push(sample.clone());
        Ok(())
    })
    .await?;
    // Partitions are read in no order.
    samples.sort_by_key(|sample: &Sample| sample.time_ms);
    draw(&out.join("metrics.svg"), &samples)?;
    Ok(seen)
}

/// Processor and memory, in percent, over the seconds of the run.
fn draw(path: &Path, samples: &[Sample]) -> Result<(), Error> {
    let start = samples.first().map_or(0, |sample| sample.time_ms);
    let seconds = |sample: &Sample| (sample.time_ms - start) as f64 / 1e3;
    let end = samples.last().map_or(1.0, seconds).max(1.0);
    let area = SVGBackend::new(path, (960, 420)).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption("metrics-feed: processor (red) and memory (blue), percent", ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(34)
        .y_label_area_size(44)
        .build_cartesian_2d(0.0..end, 0.0..100.0)?;
    chart.configure_mesh().x_desc("seconds").y_desc("%").draw()?;
    let cpu = samples.iter().map(|sample| (seconds(sample), sample.cpu_percent));
    chart.draw_series(LineSeries::new(cpu, &RED))?;
    let memory = samples.iter().map(|sample| {
        (seconds(sample), sample.memory_used_bytes as f64 * 100.0 / sample.memory_total_bytes.max(1) as f64)
    });
    chart.draw_series(LineSeries::new(memory, &BLUE))?;
    area.present()?;
    Ok(())
}
