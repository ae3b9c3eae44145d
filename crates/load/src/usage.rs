//! What processes use, by the kernel's account.

use std::{fs, time::Duration};

use anyhow::{Context as _, Result};

/// Clock ticks in a second, on Linux everywhere.
const TICKS: u64 = 100;

/// Of one process, or of several together.
#[derive(Clone, Copy, Default)]
pub(crate) struct Usage {
    /// Proportional set size in bytes.
    pub(crate) memory: u64,
    /// Processor time so far, of program and kernel.
    pub(crate) cpu: Duration,
}

impl Usage {
    /// Of this process.
    pub(crate) fn of(process: u32) -> Result<Self> {
        let text = fs::read_to_string(format!("/proc/{process}/smaps_rollup"))?;
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).context("no Pss line")?;
        let memory = line.trim().trim_end_matches(" kB").trim().parse::<u64>()? * 1024;
        Ok(Self { memory, cpu: Stat::of(process)?.cpu })
    }

    /// Of this process and of those that it started.
    pub(crate) fn of_family(process: u32) -> Result<Self> {
        let mut all = Self::of(process)?;
        for entry in fs::read_dir("/proc")? {
            let Some(child) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            // One may end while it is looked at.
            if let (Ok(stat), Ok(usage)) = (Stat::of(child), Self::of(child))
                && stat.parent == process
            {
                all.memory += usage.memory;
                all.cpu += usage.cpu;
            }
        }
        Ok(all)
    }
}

struct Stat {
    parent: u32,
    cpu: Duration,
}

impl Stat {
    fn of(process: u32) -> Result<Self> {
        let text = fs::read_to_string(format!("/proc/{process}/stat"))?;
        // The name in parentheses may hold anything; parent, utime and stime are the 2nd, 12th and 13th words after it.
        let (_, rest) = text.rsplit_once(')').context("no name")?;
        let words: Vec<&str> = rest.split_whitespace().collect();
        let number = |at: usize| words.get(at).and_then(|word| word.parse::<u64>().ok()).context("no number");
        let cpu = Duration::from_millis((number(11)? + number(12)?) * 1000 / TICKS);
        Ok(Self { parent: u32::try_from(number(1)?)?, cpu })
    }
}
