use std::time::Duration;

use keepsight_contract::{DeviceListing, Manifest};
use serde_json::{Value, json};

use super::{ExitStatus, Failure, print};
use crate::{
    bundled::{BUNDLED, OTHER_FEATURES, gpu_backends},
    loader::Catalog,
    sandbox::{PANIC_STRATEGY, Phase, Sandbox, SandboxLimits, SandboxScope},
};

/// Lists the plugins of this build, and the sources and outputs.
pub(super) fn plugins(catalog: &Catalog, json: bool) -> Result<ExitStatus, Failure> {
    if json {
        let manifests: Vec<&Manifest> = catalog.plugins().map(|entry| &*entry.manifest).collect();
        print::json(&json!({
            "plugins": manifests,
            "sources": catalog.schemes(),
            "outputs": catalog.output_schemes(),
        }))?;
        return Ok(ExitStatus::Success);
    }
    for entry in catalog.plugins() {
        let manifest = &entry.manifest;
        print::line(&format!("{} {}  {}", manifest.id, manifest.version, manifest.description));
        for tool in &manifest.tools {
            let on_streams = manifest.stream_tool.as_deref() == Some(tool.id.as_str());
            let mark = if on_streams { " (on streams)" } else { "" };
            print::line(&format!("    {}{mark}  {}", tool.id, tool.description));
        }
    }
    print::line(&format!("sources: {}", scheme_list(&catalog.schemes())));
    print::line(&format!("outputs: {}", scheme_list(&catalog.output_schemes())));
    Ok(ExitStatus::Success)
}

/// Lists the cameras of this machine. Driver code runs in the sandbox.
pub(super) fn cameras(catalog: &Catalog, json: bool) -> Result<ExitStatus, Failure> {
    let Some(source) = catalog.source("camera").copied() else {
        let message = "this build opens no cameras; build with the feature camera";
        return Err(Failure::new(ExitStatus::Missing, message));
    };
    let sandbox = Sandbox::new(SandboxLimits::default());
    let scope = SandboxScope::new("cameras", None, 0);
    let devices = sandbox
        .run_once("cameras", scope, Phase::Probe, LIST_LIMIT, move |_| (source.devices)())
        .map_err(|fault| Failure::of(ExitStatus::Failure, &fault))?
        .map_err(|error| {
            let message = format!("{}; {}", error.reason(), error.hint_text());
            Failure::new(ExitStatus::Failure, message)
        })?;
    if json {
        print::json(&devices)?;
    } else if devices.is_empty() {
        print::line("no camera found");
        print::line("  connect one; `ls /dev/video*` shows what the kernel sees");
    } else {
        devices.iter().for_each(print_device);
    }
    Ok(ExitStatus::Success)
}

fn print_device(device: &DeviceListing) {
    let alias = device.alias.as_ref().map(|alias| format!(" ({alias})")).unwrap_or_default();
    print::line(&format!("{}{alias}  {}", device.uri, device.name));
    if let Some(holder) = &device.holder {
        print::line(&format!("    in use by {holder}"));
    }
    if let Some(trouble) = &device.trouble {
        print::line(&format!("    {trouble}"));
    }
    for format in device.formats.iter().filter(|format| format.supported) {
        let rates: Vec<String> = format.rates.iter().map(|rate| format!("{rate:.4}")).collect();
        let rates: Vec<&str> =
            rates.iter().map(|rate| rate.trim_end_matches('0').trim_end_matches('.')).collect();
        print::line(&format!("    {} {}  {} fps", format.format, format.size, rates.join(", ")));
    }
}

/// Says what this binary was built of.
pub(super) fn build_info(catalog: &Catalog, json: bool) -> Result<ExitStatus, Failure> {
    let info = build_facts(catalog);
    if json {
        print::json(&info)?;
        return Ok(ExitStatus::Success);
    }
    let Value::Object(facts) = info else { return Ok(ExitStatus::Success) };
    for (name, value) in facts {
        let text = match value {
            Value::String(text) => text,
            Value::Array(items) => {
                let items: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
                if items.is_empty() { "none".to_owned() } else { items.join(", ") }
            }
            other => other.to_string(),
        };
        print::line(&format!("{:16} {text}", name.replace('_', " ")));
    }
    Ok(ExitStatus::Success)
}

fn build_facts(catalog: &Catalog) -> Value {
    let mut features: Vec<&str> = BUNDLED.iter().map(|bundled| bundled.feature).collect();
    features.extend(OTHER_FEATURES);
    features.sort_unstable();
    let plugins: Vec<String> = catalog
        .plugins()
        .map(|entry| format!("{} {}", entry.manifest.id, entry.manifest.version))
        .collect();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "commit": option_env!("KEEPSIGHT_COMMIT").unwrap_or("unknown"),
        "target": format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS),
        "profile": if cfg!(debug_assertions) { "debug" } else { "release" },
        "panic": PANIC_STRATEGY,
        "features": features,
        "plugins": plugins,
        "sources": catalog.schemes(),
        "outputs": catalog.output_schemes(),
        "gpu_backends": gpu_backends(),
    })
}

fn scheme_list(schemes: &[&str]) -> String {
    if schemes.is_empty() {
        return "none".to_owned();
    }
    schemes.iter().map(|scheme| format!("{scheme}:")).collect::<Vec<_>>().join(" ")
}

const LIST_LIMIT: Duration = Duration::from_secs(10);
