//! The one place that maps why something was not done to a status code.

use hyper::StatusCode;

use super::{ReloadError, ToolError};
use crate::health::{Reply, plugin_not_found};

impl ToolError {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            // A run of something that is not there is a bad request, as the clients know it.
            Self::UnknownPlugin { .. } | Self::UnknownTool { .. } | Self::BadArguments { .. } => {
                StatusCode::BAD_REQUEST
            }
            Self::TimedOut { .. } => StatusCode::REQUEST_TIMEOUT,
            Self::Fault { .. } => StatusCode::INTERNAL_SERVER_ERROR,
            Self::NotServing { .. } | Self::QueueFull | Self::GivenUp { .. } => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        }
    }

    pub(super) fn reply(&self) -> Reply {
        let retry_after = match self {
            Self::NotServing { retry_after, .. } => *retry_after,
            Self::QueueFull | Self::GivenUp { .. } => Some(SOON),
            _ => None,
        };
        Reply::detail(self.status(), self.detail()).retry_after(retry_after)
    }

    /// The text that clients show.
    pub(super) fn detail(&self) -> String {
        match self {
            Self::UnknownPlugin { plugin } => format!("Plugin '{plugin}' not found"),
            _ => self.to_string(),
        }
    }
}

impl ReloadError {
    pub(super) fn reply(&self) -> Reply {
        match self {
            Self::UnknownPlugin { plugin } => plugin_not_found(plugin),
            Self::UnderWay => Reply::detail(StatusCode::CONFLICT, self.to_string()),
            Self::NotInitialized { retry_after, .. } => {
                Reply::detail(StatusCode::SERVICE_UNAVAILABLE, self.to_string())
                    .retry_after(*retry_after)
            }
            Self::ShuttingDown => Reply::detail(StatusCode::SERVICE_UNAVAILABLE, self.to_string()),
        }
    }
}

/// When asking again is worth it after what passes by itself.
pub(super) const SOON: std::time::Duration = std::time::Duration::from_secs(1);
