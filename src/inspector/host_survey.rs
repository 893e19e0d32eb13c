//! The machine that the process runs on, by what its system's files say.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use keepsight_contract::{Finding, GpuRequirement, Requirement};
use serde_json::Value;

use super::{
    Cooling, Disk, GpuSurvey, HostReport, Temperature,
    process_files::{self, MemoryInfo, ProcessStatus},
};
use crate::loader::DependencyChecker;

/// Looks at the machine.
pub(super) struct HostSurvey {
    state_dir: Option<PathBuf>,
    checker: Arc<DependencyChecker>,
    gpu: Arc<Mutex<GpuLook>>,
}

/// The last look at the graphics adapters.
#[derive(Default)]
struct GpuLook {
    under_way: bool,
    result: Option<(Instant, Result<Value, String>)>,
}

impl HostSurvey {
    pub(super) fn new(checker: Arc<DependencyChecker>, state_dir: Option<PathBuf>) -> Self {
        Self { state_dir, checker, gpu: Arc::default() }
    }

    /// What is so now. Reads files of the system, some of which ask a device: for a thread that
    /// may wait a moment.
    pub(super) fn report(&self) -> HostReport {
        let (status, memory) = (ProcessStatus::now(), MemoryInfo::now());
        let thermal = Path::new("/sys/class/thermal");
        HostReport {
            clock_synchronized: clock_synchronized(Path::new("/run/systemd/timesync/synchronized")),
            temperatures: temperatures(thermal),
            cooling: cooling(thermal),
            disk: self.state_dir.as_deref().and_then(disk),
            resident_bytes: status.resident_bytes,
            threads: status.threads,
            memory_bytes: memory.total_bytes,
            memory_available_bytes: memory.available_bytes,
            children: process_files::children(),
            gpu: self.gpu(),
            ..HostReport::default()
        }
    }

    pub(super) fn graphics(&self) -> Option<Finding> {
        let any = GpuRequirement { software_allowed: true, ..GpuRequirement::default() };
        let is_known = self.checker.surveys("gpu");
        is_known.then(|| self.checker.check(&Requirement::Gpu(any)))
    }

    /// What is known of the adapters. A look that is old is followed by another, on a thread of
    /// its own, that the next report shows.
    fn gpu(&self) -> GpuSurvey {
        if !self.checker.surveys("gpu") {
            return GpuSurvey::NotInBuild;
        }
        let mut look = lock(&self.gpu);
        let fresh = look.result.as_ref().is_some_and(|(at, _)| at.elapsed() < GPU_LOOK_AGE_MAX);
        if !fresh && !look.under_way {
            look.under_way = self.look_again();
        }
        match &look.result {
            None => GpuSurvey::Looking,
            Some((at, Ok(found))) => GpuSurvey::Found(at.elapsed(), found.clone()),
            Some((at, Err(reason))) => GpuSurvey::Failed(at.elapsed(), reason.clone()),
        }
    }

    /// Starts a look in the background; it ends with the child process, which has a time limit.
    fn look_again(&self) -> bool {
        let (checker, gpu) = (self.checker.clone(), self.gpu.clone());
        let look = move || {
            let result = checker.survey("gpu").unwrap_or_else(|| Err("no probe".to_owned()));
            *lock(&gpu) = GpuLook { under_way: false, result: Some((Instant::now(), result)) };
        };
        thread::Builder::new().name("gpu-survey".to_owned()).spawn(look).is_ok()
    }
}

fn lock(look: &Mutex<GpuLook>) -> MutexGuard<'_, GpuLook> {
    look.lock().unwrap_or_else(PoisonError::into_inner)
}

/// systemd-timesyncd makes that file once the clock is set; another service may have set it
/// without, so its absence says nothing.
fn clock_synchronized(marker: &Path) -> Option<bool> {
    marker.try_exists().ok().filter(|exists| *exists)
}

fn temperatures(thermal: &Path) -> Vec<Temperature> {
    let read = |zone: PathBuf| {
        let thousandths: f64 = process_files::text(&zone.join("temp"))?.parse().ok()?;
        let name = process_files::text(&zone.join("type"))?;
        Some(Temperature { name, celsius: thousandths / 1e3 })
    };
    parts(thermal, "thermal_zone").into_iter().filter_map(read).collect()
}

fn cooling(thermal: &Path) -> Vec<Cooling> {
    let read = |device: PathBuf| {
        let number = |name| process_files::text(&device.join(name))?.parse().ok();
        let name = process_files::text(&device.join("type"))?;
        Some(Cooling { name, state: number("cur_state")?, state_max: number("max_state")? })
    };
    parts(thermal, "cooling_device").into_iter().filter_map(read).collect()
}

/// The folder's entries whose names begin so, in the order of their numbers.
fn parts(folder: &Path, prefix: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let numbered = entries.flatten().filter_map(|entry| {
        let number: u32 = entry.file_name().to_str()?.strip_prefix(prefix)?.parse().ok()?;
        Some((number, entry.path()))
    });
    let mut numbered: Vec<_> = numbered.take(PARTS_MAX).collect();
    numbered.sort();
    numbered.into_iter().map(|(_, path)| path).collect()
}

/// Of the file system that holds the folder, or will once it is made.
fn disk(folder: &Path) -> Option<Disk> {
    let there = folder.ancestors().find(|folder| folder.exists())?;
    let space = rustix::fs::statvfs(there).ok()?;
    Some(Disk {
        path: folder.display().to_string(),
        total_bytes: space.f_blocks.saturating_mul(space.f_frsize),
        available_bytes: space.f_bavail.saturating_mul(space.f_frsize),
    })
}

/// After which adapters are looked for again, when somebody asks.
const GPU_LOOK_AGE_MAX: Duration = Duration::from_secs(60);
/// Thermometers, or means of cooling, that are shown; a server has one for each of its cores.
const PARTS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, path: &str, text: &str) {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn heat_and_what_is_done_about_it() {
        let folder = tempfile::tempdir().unwrap();
        let thermal = folder.path();
        write(thermal, "thermal_zone10/type", "gpu-thermal\n");
        write(thermal, "thermal_zone10/temp", "-1500\n");
        write(thermal, "thermal_zone2/type", "cpu-thermal\n");
        write(thermal, "thermal_zone2/temp", "61250\n");
        // A zone that is switched off gives an error instead of a number.
        write(thermal, "thermal_zone3/type", "off");
        write(thermal, "cooling_device0/type", "Processor\n");
        write(thermal, "cooling_device0/cur_state", "2\n");
        write(thermal, "cooling_device0/max_state", "10\n");
        write(thermal, "cooling_device1/type", "pwm-fan");
        write(thermal, "cooling_device1/cur_state", "4");
        write(thermal, "cooling_device1/max_state", "4");
        let named = |name: &str, celsius| Temperature { name: name.to_owned(), celsius };
        let expected = [named("cpu-thermal", 61.25), named("gpu-thermal", -1.5)];
        assert_eq!(temperatures(thermal), expected);
        let cooling = cooling(thermal);
        assert_eq!(cooling[0].state_max, 10);
        assert_eq!(cooling.iter().map(Cooling::throttles).collect::<Vec<_>>(), [true, false]);
        assert_eq!(temperatures(&thermal.join("absent")), []);
    }

    #[test]
    fn a_clock_is_synchronized_or_nobody_knows() {
        let folder = tempfile::tempdir().unwrap();
        let marker = folder.path().join("synchronized");
        assert_eq!(clock_synchronized(&marker), None);
        fs::write(&marker, "").unwrap();
        assert_eq!(clock_synchronized(&marker), Some(true));
    }

    #[test]
    fn the_disk_is_told_of_before_its_folder_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let later = folder.path().join("not/yet/made");
        let disk = disk(&later).unwrap();
        assert_eq!(disk.path, later.display().to_string());
        assert!(disk.total_bytes >= disk.available_bytes && disk.total_bytes > 0, "{disk:?}");
    }
}
