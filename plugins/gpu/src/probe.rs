//! The probe for the requirement kind `gpu`: a survey in a child process, judged
//! in this one, which so touches no driver before a permitted adapter is known
//! to be there.

use keepsight_contract::{Finding, GpuRequirement, PROBES, Probe, ProbeCheck, Requirement};
use serde_json::Value;

use crate::survey::{AdapterKind, AdapterSummary, GpuSurvey, survey};

#[linkme::distributed_slice(PROBES)]
static GPU_PROBE: Probe =
    Probe { kind: "gpu", check: ProbeCheck::ChildProcess { survey: survey_as_json, judge } };

fn survey_as_json() -> Value {
    serde_json::to_value(survey()).expect("a survey is made of texts and numbers")
}

/// Whether what a child process saw meets a requirement.
fn judge(requirement: &Requirement, seen: &Value) -> Finding {
    let subject = requirement.subject();
    let Requirement::Gpu(wanted) = requirement else {
        return Finding::unmet(
            MISSING,
            subject,
            format!("the GPU probe can't check the kind {}", requirement.kind()),
            "this is a mistake in the program; please report it",
        );
    };
    let Ok(survey) = serde_json::from_value::<GpuSurvey>(seen.clone()) else {
        return Finding::unmet(
            MISSING,
            subject,
            "the GPU probe gave no survey",
            "run `keepsight probe gpu --json` to see what it says",
        );
    };
    let reasons: Vec<_> =
        survey.adapters.iter().map(|adapter| (adapter, refusal(wanted, adapter))).collect();
    if let Some((adapter, _)) = reasons.iter().find(|(_, refusal)| refusal.is_none()) {
        return Finding::met(subject, format!("{adapter}, {}", adapter.facts()));
    }
    if reasons.is_empty() {
        let backends = survey.backends.join(", ");
        return Finding::unmet(
            MISSING,
            subject,
            format!("no graphics driver offers an adapter ({backends})"),
            "install the Vulkan driver of the GPU (on Debian: mesa-vulkan-drivers, or the \
             vendor's) and give this user access to /dev/dri, or set gpu = \"auto\" or \"off\"",
        );
    }
    let reasons: Vec<_> = reasons
        .into_iter()
        .filter_map(|(adapter, refusal)| Some(format!("{adapter} {}", refusal?)))
        .collect();
    Finding::unmet(
        MISSING,
        subject,
        format!("no adapter will do: {}", reasons.join("; ")),
        "install the driver of a real GPU, name another adapter, or set gpu = \"auto\" or \"off\"",
    )
}

/// Why an adapter doesn't meet a requirement; `None` where it does.
fn refusal(wanted: &GpuRequirement, adapter: &AdapterSummary) -> Option<String> {
    let named = wanted
        .adapter
        .as_ref()
        .is_none_or(|name| adapter.name.to_lowercase().contains(&name.to_lowercase()));
    let bytes = adapter.limits.storage_binding_bytes_max;
    if !named {
        Some("has another name".to_owned())
    } else if adapter.kind == AdapterKind::Software && !wanted.software_allowed {
        Some("is not allowed: it is the processor".to_owned())
    } else if !adapter.sufficient {
        Some("is too small for the kernels".to_owned())
    } else if bytes < wanted.storage_buffer_bytes_min {
        let needed = wanted.storage_buffer_bytes_min;
        Some(format!("binds {bytes} bytes of storage, {needed} are needed"))
    } else {
        None
    }
}

const MISSING: &str = "dependency.gpu_missing";

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use serde_json::json;

    use super::*;

    fn adapter(name: &str, kind: &str) -> Value {
        json!({
            "name": name, "backend": "vulkan", "kind": kind, "driver": "test 1.0",
            "limits": {
                "buffer_bytes_max": 1_000_000, "storage_binding_bytes_max": 1_000_000,
                "storage_buffers_max": 8, "workgroup_memory_bytes": 32_768,
                "workgroup_invocations_max": 256,
            },
            "features": [], "sufficient": name != "Old",
        })
    }

    #[track_caller]
    fn check(wanted: GpuRequirement, adapters: &[(&str, &str)], expected: Result<&str, &str>) {
        let adapters: Vec<_> = adapters.iter().map(|(name, kind)| adapter(name, kind)).collect();
        let seen = json!({ "backends": ["vulkan"], "adapters": adapters });
        let finding = judge(&Requirement::Gpu(wanted), &seen);
        let reason = finding.reason.as_str();
        assert_eq!(if finding.met { Ok(reason) } else { Err(reason) }, expected);
        if !finding.met {
            assert_eq!(finding.code, "dependency.gpu_missing");
            assert!(!finding.hint.is_empty());
        }
    }

    #[test]
    fn a_real_adapter_is_found() {
        check(
            GpuRequirement::default(),
            &[("Radeon", "discrete"), ("llvmpipe", "software")],
            Ok(
                "Radeon (vulkan, discrete), driver test 1.0, storage of 0 MiB, workgroups of 256 with \
                32 KiB, no optional features",
            ),
        );
        check(
            GpuRequirement { software_allowed: true, ..GpuRequirement::default() },
            &[("llvmpipe", "software")],
            Ok(
                "llvmpipe (vulkan, software), driver test 1.0, storage of 0 MiB, workgroups of 256 \
                with 32 KiB, no optional features",
            ),
        );
    }

    #[test]
    fn each_adapter_says_why_it_will_not_do() {
        check(GpuRequirement::default(), &[], Err("no graphics driver offers an adapter (vulkan)"));
        check(
            GpuRequirement {
                adapter: Some("iris".into()),
                storage_buffer_bytes_min: 2_000_000,
                ..GpuRequirement::default()
            },
            &[("Iris Xe", "integrated"), ("Radeon", "discrete")],
            Err("no adapter will do: \
                 Iris Xe (vulkan, integrated) binds 1000000 bytes of storage, 2000000 are needed; \
                 Radeon (vulkan, discrete) has another name"),
        );
        check(
            GpuRequirement::default(),
            &[("Old", "discrete"), ("llvmpipe", "software")],
            Err("no adapter will do: \
                 Old (vulkan, discrete) is too small for the kernels; \
                 llvmpipe (vulkan, software) is not allowed: it is the processor"),
        );
    }

    #[test]
    fn nonsense_is_a_finding_too() {
        let broken = judge(&Requirement::Gpu(GpuRequirement::default()), &json!({"adapters": 3}));
        assert_eq!((broken.met, broken.reason.as_str()), (false, "the GPU probe gave no survey"));
        let file = judge(&Requirement::File { path: PathBuf::from("x") }, &json!({}));
        assert!(!file.met && file.reason.contains("kind file"), "{file:?}");
    }

    #[test]
    fn the_probe_is_registered_and_its_survey_can_be_judged() {
        let probe = PROBES.iter().find(|probe| probe.kind == "gpu").expect("it is linked");
        let ProbeCheck::ChildProcess { survey, judge } = probe.check else {
            panic!("drivers crash, so it runs in a child process");
        };
        let any = GpuRequirement { software_allowed: true, ..GpuRequirement::default() };
        let seen = survey();
        let finding = judge(&Requirement::Gpu(any), &seen);
        let adapters = seen["adapters"].as_array().expect("a list");
        assert_eq!(finding.met, !adapters.is_empty(), "{finding:?}");
    }
}
