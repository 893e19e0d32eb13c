use super::{Config, RuntimeConfig, ServerConfig};

impl Config {
    /// This configuration as a process can adopt it that runs with `running`: with those settings
    /// of `running` that hold for as long as the process lives; and the keys where the two differ
    /// in that, as the file has them.
    pub fn adopted_over(mut self, running: &Self) -> (Self, Vec<&'static str>) {
        let ServerConfig { listen, key, allowed_origins, allowed_hosts, limits } = &running.server;
        let RuntimeConfig { state_dir, strict, limits: held, .. } = &running.runtime;
        let next = &self.runtime.limits;
        let exposed = |key: &Option<super::Secret>| key.as_ref().map(|key| key.expose().to_owned());
        let differences = [
            ("server.listen", self.server.listen != *listen),
            ("server.key", exposed(&self.server.key) != exposed(key)),
            ("server.allowed_origins", self.server.allowed_origins != *allowed_origins),
            ("server.allowed_hosts", self.server.allowed_hosts != *allowed_hosts),
            ("server.limits", self.server.limits != *limits),
            ("runtime.state_dir", self.runtime.state_dir != *state_dir),
            ("runtime.strict", self.runtime.strict != *strict),
            ("runtime.limits.abandoned_threads", next.abandoned_threads != held.abandoned_threads),
            (
                "runtime.limits.abandoned_threads_per_plugin",
                next.abandoned_threads_per_plugin != held.abandoned_threads_per_plugin,
            ),
        ];
        self.server = running.server.clone();
        self.runtime.state_dir.clone_from(state_dir);
        self.runtime.strict = *strict;
        self.runtime.limits.abandoned_threads = held.abandoned_threads;
        self.runtime.limits.abandoned_threads_per_plugin = held.abandoned_threads_per_plugin;
        let differ = differences.into_iter().filter(|(_, differs)| *differs);
        (self, differ.map(|(key, _)| key).collect())
    }
}
