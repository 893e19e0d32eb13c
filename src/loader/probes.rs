//! Checks of what needs no plugin crate to check: files, models, programs, variables, memory.

use std::{
    env,
    fs::{self, File},
    io::{self, Read},
    path::Path,
};

use keepsight_contract::{Finding, ModelFileRequirement, PROBES, Probe, ProbeCheck, Requirement};
use linkme::distributed_slice;
use sha2::{Digest, Sha256};

#[distributed_slice(PROBES)]
static MODEL_FILE: Probe = Probe { kind: "model_file", check: ProbeCheck::InProcess(model_file) };
#[distributed_slice(PROBES)]
static FILE: Probe = Probe { kind: "file", check: ProbeCheck::InProcess(file) };
#[distributed_slice(PROBES)]
static PROGRAM: Probe = Probe { kind: "program", check: ProbeCheck::InProcess(program) };
#[distributed_slice(PROBES)]
static ENV_VAR: Probe = Probe { kind: "env_var", check: ProbeCheck::InProcess(env_var) };
#[distributed_slice(PROBES)]
static MEMORY: Probe = Probe { kind: "memory", check: ProbeCheck::InProcess(memory) };

fn model_file(requirement: &Requirement) -> Finding {
    let Requirement::ModelFile(model) = requirement else { return not_mine(requirement) };
    let subject = requirement.subject();
    match sha256(&model.path) {
        Err(error) => {
            let hint = format!(
                "put the {} file there, or set the plugin's `model` to where it is",
                model.format
            );
            Finding::unmet(
                "dependency.model_missing",
                subject,
                cannot_read(&model.path, &error),
                hint,
            )
        }
        Ok(found) => compare(model, subject, found),
    }
}

fn compare(model: &ModelFileRequirement, subject: String, found: String) -> Finding {
    match &model.sha256 {
        Some(expected) if !expected.eq_ignore_ascii_case(&found) => Finding::unmet(
            "dependency.model_wrong",
            subject,
            format!("{} has SHA-256 {found}, expected {expected}", model.path.display()),
            "the file is damaged or another one: copy it again, or correct `sha256` beside it",
        ),
        _ => Finding::met(subject, format!("SHA-256 {found}")),
    }
}

fn file(requirement: &Requirement) -> Finding {
    let Requirement::File { path } = requirement else { return not_mine(requirement) };
    match File::open(path) {
        Ok(_) => Finding::met(requirement.subject(), "it can be read"),
        Err(error) => Finding::unmet(
            "dependency.file_missing",
            requirement.subject(),
            cannot_read(path, &error),
            "put the file there and let this user read it",
        ),
    }
}

fn program(requirement: &Requirement) -> Finding {
    let Requirement::Program { name, remedy } = requirement else { return not_mine(requirement) };
    let folders = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&folders).map(|folder| folder.join(name)).find(|at| runs(at));
    match found {
        Some(path) => Finding::met(requirement.subject(), path.display().to_string()),
        None => Finding::unmet(
            "dependency.program_missing",
            requirement.subject(),
            format!("{name} is in no folder of the PATH"),
            remedy.clone(),
        ),
    }
}

fn env_var(requirement: &Requirement) -> Finding {
    let Requirement::EnvVar { name } = requirement else { return not_mine(requirement) };
    if env::var_os(name).is_some() {
        return Finding::met(requirement.subject(), "it is set");
    }
    Finding::unmet(
        "dependency.variable_missing",
        requirement.subject(),
        format!("the environment variable {name} is not set"),
        format!("set {name} where keepsight is started, such as in its systemd unit"),
    )
}

fn memory(requirement: &Requirement) -> Finding {
    let Requirement::Memory { bytes } = requirement else { return not_mine(requirement) };
    let Some(available) = memory_available() else {
        return Finding::met(requirement.subject(), "the system doesn't say how much there is");
    };
    if available >= bytes.0 {
        let found = keepsight_contract::Bytes(available);
        return Finding::met(requirement.subject(), format!("{found} are available"));
    }
    Finding::unmet(
        "dependency.memory_short",
        requirement.subject(),
        format!("{} are available, {bytes} are needed", keepsight_contract::Bytes(available)),
        "end other programs, or use a smaller model",
    )
}

/// `MemAvailable` of /proc/meminfo, in bytes (proc_meminfo(5)).
fn memory_available() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(unix)]
fn runs(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;

    fs::metadata(path).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn runs(path: &Path) -> bool {
    path.is_file()
}

fn sha256(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut digest = Sha256::new();
    let mut block = vec![0; 64 * 1024];
    loop {
        match file.read(&mut block)? {
            0 => break,
            count => digest.update(&block[..count]),
        }
    }
    Ok(digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

fn cannot_read(path: &Path, error: &io::Error) -> String {
    format!("cannot read {}: {error}", path.display())
}

fn not_mine(requirement: &Requirement) -> Finding {
    Finding::unmet(
        "dependency.no_probe",
        requirement.subject(),
        "the probe was asked for another kind of requirement",
        "report this: it is a mistake in keepsight",
    )
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[track_caller]
    fn check(finding: &Finding, code: &str, reason: &str) {
        assert_eq!(finding.code, code, "{finding:?}");
        assert!(finding.reason.contains(reason), "{finding:?}");
        assert!(finding.met != (code != "ok"), "{finding:?}");
        assert!(finding.met || !finding.hint.is_empty(), "{finding:?}");
    }

    fn model(path: PathBuf, sha256: Option<&str>) -> Requirement {
        let sha256 = sha256.map(str::to_owned);
        Requirement::ModelFile(ModelFileRequirement { path, sha256, format: "ONNX".to_owned() })
    }

    #[test]
    fn a_model_is_there_whole_or_said_to_be_missing_or_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.onnx");
        check(&model_file(&model(path.clone(), None)), "dependency.model_missing", "cannot read");
        fs::write(&path, b"abc").unwrap();
        // FIPS 180-2, appendix B.1.
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        check(&model_file(&model(path.clone(), None)), "ok", abc);
        check(&model_file(&model(path.clone(), Some(&abc.to_uppercase()))), "ok", abc);
        fs::write(&path, b"abd").unwrap();
        check(&model_file(&model(path, Some(abc))), "dependency.model_wrong", "expected");
    }

    #[test]
    fn files_programs_variables_and_memory_are_looked_for() {
        let there = Requirement::File { path: "/proc/self/status".into() };
        check(&file(&there), "ok", "read");
        let absent = Requirement::File { path: "/nonexistent/file".into() };
        check(&file(&absent), "dependency.file_missing", "/nonexistent/file");

        let wanted = |name: &str| Requirement::Program { name: name.into(), remedy: "x".into() };
        check(&program(&wanted("sh")), "ok", "sh");
        check(&program(&wanted("no-such-program")), "dependency.program_missing", "PATH");

        let variable = |name: &str| Requirement::EnvVar { name: name.into() };
        check(&env_var(&variable("PATH")), "ok", "set");
        check(&env_var(&variable("KEEPSIGHT_NO_SUCH")), "dependency.variable_missing", "not set");

        let amount = |bytes| Requirement::Memory { bytes: keepsight_contract::Bytes(bytes) };
        check(&memory(&amount(1)), "ok", "available");
        check(&memory(&amount(u64::MAX)), "dependency.memory_short", "needed");
    }

    #[test]
    fn a_probe_refuses_what_is_not_its_kind() {
        let other = Requirement::EnvVar { name: "PATH".into() };
        for probe in [model_file, file, program, memory] {
            check(&probe(&other), "dependency.no_probe", "another kind");
        }
    }
}
