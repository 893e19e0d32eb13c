use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Says how far a run is, on a terminal; elsewhere it is silent.
pub(super) struct Progress(ProgressBar);

impl Progress {
    /// A bar for `total` frames, or a count where nobody knows how many there are.
    pub(super) fn new(total: Option<u64>) -> Self {
        let bar = match total {
            Some(total) => ProgressBar::new(total)
                .with_style(style("{bar:32} {pos}/{len} frames  {per_sec}  {eta} left")),
            None => {
                ProgressBar::new_spinner().with_style(style("{spinner} {pos} frames  {per_sec}"))
            }
        };
        bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(5));
        Self(bar)
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
