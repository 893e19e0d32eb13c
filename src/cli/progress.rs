use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Says how far a run is, on a terminal; elsewhere it is silent.
pub(super) struct Progress(ProgressBar);

impl Progress {
    /// A count, until somebody knows how many frames there are.
    pub(super) fn new() -> Self {
        let bar = ProgressBar::new_spinner();
        bar.set_style(style("{spinner} {human_pos} frames  {per_sec}"));
        bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(5));
        Self(bar)
    }

    /// There will be `total` frames: from here on a bar, with the time that is left.
    pub(super) fn expect(&self, total: u64) {
        self.0.set_style(style("{wide_bar} {human_pos}/{human_len} frames  {per_sec}  {eta} left"));
        self.0.set_length(total);
    }

    pub(super) fn advance(&self) {
        self.0.inc(1);
    }

    pub(super) fn finish(self) -> Duration {
        let elapsed = self.0.elapsed();
        self.0.finish_and_clear();
        elapsed
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the template is a literal that parses")
}
